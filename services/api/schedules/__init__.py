"""Schedules: when an ingestion runs by itself."""
