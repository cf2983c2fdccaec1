"""Keys and prefixes that a client names, held against the source: pure."""

from libs.common.contracts.definition import Source
from libs.common.contracts.scope import Scope
from libs.common.errors import Invalid

_SCHEMES = ("s3://", "s3a://")


def placed_in(source: Source, scope: Scope) -> Scope:
    """``scope`` with keys and prefix below the bucket, each key once.

    Raises:
        Invalid: codes ``key_outside_source``, ``prefix_outside_source``: the credentials of this source are for no
            other place.
    """
    prefix, keys = scope.prefix, scope.keys
    if prefix is not None:
        prefix = _below(source, prefix, "prefix")
        # A shorter prefix is fine as long as it leads there: s3://bucket/ covers the whole source.
        if not (prefix.startswith(source.prefix) or source.prefix.startswith(prefix)):
            raise _outside(source, prefix, "prefix")
    if keys is not None:
        keys = tuple(dict.fromkeys(_below(source, key, "key") for key in keys))
        for key in keys:
            if not key.startswith(source.prefix):
                raise _outside(source, key, "key")
    return scope.model_copy(update={"prefix": prefix, "keys": keys})


def _below(source: Source, name: str, kind: str) -> str:
    for scheme in _SCHEMES:
        if name.startswith(scheme):
            bucket, _, below = name.removeprefix(scheme).partition("/")
            if bucket != source.bucket:
                raise _outside(source, name, kind)
            return below
    return name


def _outside(source: Source, name: str, kind: str) -> Invalid:
    return Invalid(
        f"the {kind} {name!r} does not lie under source.path {source.path}",
        code=f"{kind}_outside_source",
        hint=f"give the whole {kind} below the bucket, as in {source.prefix or 'folder/'}…, or s3://{source.bucket}/…",
    )
