"""``/ingestions/{id}/files``: what became of each file, and why."""
