"""Runs: asking for them, following them (projector), and making sure that they end (sweeper)."""
