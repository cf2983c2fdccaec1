"""Postgres: the engine, the control tables, the outbox and the migrations. Leases and files live in ``ledger``."""
