"""What a person should know before this ingestion runs. Pure."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from libs.common.contracts.definition import Definition, Format, Source
from libs.common.partitioned import fit
from libs.common.schema import sql
from services.api.preview.inference import Place
from services.api.preview.listing import Listed
from services.api.preview.sample import Sample

COLUMNS_MAX = 500
NAMED_MAX = 5
"""Files or fields that are told one by one for one kind of trouble; the rest are a number."""


@dataclass(frozen=True, slots=True)
class Warned:
    """``code`` is a stable word; ``hint`` says what to do."""

    code: str
    message: str
    hint: str


def warnings_of(definition: Definition, listed: Listed, sample: Sample, asked: int, limits: str) -> list[Warned]:
    """The most important first. ``asked`` files should have been looked into; ``limits`` names the bounds of that."""
    if not definition.format.is_json_lines:
        return [*_of_listing(definition.source, listed), *_of_format(definition.format, listed)]
    return [
        *_of_listing(definition.source, listed),
        *_of_files(sample),
        *(_of_partitions(definition, sample) if sample.records else ()),
        *_of_fields(sample),
        *_of_bounds(listed, sample, asked, limits),
    ]


def _of_format(format_: Format, listed: Listed) -> Iterator[Warned]:
    """In place of columns and rows, where a preview has no eyes for the format."""
    if listed.files:
        kind = "JSON documents" if format_.type == "json" else f"{format_.type} files"
        yield Warned("not_looked_into", f"a preview does not look into {kind}: it lists them, and shows no columns",
                     "the first run makes the columns; write format.schema.schema_json to say them before")  # fmt: skip
    if not listed.is_complete:
        yield _listing_cut(listed)


def _of_listing(source: Source, listed: Listed) -> Iterator[Warned]:
    if listed.objects == 0:
        yield Warned("nothing_there", f"there is no object under {source.path}",
                     "check source.path, or upload files; a run would succeed and load nothing")  # fmt: skip
    elif listed.files == 0:
        yield Warned("nothing_matches", f"none of the {_many(listed.objects, 'object')} under {source.path} would be "
                     f"loaded with source.file_pattern {source.file_pattern}", _better_pattern(listed))  # fmt: skip
    if listed.unreadable:
        yield Warned("unreadable_keys", f"{_many(listed.unreadable, 'file')} cannot be read as named; files.excluded "
                     "has the reasons", "rename them, or leave them out with source.file_pattern: every run names "
                     "them as failed")  # fmt: skip


def _better_pattern(listed: Listed) -> str:
    keys = [
        key for reason, excluded in listed.excluded.items() if "file_pattern" in reason for key in excluded.examples
    ]
    endings = Counter(name[name.index(".") :] for key in keys if "." in (name := key.rsplit("/", 1)[-1]))
    if not endings:
        return "check source.file_pattern; files.excluded says what left each of them out"
    return f"check source.file_pattern: there are files for *{endings.most_common(1)[0][0]}"


def _of_files(sample: Sample) -> Iterator[Warned]:
    for bad in sample.bad[:NAMED_MAX]:
        yield Warned("bad_lines", f"{bad.file}: line {bad.line} is not one JSON object"
                     + (f", nor are {bad.count - 1:,} more in the sample" if bad.count > 1 else ""),
                     "repair the file: a run sets it aside as a whole, and loads the others")  # fmt: skip
    if len(sample.bad) > NAMED_MAX:
        yield Warned("bad_lines", f"{len(sample.bad) - NAMED_MAX:,} more files have such lines", "repair them")
    for file, problem in list(sample.problems.items())[:NAMED_MAX]:
        yield Warned("not_looked_into", f"{file}: {problem}", "look at the file; a run would name it if it cannot load")
    for file, reason in list(sample.misplaced.items())[:NAMED_MAX]:
        yield Warned("key_does_not_fit", f"{file} cannot fill source.partition_columns: {reason}",
                     "upload it under another key, or hint the column as a string: a run sets it aside")  # fmt: skip
    if sample.files and not sample.records and not sample.bad and not sample.problems and not sample.misplaced:
        yield Warned("no_records", "the files that were looked into hold no record", "check what writes them")


def _of_fields(sample: Sample) -> Iterator[Warned]:
    places = list(sample.places.walk())
    mixed = [(path, place) for path, place in places if place.is_mixed]
    for path, place in mixed[:NAMED_MAX]:
        seen = ", ".join(f"{kind} first in {file}" for kind, file in place.kinds.items())
        yield Warned("mixed_types", f"field {_dotted(path)} holds values of several types ({seen}); its column is text",
                     "keep one type per field, if text is not what you want")  # fmt: skip
    if len(mixed) > NAMED_MAX:
        yield Warned("mixed_types", f"{len(mixed) - NAMED_MAX:,} more fields do", "keep one type per field")
    for path, place in places:
        for spellings in _twins(place):
            names = " and ".join(_dotted((*path, name)) for name in spellings)
            yield Warned("names_differ_in_case", f"fields {names} differ in case only; {spellings[0]} becomes a column",
                         "write one spelling: a file with another one is set aside")  # fmt: skip
    for path, place in places:
        found = place.type
        if place.empty_in is not None and place.kinds and found not in (None, "string"):
            assert found is not None
            yield Warned("empty_texts", f"field {_dotted(path)} is {sql(found)}, and an empty text in {place.empty_in}",
                         "write null for what is not there: a file with such a line is set aside")  # fmt: skip
    for name in sample.overruled:
        yield Warned("field_overruled", f"records have a field {name!r}, whose column source.partition_columns fills "
                     "from keys: the field is left out", "rename one of them, if both matter")  # fmt: skip
    nulls = [name for name, column in sample.columns.items() if not column.values]
    if nulls:
        yield Warned("only_nulls", f"nothing but null was seen in {_some(nulls)}",
                     "the column is text, and stays it when values come")  # fmt: skip
    fields = len(sample.schema.fields)
    if fields > COLUMNS_MAX:
        yield Warned("many_columns", f"there are {fields:,} fields; the first {COLUMNS_MAX} are shown",
                     "if names are data, put them into values: every name becomes a column")  # fmt: skip


def _of_partitions(definition: Definition, sample: Sample) -> Iterator[Warned]:
    to, rules = definition.destination, definition.format.schema_rules
    parts = [part for part in to.partitioning.parts if part.column[0].lower() not in to.metadata_columns]
    found = fit(sample.schema, parts, rules)
    yield from (Warned(misfit.code, misfit.message, misfit.hint) for misfit in found.misfits)
    for part in found.parts:
        if part.is_of_time and fit(sample.schema, [part], rules).schema != sample.schema:
            yield Warned("text_becomes_time", f"destination.partitioning has {part}, and {part.column_name} is text in "
                         "the files: in a new table its column is a timestamp",
                         "a record whose text is no time, as in 2025-01-31T07:00:00Z, is a bad one")  # fmt: skip


def _twins(place: Place) -> Iterator[list[str]]:
    if place.is_mixed:
        return
    by_lower: dict[str, list[str]] = {}
    for f in place.struct.fields:
        by_lower.setdefault(f.name.lower(), []).append(f.name)
    yield from (names for names in by_lower.values() if len(names) > 1)


def _of_bounds(listed: Listed, sample: Sample, asked: int, limits: str) -> Iterator[Warned]:
    if not listed.is_complete:
        yield _listing_cut(listed)
    came = sample.files + sample.gone
    if came < asked:
        yield Warned("sample_cut", f"time ran out after {came:,} of {asked:,} files",
                     "other files may have other fields; try again, or preview a longer source.path")  # fmt: skip
    elif sample.cut or came < listed.files - listed.empty:
        files = _many(listed.files, "file")
        yield Warned("sample_is_a_part", f"types come from the first lines of {sample.files:,} of {files} ({limits})",
                     "what comes later may add fields or change types")  # fmt: skip


def _listing_cut(listed: Listed) -> Warned:
    return Warned("listing_cut", f"the listing was ended after {listed.objects:,} objects; there are more",
                  "counts and types are of those only; preview a longer source.path")  # fmt: skip


def _dotted(path: tuple[str, ...]) -> str:
    return repr(".".join(path))


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMED_MAX:,} more" if len(names) > NAMED_MAX else ""
    return ", ".join(map(repr, names[:NAMED_MAX])) + more


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
