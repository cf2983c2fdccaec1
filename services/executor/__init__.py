"""The executor: takes batches from the ledger and writes each of them to its Iceberg table, once."""
