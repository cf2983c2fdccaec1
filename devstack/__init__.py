"""The local stack: real Postgres, Kafka, MinIO and Spark Connect as ordinary processes, without containers.

Read `part.py` first (what a part is), then `supervisor.py` (how parts come up and go down), then one file of `parts/`.
`setup.py`, `fetch/` and what they import use the standard library alone, since they run before anything is installed.
"""
