"""What an ingestion would find and make of it, from a bounded sample: nothing is written."""
