"""The AsyncAPI 3.0 document of the public topics, made from the catalogue. Pure: the same words, the same document.

It is written for who follows runs without a line of our code: every address, key, schema and example is in it, and all
references stay inside. Internal topics are left out on purpose: whoever wrote to one could make services do things,
and whoever read one would break with any release.

Payload schemas are JSON Schemas of whole CloudEvents. They use what draft 07 and 2020-12 have in common, so that they
are valid as AsyncAPI's own schema objects as well, and any validator takes them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from libs.common.contracts.codec import CONTENT_TYPE, type_of
from libs.common.contracts.events import Message
from libs.common.contracts.schemas import envelope_of, example_of
from libs.common.contracts.topics import (
    CATALOGUE,
    COMPLETENESS,
    DEFAULT_PREFIX,
    MESSAGE_BYTES_MAX,
    RUN_STATE,
    RUN_STATUS,
    TABLE_STATUS,
    Topic,
)

ASYNCAPI = "3.0.0"
_BINDING = "0.5.0"
_SCHEMAS = "#/components/schemas/"
_NOT_IN_NAMES = str.maketrans({".": "-"})

_DESCRIPTION = f"""What Autoloader tells of runs and tables, for programs that are not part of it.

Written from the side of the reader: the operations are what *you* do. Nobody but Autoloader writes to these topics.

**Messages** are CloudEvents 1.0 in structured JSON: one UTF-8 JSON object in each record's value, at most
{MESSAGE_BYTES_MAX:,} bytes, never null. Record headers are not used. `type` names the schema, its version at the end.

**Duplicates**: a message may come more than once, always with the same `id`. Forget an `id` after a week.

**Order**: messages of one key are in one partition, in the order in which they became true; a repeated one may come
late. Between keys there is no order.

**Changes**: fields are added, never removed, renamed or given another meaning: ignore what you do not know. What cannot
be said so becomes a new version of the type, or a new topic (`.v2`), beside the old one for at least one release.

**Access**: the brokers speak plain Kafka, without TLS and without a login, unless your operators put something before
them; then they tell you. Read with a group of your own, or without any; ours begin with the prefix of the topics.
"""

_ABOUT: Mapping[Topic, str] = {
    RUN_STATUS: "Every fact of every run. `data.seq` counts a run's facts from 1 without a gap: a gap means that one "
    "is still to come, a number that you had means a duplicate. `data.totals` are the run's numbers as of that fact, "
    "so the highest seq has them all. The last one is run.completed: nothing follows.",
    RUN_STATE: "Each run as it is now: the whole of it after each change. Read from the beginning, and keep the "
    "message with the highest `data.revision` of each run: that is every run of the time that is kept, without its "
    "history. The topic is compacted, so older states vanish some hours later. There are no tombstones: a run's last "
    "state goes when it is older than the retention.",
    TABLE_STATUS: "What became of refreshes: an ingestion's table began anew, or could not.",
    COMPLETENESS: "Up to when an ingestion's table has everything that landed. The newest one of an ingestion counts.",
}


def asyncapi(
    bootstrap: str, prefix: str = DEFAULT_PREFIX, *, version: str, replication_factor: int = 1
) -> dict[str, Any]:
    """The document. ``bootstrap`` is what readers connect to: host:port, several separated by commas."""
    servers = _servers(bootstrap)
    topics = [topic for topic in CATALOGUE if topic.is_public]
    messages = [message for topic in topics for message in topic.messages]
    schemas: dict[str, Any] = {}
    for message in messages:
        schema, parts = envelope_of(message, ref_template=_SCHEMAS + "{model}")
        schemas |= {**parts, type_of(message): schema}
    return {
        "asyncapi": ASYNCAPI,
        "info": {
            "title": "Autoloader events",
            "version": version,
            "description": _DESCRIPTION,
            "license": {"name": "Apache 2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": servers,
        "channels": {_name(topic): _channel(topic, prefix, list(servers), replication_factor) for topic in topics},
        "operations": {f"read-{_name(topic)}": _operation(topic) for topic in topics},
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "messages": {type_of(m): _message(m, topic) for topic in topics for m in topic.messages},
        },
    }


def _servers(bootstrap: str) -> dict[str, Any]:
    hosts = [host.strip() for host in bootstrap.split(",") if host.strip()]
    about = "A broker to begin with; it names the others. Plain Kafka: no TLS, no login."
    return {f"kafka-{n}": {"host": host, "protocol": "kafka", "description": about} for n, host in enumerate(hosts, 1)}


def _channel(topic: Topic, prefix: str, servers: Sequence[str], replication_factor: int) -> dict[str, Any]:
    kept = "of each key the latest, " if topic.is_compacted else ""
    return {
        "address": topic.name(prefix),
        "title": topic.suffix,
        "description": f"{_ABOUT[topic]} Key: `{topic.key}`, because {topic.why_that_key}. "
        f"Kept: {kept}{topic.retention.days} days.",
        "servers": [{"$ref": f"#/servers/{name}"} for name in servers],
        "messages": {type_of(m): {"$ref": f"#/components/messages/{type_of(m)}"} for m in topic.messages},
        "bindings": {
            "kafka": {
                "topic": topic.name(prefix),
                "partitions": topic.partitions,
                "replicas": replication_factor,
                "topicConfiguration": {
                    "cleanup.policy": ["compact", "delete"] if topic.is_compacted else ["delete"],
                    "retention.ms": int(topic.retention.total_seconds() * 1000),
                    "max.message.bytes": MESSAGE_BYTES_MAX,
                },
                "bindingVersion": _BINDING,
            }
        },
    }


def _operation(topic: Topic) -> dict[str, Any]:
    channel = f"#/channels/{_name(topic)}"
    return {
        "action": "receive",
        "channel": {"$ref": channel},
        "summary": f"Read {topic.suffix}",
        "messages": [{"$ref": f"{channel}/messages/{type_of(message)}"} for message in topic.messages],
    }


def _message(message: type[Message], topic: Topic) -> dict[str, Any]:
    name = type_of(message)
    return {
        "name": name,
        "title": message.__name__,
        "summary": " ".join((message.__doc__ or "").split()),
        "contentType": CONTENT_TYPE,
        "correlationId": {"location": f"$message.payload#/data/{topic.key}"},
        "payload": {"$ref": f"{_SCHEMAS}{name}"},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "format": "uuid", "description": f"data.{topic.key}, as text."},
                "bindingVersion": _BINDING,
            }
        },
        "examples": [{"name": "one", "summary": f"One {name}", "payload": example_of(message)}],
    }


def _name(topic: Topic) -> str:
    """As in ``run-status-v1``: a name that may stand in a reference."""
    return topic.suffix.translate(_NOT_IN_NAMES)
