"""The scanner: finds out which files of an ingestion's source are new, and cuts them into batches."""
