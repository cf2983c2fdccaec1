"""A bucket's configuration of notifications, with an entry of ours added. Pure: what others have there stays."""

from collections.abc import Mapping
from typing import Any, Literal

from client.notifications.place import CREATED, Place

Change = Literal["there", "added", "changed"]
Configuration = Mapping[str, Any]
_QUEUES = "QueueConfigurations"


def entry(place: Place, target: str) -> dict[str, Any]:
    """What has a bucket tell ``target`` of the objects of a place."""
    rules = [{"Name": name, "Value": value} for name, value in (("prefix", place.prefix), ("suffix", place.suffix))]
    asked = {"Id": place.entry_id, "QueueArn": target, "Events": [CREATED]}
    filtered = [rule for rule in rules if rule["Value"]]
    return {**asked, "Filter": {"Key": {"FilterRules": filtered}}} if filtered else asked


def merged(current: Configuration, place: Place, target: str) -> tuple[dict[str, Any], Change]:
    """The configuration to write, and what it changes. An entry of ours for the same prefix gives way; one of others
    that tells the target already is enough."""
    entries = list(current.get(_QUEUES, ()))
    if any(_covers(each, place, target) for each in entries):
        return dict(current), "there"
    others = [each for each in entries if each.get("Id") != place.entry_id]
    change: Change = "added" if len(others) == len(entries) else "changed"
    return {**current, _QUEUES: [*others, entry(place, target)]}, change


def is_kept(before: Configuration, after: Configuration, place: Place) -> bool:
    """Whether everything that others had is there still: somebody may have written at the same time."""
    others = [each for each in before.get(_QUEUES, ()) if each.get("Id") != place.entry_id]
    kinds = [kind for kind in before if kind != _QUEUES]
    return all(_known(each) in map(_known, after.get(_QUEUES, ())) for each in others) and all(
        before[kind] == after.get(kind) for kind in kinds
    )


def _covers(other: Mapping[str, Any], place: Place, target: str) -> bool:
    rules = _rules(other)
    return (
        other.get("QueueArn") == target
        and CREATED in other.get("Events", ())
        and (other.get("Id") != place.entry_id or rules == _rules(entry(place, target)))
        and place.prefix.startswith(rules.get("prefix", ""))
        and place.suffix.endswith(rules.get("suffix", ""))
    )


def _rules(other: Mapping[str, Any]) -> dict[str, str]:
    """Stores write the names of rules in small letters, or with a capital."""
    rules = other.get("Filter", {}).get("Key", {}).get("FilterRules", ())
    return {rule["Name"].lower(): rule["Value"] for rule in rules}


def _known(other: Mapping[str, Any]) -> tuple[object, ...]:
    return (other.get("QueueArn"), sorted(other.get("Events", ())), _rules(other))
