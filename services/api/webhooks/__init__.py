"""Webhooks: what happened is told to addresses that users named, signed, until they have taken it."""
