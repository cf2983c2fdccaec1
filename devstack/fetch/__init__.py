"""Bringing what the stack runs into the cache: once, verified, and whole or not at all."""
