"""Clusters: where Spark runs. They come from the settings."""
