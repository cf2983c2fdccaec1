"""Refreshes: a table that begins anew."""
