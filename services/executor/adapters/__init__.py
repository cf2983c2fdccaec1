"""Spark Connect and Iceberg: the only rooms of the executor that know them."""
