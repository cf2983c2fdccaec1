"""Health and metrics of this process and of what it needs."""
