"""The words in which the services speak: definitions, events, topics and their encoding. No behaviour."""
