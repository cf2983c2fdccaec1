"""The table that takes the place of another one: its columns, and what was said of it, without its rows."""

from libs.common.contracts.definition import Definition
from services.executor.domain.layout import of_next_table
from services.executor.domain.places import next_location
from services.executor.whole_table_ports import TableFound, TablePlace


def check_next(definition: Definition, old: TableFound) -> None:
    """Asked while there is nothing to repair.

    Raises:
        Permanent: no table can be made of ``old`` as the definition says; see ``of_next_table``.
    """
    of_next_table(definition, old.schema, old.layout)


async def create_next(place: TablePlace, definition: Definition, old: TableFound, generation: int) -> None:
    """Creates it under the destination's name, if there is none; in a folder of its own.

    Raises:
        Permanent: as ``check_next``; or the catalog's.
        Temporary: the catalog's.
    """
    schema, layout = of_next_table(definition, old.schema, old.layout)
    await place.create(schema, layout, next_location(old.location, generation))
