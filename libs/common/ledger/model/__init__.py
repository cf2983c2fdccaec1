"""Values that the ledger takes and gives, a module for each of its nouns. Frozen, without I/O."""
