"""The local stack: real Postgres, Kafka, MinIO and Spark Connect as ordinary processes, without containers.

Read `part.py` first (what a part is), then `supervisor.py` (how parts come up and go down), then one file of `parts/`.
`fetch/`, `places.py`, `pins.py`, `java.py` and `setup.py` use the standard library alone, since they also run before anything is installed.
"""
