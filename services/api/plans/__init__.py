"""Plans: what a run, a backfill or a refresh would load, to be looked at before, and applied exactly."""
