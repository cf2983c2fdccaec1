"""The API service: definitions and run requests in, the state of runs out.

``app.py`` puts it together; each noun (``ingestions``, ``runs``, ``clusters``, ``health``) has its routes, schemas,
handlers and repository, as far as it needs them; ``subscriptions.py`` says which messages are listened to.
"""
