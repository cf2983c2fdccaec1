"""Ingestions: what a user wants kept up to date."""
