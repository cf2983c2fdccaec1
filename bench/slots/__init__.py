"""Executors with eight slots, and with one, on four tables and on one: how much they get done, how often their commits
meet, and whether anybody waits for ever."""
