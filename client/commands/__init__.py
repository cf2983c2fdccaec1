"""The commands of `autoloader`, one module per noun of the REST contract."""
