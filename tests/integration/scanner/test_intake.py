"""What buckets tell, from the message to the hint, for those who follow at that moment."""

import asyncio
import random
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, func, select, update

from libs.common.contracts.definition import Definition, Destination, Source
from libs.common.errors import Invalid
from libs.common.ids import IngestionId, new_ingestion_id
from libs.common.ledger.hints import Hints, hint, hinted
from libs.common.storage.control import ingestion
from libs.common.storage.engine import Database
from services.scanner.followers import AGE_MAX_S, Followers
from services.scanner.intake import Intake
from services.scanner.notifications.topic import TopicNews, decode_news
from tests.support.bucket_news import told

pytestmark = pytest.mark.integration


class Now:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


async def follower(database: Database, bucket: str, pattern: str = "*.json") -> IngestionId:
    """An active ingestion of ``s3://<bucket>/in/``."""
    definition = Definition(
        name="test",
        cluster_id="local",
        source=Source(path=f"s3://{bucket}/in/", file_pattern=pattern),
        destination=Destination(catalog="c", database="d", table="t"),
    ).model_dump(mode="json", by_alias=True)
    definition["schedule"]["trigger"] = "event"
    ingestion_id = new_ingestion_id()
    row = {"id": ingestion_id, "tenant_id": "t", "status": "active", "definition": definition, "created_by": "me"}
    async with database.begin() as connection:
        await connection.execute(ingestion.insert().values(row))
    return ingestion_id


async def set_status(database: Database, ingestion_id: UUID, status: str) -> None:
    async with database.begin() as connection:
        mine = update(ingestion).where(ingestion.c.id == ingestion_id)
        await connection.execute(mine.values(status=status, updated_at=func.now()))


async def keys(database: Database, ingestion_id: UUID) -> list[str]:
    async with database.read() as connection:
        query = select(hint.c.key).where(hint.c.ingestion_id == ingestion_id)
        return sorted(await connection.scalars(query))


def news_of(database: Database, now: Now | None = None) -> TopicNews:
    return TopicNews(Intake(Followers(database, monotonic=now or Now()), Hints(database)))


async def tell(news: TopicNews, bucket: str, *keys: str) -> None:
    await asyncio.gather(*(news.on_bucket_news(decode_news(told(bucket, key))) for key in keys))


async def test_a_message_becomes_a_hint_of_everybody_who_wants_the_object(database: Database) -> None:
    """Under the key as it is, however it was written."""
    everything, some = await follower(database, "one"), await follower(database, "one", "a *.json")
    await tell(news_of(database), "one", "in/a b+c%.json", "in/x.json", "elsewhere/x.json", "in/x.csv")
    assert ["in/a b+c%.json", "in/x.json"] == await keys(database, everything)
    assert ["in/a b+c%.json"] == await keys(database, some)


async def test_a_change_is_known_after_a_second(database: Database) -> None:
    """Who pauses is told nothing, who resumes is told again, who has come is told, too."""
    now = Now()
    news = news_of(database, now)
    first = await follower(database, "two")
    await tell(news, "two", "in/1.json")
    await set_status(database, first, "paused")
    second = await follower(database, "two")
    now.s += AGE_MAX_S + 0.01
    await tell(news, "two", "in/2.json")
    await set_status(database, first, "active")
    now.s += AGE_MAX_S + 0.01
    await tell(news, "two", "in/3.json")
    assert ["in/1.json", "in/3.json"] == await keys(database, first)
    assert ["in/2.json", "in/3.json"] == await keys(database, second)


async def test_a_pattern_that_nobody_can_read_does_not_keep_the_others_from_their_news(database: Database) -> None:
    """Its own listings fail with the reason."""
    await follower(database, "three", "[")
    other = await follower(database, "three")
    await tell(news_of(database), "three", "in/1.json")
    assert ["in/1.json"] == await keys(database, other)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff", b'{"Records": 3}'])
def test_what_is_no_notification_is_refused(raw: bytes) -> None:
    """With a code: it becomes a dead letter."""
    with pytest.raises(Invalid) as caught:
        decode_news(raw)
    assert "not_a_notification" == caught.value.code


async def test_ten_thousand_are_a_few_transactions(database: Database) -> None:
    """Five thousand objects, each told of twice, in any order, by messages of their own."""
    mine = await follower(database, "many")
    news = news_of(database)
    commits: list[Any] = []
    count: Callable[[Any], None] = commits.append  # the same object to listen and to stop listening
    event.listen(database.engine.sync_engine, "commit", count)
    names = [f"in/{n}.json" for n in range(5000)] * 2
    random.Random(7).shuffle(names)
    await tell(news, "many", *names)
    event.remove(database.engine.sync_engine, "commit", count)
    assert 5000 == len(await keys(database, mine))
    async with database.read() as connection:
        waiting = (await connection.execute(select(hinted).where(hinted.c.ingestion_id == mine))).one()
    assert 5000 == waiting.files
    assert 5 >= len(commits)
