"""Ways to bring files into an Iceberg table: ours, and those of others. One module for each kind.

Peers with packages of their own run in a process of their own, in ``.venv-bench``; nothing of them is a dependency of
the product.
"""
