"""What the three services share: the messages, the ledger, the run's life cycle, and thin adapters.

Nothing in here knows a service. See ARCHITECTURE.md for the code map.
"""
