"""The flights of 2013, from files in a bucket to rows of an Iceberg table, in front of your eyes."""
