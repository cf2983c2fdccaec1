"""Alembic's revisions of both schemas. ``storage/migrate.py`` applies them, and once released
none of them ever changes."""
