"""What a plan's files would add to the table's columns, as far as a sample of them shows: pure."""

from collections.abc import Collection

from libs.common.schema import sql
from services.api.plans.schemas import ColumnAdded, SchemaChange
from services.api.preview.sample import Sample


def schema_change(sample: Sample, files: int, known: Collection[str]) -> SchemaChange:
    """``files`` is how many the plan names, ``known`` the table's columns; without any the table is new, and gets all
    of them whatever the mode. So does one that is there get the columns that keys fill."""
    gets_all = sample.rules.adds_columns or not known
    names = {name.lower() for name in known}
    added = [
        ColumnAdded(name=f.name, type=sql(f.type), first_file=column.first_file)
        for f in sample.schema.fields
        if (gets_all or sample.is_keyed(f.name))
        and f.name.lower() not in names
        and (column := sample.columns.get(f.name)) is not None
    ]
    return SchemaChange(
        columns_added=added, files_looked_into=sample.files, is_all=sample.files == files and not sample.cut
    )
