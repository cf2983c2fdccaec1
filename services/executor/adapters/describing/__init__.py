"""What files of some formats say of themselves, read outside Spark: a few bytes of each, and nothing of their rows."""
