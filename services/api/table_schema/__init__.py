"""The columns of an ingestion's table, and how they came to be."""
