"""Follows Autoloader's runs from outside, knowing nothing but the address of the AsyncAPI document.

    pip install aiokafka jsonschema
    python follow_runs.py http://localhost:8000/asyncapi.json --run 7a0e7a8c-3f0b-4a52-9b60-1d1f3f8f9f10
    python follow_runs.py http://localhost:8000/asyncapi.json --states

``--run`` prints every fact of one run, from its first, until it is over. ``--states`` prints every run that the
topic knows, as it is now, and ends. Each line is one message's data, as JSON. Nothing of Autoloader is imported:
broker, topics and schemas come from the document, and every message is validated before it is believed.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any
from urllib.request import urlopen

from aiokafka import AIOKafkaConsumer
from jsonschema import Draft202012Validator, FormatChecker

Document = dict[str, Any]
Event = dict[str, Any]


def resolve(document: Document, reference: str) -> Any:
    """What a reference inside the document points to."""
    found: Any = document
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


class Channel:
    """One topic as the document describes it: the one that carries messages of ``message_type``."""

    def __init__(self, document: Document, message_type: str) -> None:
        [channel] = [c for c in document["channels"].values() if message_type in c["messages"]]
        self.topic: str = channel["address"]
        self.brokers = [resolve(document, server["$ref"])["host"] for server in channel["servers"]]
        messages = {name: resolve(document, each["$ref"]) for name, each in channel["messages"].items()}
        # A schema inside a document is used by entering the document at that place.
        self._validators = {
            name: Draft202012Validator({**document, "$ref": m["payload"]["$ref"]}, format_checker=FormatChecker())
            for name, m in messages.items()
        }

    async def events(self, *, until_its_end: bool = False) -> AsyncIterator[Event]:
        """All that the topic has, from its beginning; then what comes, or the end. Each event once, and valid."""
        consumer = AIOKafkaConsumer(
            self.topic, bootstrap_servers=self.brokers, group_id=None, auto_offset_reset="earliest"
        )
        await consumer.start()
        try:
            ends = await consumer.end_offsets(consumer.assignment())
            begins = await consumer.beginning_offsets(ends)
            left = {tp for tp, end in ends.items() if end > begins[tp]} if until_its_end else set(ends)
            seen: set[str] = set()
            while left:
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    for record in records:
                        event = json.loads(record.value)
                        if event["id"] not in seen and event["type"] in self._validators:
                            seen.add(event["id"])
                            self._validators[event["type"]].validate(event)
                            yield event
                for partition in list(left) if until_its_end else ():
                    if await consumer.position(partition) >= ends[partition]:
                        left.discard(partition)
        finally:
            await consumer.stop()


async def follow(document: Document, run_id: str) -> None:
    """Prints what becomes of one run. Facts are numbered from 1; that none is missing is checked."""
    expected = 1
    async for event in Channel(document, "run.completed.v1").events():
        data = event["data"]
        if data["run_id"] != run_id:
            continue
        if data["seq"] != expected:
            raise SystemExit(f"fact {expected} of the run is missing: {data['seq']} came instead")
        expected += 1
        print(json.dumps({"type": event["type"], **data}), flush=True)
        if event["type"] == "run.completed.v1":
            return


async def states(document: Document) -> None:
    """Prints the latest state of each run: that with the highest revision."""
    latest: dict[str, Event] = {}
    async for event in Channel(document, "run.state.v1").events(until_its_end=True):
        data = event["data"]
        if data["revision"] > latest.get(data["run_id"], {"revision": 0})["revision"]:
            latest[data["run_id"]] = data
    for data in latest.values():
        print(json.dumps(data))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("document", help="the address of asyncapi.json")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--run", metavar="ID", help="follow this run to its end")
    what.add_argument("--states", action="store_true", help="print each run as it is now")
    asked = parser.parse_args()
    with urlopen(asked.document) as answer:  # noqa: S310 - the address is the user's own
        document = json.load(answer)
    asyncio.run(states(document) if asked.states else follow(document, asked.run))


if __name__ == "__main__":
    sys.exit(main())
