"""What the files of a batch give their rows from their keys, known before any of them is read.

The definition names such columns, and not a mark in the table: a table that was there before may have a ``year``, and
another ingestion may fill it from its records.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from libs.common.contracts.events import Problem
from libs.common.ddl import written_path
from libs.common.errors import Permanent, Temporary
from libs.common.key_columns import KeyUnfit, takes_keys, values_of
from libs.common.ledger.model.batches import Fate
from libs.common.ledger.model.columns import Evidence
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.states import FileState
from libs.common.schema import Struct, sql
from services.executor.domain.provenance import FROM_KEY, is_from_key

KeyValues = Mapping[bytes, Mapping[str, str | None]]
"""By file digest: column and value, as a text that casts to the column's type."""


class KeysUnfit(Temporary):
    """Some files cannot be loaded: their keys do not fit the columns. ``fates`` goes by file digest."""

    def __init__(self, fates: Mapping[bytes, Fate]) -> None:
        super().__init__("a key does not fit the columns", code="key_does_not_fit")
        self.fates = fates


@dataclass(frozen=True, slots=True)
class FromKeys:
    """``evidence`` has, for each column, the first file with a value for it."""

    values: KeyValues = field(default_factory=dict)
    evidence: tuple[Evidence, ...] = ()


def marked(schema: Struct, names: frozenset[str]) -> Struct:
    """The schema, in which columns of these lower-case names are known for such that keys fill.

    Raises:
        Permanent: code ``partition_column_type``: a column can hold nothing that stands in a key.
    """
    unfit = [f for f in schema.fields if f.name.lower() in names and not takes_keys(f.type)]
    if unfit:
        raise Permanent(
            f"the table has {unfit[0].name} as {sql(unfit[0].type)}, which no folder of a key can give a value for",
            code="partition_column_type",
            hint="leave it out of source.partition_columns, or make the column a text, a number, a boolean or a time",
        )
    return Struct(tuple(replace(f, comment=FROM_KEY) if f.name.lower() in names else f for f in schema.fields))


def from_keys(files: Sequence[FileVersion], schema: Struct, prefix: str) -> FromKeys:
    """``schema`` is ``marked``; ``prefix`` is where the source begins.

    Raises:
        KeysUnfit: names all the files whose keys do not fit.
    """
    columns = [f for f in schema.fields if is_from_key(f)]
    if not columns:
        return FromKeys()
    values: dict[bytes, Mapping[str, str | None]] = {}
    fates: dict[bytes, Fate] = {}
    shown: dict[str, Evidence] = {}
    for file in files:
        try:
            values[file.digest] = values_of(file.key, prefix, columns)
        except KeyUnfit as unfit:
            fates[file.digest] = _set_aside(file, str(unfit))
            continue
        for name, value in values[file.digest].items():
            if value is not None and name not in shown:
                example = json.dumps(value, ensure_ascii=False)
                shown[name] = Evidence(written_path((name,)), file.uri, example)
    if fates:
        raise KeysUnfit(fates)
    return FromKeys(values, tuple(shown.values()))


def _set_aside(file: FileVersion, reason: str) -> Fate:
    return Fate(
        FileState.FAILED,
        Problem(
            error_type="key_does_not_fit",
            message=f"{file.uri} cannot fill its table's columns: {reason}",
            hint="upload it under another key; or let format.schema.hints make the column of a new table a string, "
            "which takes anything",
            file=file.uri,
        ),
    )
