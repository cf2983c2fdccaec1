"""What stores write is read to the letter; whatever is written otherwise is left to others, never guessed."""

from datetime import UTC, datetime
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.objects.listing_page import entries as read
from libs.common.objects.listing_page import taken_apart

HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><Prefix>p%2F</Prefix>'
    "<KeyCount>2</KeyCount><IsTruncated>false</IsTruncated>"
)
TAIL = "<CommonPrefixes><Prefix>q%2F</Prefix></CommonPrefixes><EncodingType>url</EncodingType></ListBucketResult>"
AT = datetime(2026, 11, 27, 12, 30, 59, 123000, tzinfo=UTC)


def contents(
    key: str = "a.json",
    etag: str = "&quot;0af5-2&quot;",
    size: str = "3",
    at: str = "2026-11-27T12:30:59.123Z",
    *,
    before: str = "",
    between: str = "",
    after: str = "<StorageClass>STANDARD</StorageClass>",
) -> str:
    return (
        f"<Contents>{before}<Key>{key}</Key><LastModified>{at}</LastModified><ETag>{etag}</ETag>{between}"
        f"<Size>{size}</Size>{after}</Contents>"
    )


def page(*objects: str, head: str = HEAD, tail: str = TAIL) -> bytes:
    return f"{head}{''.join(objects)}{tail}".encode()


def entries(body: bytes) -> list[tuple[str, str, int, datetime]]:
    apart = taken_apart(body)
    assert apart is not None
    assert (HEAD + TAIL).encode() == apart.rest
    assert body == apart.with_(apart.objects)
    found = read(apart.objects)
    assert found is not None
    return list(zip(*found, strict=True))


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=["Cs"]), min_size=1) | st.text("a/%+ =.é", min_size=1),
            st.sampled_from([quote, quote_plus, lambda key: quote(key, safe="")]),
        ),
        min_size=1,
    )
)
def test_every_key_comes_back_as_it_is(keys: list[tuple[str, object]]) -> None:
    """Whichever characters a store encodes, with whatever key its neighbours have."""
    body = page(*(contents(encode(key)) for key, encode in keys))  # type: ignore[operator]
    assert [(key, "0af5-2", 3, AT) for key, _ in keys] == entries(body)


@pytest.mark.parametrize(
    "written",
    [
        contents(),
        contents(etag="&#34;0af5-2&#34;"),
        contents(etag='"0af5-2"'),
        contents(etag="0af5-2"),
        contents(after=""),
        contents(after="<Owner><ID>1</ID><DisplayName>a &amp; b</DisplayName></Owner><Type>Normal</Type>"),
        contents(before="<Generation>17</Generation>"),
        contents(between="<ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType>"),
    ],
)
def test_what_stores_write_is_read(written: str) -> None:
    """Amazon, MinIO, Ceph and Google each have ways of their own."""
    assert [("a.json", "0af5-2", 3, AT)] == entries(page(written))


def test_a_time_of_whole_seconds_is_read() -> None:
    """Most stores tell no fractions."""
    ((_, _, _, at),) = entries(page(contents(at="2026-11-27T12:30:59Z")))
    assert AT.replace(microsecond=0) == at


@pytest.mark.parametrize(
    "body",
    [
        page(),
        page(contents(), tail=TAIL.replace("<EncodingType>url</EncodingType>", "")),
        page(contents(), f"<!-- {contents('hidden')} -->"),
        page(contents(), "<Delimiter><![CDATA[/]]></Delimiter>"),
        page(contents(), "<CommonPrefixes><Prefix>q</Prefix></CommonPrefixes>", contents("b")),
        page(contents(), "<Contents><Key>b</Key></Contents>"),
        page(contents(), contents("a&amp;b")),
        page(contents(), contents("")),
        page(contents(), contents(size="-1")),
        page(contents(), contents(size="")),
        page(contents(), contents(at="2026-13-27T12:30:59Z")),
        page(contents(), contents(at="Fri, 27 Nov 2026 12:30:59 GMT")),
        page(contents(), contents(between="<Key>second</Key>")),
        page(contents(), contents(after="<Restore><Ongoing>true</Ongoing></Restore>")),
        page(contents(), "<Contents><Key>cut"),
        page(contents())[:-200],
        page(contents().replace("<Key>", "<Key a='b'>")),
        page(contents(), contents("b").replace("<Contents>", "<Contents a='b'>")),
        page(contents("b").replace("<Contents>", "<Contents a='b'>"), contents()),
        page(contents("é")).replace("é".encode(), b"\xe9"),
        b"",
        b"not XML at all",
    ],
)
def test_anything_else_is_left_as_a_whole(body: bytes) -> None:
    """A page of which one object was not understood must not come without it."""
    apart = taken_apart(body)
    assert apart is None or read(apart.objects) is None


def test_folders_between_objects_are_left_as_a_whole() -> None:
    """What is apart would hold folders, and the rest would come without them."""
    folder = "<CommonPrefixes><Prefix>b%2F</Prefix></CommonPrefixes>"
    assert taken_apart(page(contents("a"), folder, contents("c"))) is None
    assert taken_apart(page(contents("a"), contents("c"), folder)) is not None
