"""Where Alembic meets our metadata. Run through ``libs.common.storage.migrate``, which hands over a connection."""

from alembic import context

# Imported for their tables: a table that no module imports does not exist for Alembic.
from libs.common.ledger import hints as _hints  # noqa: F401 - for its tables alone
from libs.common.ledger import tables as _ledger
from libs.common.storage import control as _control
from libs.common.storage import following as _following  # noqa: F401 - for its table alone
from libs.common.storage import plans as _plans  # noqa: F401 - for its tables alone
from libs.common.storage.metadata import metadata
from libs.common.storage.migrate import SCHEMAS, VERSION_TABLE, is_ours

if set(SCHEMAS) != {_control.SCHEMA, _ledger.SCHEMA}:
    raise RuntimeError("migrate.SCHEMAS and the table modules name different schemas")

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    version_table_schema=_control.SCHEMA,
    include_schemas=True,
    include_name=is_ours,
    compare_server_default=True,
    # The caller's transaction holds the lock; all revisions commit with it, or none.
    transactional_ddl=True,
)
context.run_migrations()
