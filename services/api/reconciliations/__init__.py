"""Audits of an ingestion, and rebuilds of its ledger."""
