"""Looking at dead letters, and sending them back: `autoloader dead-letters`."""
