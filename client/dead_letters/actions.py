"""What ``autoloader dead-letters`` does, and how it says it: results on stdout, trouble on stderr."""

import asyncio
from collections import Counter
from collections.abc import Coroutine

import typer

from libs.common import logs
from libs.common.errors import AutoloaderError
from libs.common.messaging import replay as letters
from libs.common.messaging.dead_letters import SUFFIX
from libs.common.messaging.kafka import KafkaDeadLetterStore, KafkaPublisher
from libs.common.settings import CommonSettings, load

SOME_REFUSED = 1
TROUBLE = 2


def run(action: Coroutine[None, None, int]) -> int:
    """Runs one of the actions to its exit code."""
    logs.configure("ERROR")
    try:
        return asyncio.run(action)
    except AutoloaderError as error:
        typer.echo(f"dead-letters: {error.message}" + (f"\n  {error.hint}" if error.hint else ""), err=True)
        return TROUBLE


async def show(topic: str | None) -> int:
    """Letters by code of every topic, or one by one of ``topic``."""
    settings = load(CommonSettings)
    async with KafkaDeadLetterStore.open(settings.kafka_bootstrap, settings.topic_prefix) as store:
        if topic is not None:
            waiting = await letters.list_letters(store, _dead_letter_topic(topic))
            for letter in waiting:
                typer.echo(f"{letter.name}  {letter.time or '-'}  {letter.code or '-'}  {letter.reason or '-'}")
            typer.echo(f"{len(waiting)} waiting in {_dead_letter_topic(topic)}")
            return 0
        for each in await store.topics():
            waiting = await letters.list_letters(store, each)
            codes = Counter(letter.code or "-" for letter in waiting)
            told = "".join(f"  {code}: {count}" for code, count in codes.most_common())
            typer.echo(f"{len(waiting):>7}  {each}{told}")
    return 0


async def replay(topic: str, *, code: str | None, dry_run: bool) -> int:
    """Sends back what can be sent; names what cannot."""
    settings = load(CommonSettings)
    publisher = KafkaPublisher(settings.kafka_bootstrap, "autoloader-dead-letters")
    try:
        async with KafkaDeadLetterStore.open(settings.kafka_bootstrap, settings.topic_prefix) as store:
            report = await letters.replay(store, publisher, _dead_letter_topic(topic), code=code, dry_run=dry_run)
    finally:
        await publisher.stop()
    for refused in report.refused:
        typer.echo(f"kept  {refused.letter.name}  {refused.reason}")
    done = "would be replayed" if dry_run else "replayed"
    typer.echo(f"{len(report.sent)} {done}, {len(report.refused)} kept")
    return SOME_REFUSED if report.refused else 0


def _dead_letter_topic(topic: str) -> str:
    return topic if topic.endswith(SUFFIX) else topic + SUFFIX
