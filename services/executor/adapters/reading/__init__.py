"""From files to records, in Spark: one reader per format. Nothing here knows tables."""
