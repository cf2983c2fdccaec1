"""Alembic's revisions of both schemas. ``storage/migrate.py`` applies them; a revision never changes once it is released."""
