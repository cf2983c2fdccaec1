"""What runs now, as values and as a table."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich.table import Table

from devstack.part import Part
from devstack.records import Records

State = Literal["healthy", "starting", "foreign", "stopped"]

COLOURS: dict[State, str] = {"healthy": "green", "starting": "yellow", "foreign": "cyan", "stopped": "dim"}


@dataclass(frozen=True, slots=True)
class PartStatus:
    """One line of the table."""

    part: str
    state: State
    pid: int | None
    ports: tuple[int, ...]
    version: str
    """Of the running process, else of what `up` would start."""


def state_of(runs: bool, answers: bool) -> State:
    """`foreign`: it answers, but somebody else started it, so `down` will leave it alone."""
    if runs:
        return "healthy" if answers else "starting"
    return "foreign" if answers else "stopped"


async def statuses(parts: Sequence[Part], records: Records) -> list[PartStatus]:
    """Ask every part at the same time."""

    async def one(part: Part) -> PartStatus:
        process, record = records.running(part.name), records.read(part.name)
        # A part without ports is known by its own process alone: its log may be of an earlier life.
        answers = await part.check() if part.ports or process else False
        version = record.version if process and record else part.version
        ports = tuple(port.number for port in part.ports)
        pid = process.pid if process else None
        return PartStatus(part.name, state_of(process is not None, answers), pid, ports, version)

    return list(await asyncio.gather(*(one(part) for part in parts)))


def status_table(found: Sequence[PartStatus]) -> Table:
    """For people."""
    table = Table("part", "state", "pid", "port", "version", box=None, pad_edge=False, header_style="bold")
    for status in found:
        colour = COLOURS[status.state]
        ports = ", ".join(map(str, status.ports)) or "-"
        table.add_row(status.part, f"[{colour}]{status.state}[/]", str(status.pid or "-"), ports, status.version)
    return table
