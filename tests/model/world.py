"""The protocol's world in memory: bucket, ledger, table, broker, and processes that run the real services' code.

What is real: the scanner's and the executor's handlers, the commit protocol, the refresh, the relay, the run lifecycle,
the messages' encoding. In memory: what they speak to, and the API (``api.py``).
"""

import json
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, cast

from libs.common import failpoints
from libs.common.contracts.codec import decode
from libs.common.contracts.definition import (
    Definition,
    Destination,
    OverwritePolicy,
    Partitioning,
    Quality,
    Source,
)
from libs.common.contracts.events import (
    FileBatchPlanned,
    RefreshMode,
    RefreshTable,
    RunFact,
    RunRequested,
    TableRefreshed,
    TableRefreshFailed,
)
from libs.common.contracts.topics import FILE_BATCHES, RUN_REQUESTS, RUN_STATUS, TABLE_COMMANDS, TABLE_STATUS
from libs.common.ids import RunId
from libs.common.ledger.model.files import FileVersion
from libs.common.ledger.model.hints import Hint
from libs.common.ledger.states import FINAL_BATCH_STATES, FileState, ScanState
from libs.common.lifecycle.run import FINAL
from libs.common.messaging.ports import Incoming
from libs.common.storage.engine import Database
from libs.common.storage.relay import OutboxRelay
from tests.model.api import Api
from tests.model.outbox import MemoryOutbox
from tests.model.process import Process
from tests.model.services import Services
from tests.model.time import StoryLoop
from tests.support.crash import Crash
from tests.support.memory_broker import MemoryBroker
from tests.support.memory_ledger import LEASE, MemoryLedger
from tests.support.memory_objects import MemoryObjects
from tests.support.memory_table import MemoryTable
from tests.support.memory_warehouse import Warehouse

BUCKET = "landing"
TO = Destination(catalog="lake", database="demo", table="t", metadata_columns=("_file_path",))
FILES_IN_A_BATCH = 2
BAD_RECORDS_MAX = 1
KEYS_ON_A_PAGE = 2
SWEEP_INTERVAL = timedelta(seconds=10)
ROUNDS_MAX = 20

_WAKING = (RUN_REQUESTS, FILE_BATCHES, TABLE_COMMANDS)
_TELLING = (RUN_STATUS, TABLE_STATUS)
_DEFINITION = Definition(
    name="model",
    cluster_id="local",
    source=Source(path=f"s3://{BUCKET}/data/", max_files_per_trigger=FILES_IN_A_BATCH),
    destination=TO,
    quality=Quality(bad_records_max=BAD_RECORDS_MAX),
)


@dataclass(frozen=True, slots=True)
class Body:
    """What a file version holds: the ids of its rows, and lines that are not JSON. With too many it is never loaded."""

    ids: tuple[int, ...]
    bad: tuple[str, ...] = ()

    @property
    def is_valid(self) -> bool:
        return len(self.bad) <= BAD_RECORDS_MAX


@dataclass
class World:
    """``struck`` counts the failpoints at which something died; ``gone`` are versions that left the source;
    ``follows_notifications``: the last runs look at what the bucket tells, and list nothing;
    ``policies`` are those that the definition ever had for overwritten files, the latest one last."""

    table_type: type[MemoryTable] = MemoryTable
    now: datetime = datetime(2025, 1, 7, tzinfo=UTC)
    bodies: dict[tuple[str, str], Body] = field(default_factory=dict)
    gone: set[tuple[str, str]] = field(default_factory=set)
    processes: list[Process] = field(default_factory=list)
    struck: Counter[str] = field(default_factory=Counter)
    bugs: list[BaseException] = field(default_factory=list)
    follows_notifications: bool = False
    policies: list[OverwritePolicy] = field(default_factory=lambda: [_DEFINITION.source.allow_overwrites])

    def __post_init__(self) -> None:
        self.loop = StoryLoop()
        self.ledger = MemoryLedger(lambda: self.now)
        self.objects = MemoryObjects(page_size=KEYS_ON_A_PAGE)
        self.objects.create_bucket(BUCKET)
        self.warehouse = Warehouse()
        self.api = Api(self.ledger, _DEFINITION)
        self._do = Services(self.api, self.ledger, self.objects, self.warehouse, self.table_type)
        self._broker = MemoryBroker()
        for topic in (*_WAKING, *_TELLING):
            self._broker.create_topic(topic.name(), partitions=1)
        self.outbox = MemoryOutbox(self.ledger)
        self._relay = OutboxRelay(cast("Database", self.outbox), self._broker.publisher())
        self._handled: set[tuple[str, int]] = set()
        self._moving: Process | None = None
        self._rows_written = 0
        self._processes_begun = 0

    # --- the source -----------------------------------------------------------------------------------------------

    def put(self, key: str, *, rows: int, has_new_column: bool = False, bad: int = 0) -> None:
        """Writes a file, over the one that is there. No two rows have the same id, and no two bad lines one text."""
        ids = tuple(range(self._rows_written, self._rows_written + rows))
        self._rows_written += rows
        values: list[dict[str, object]] = [{"id": i, "new": "x"} if has_new_column else {"id": i} for i in ids]
        broken = tuple(f"{{broken {ids[0]}.{n}" for n in range(bad))
        body = "".join(line + "\n" for line in (*map(json.dumps, values), *broken))
        self._leaves(key)
        version = self.objects.put(BUCKET, f"data/{key}", body.encode())
        self.bodies[version.key, version.version_tag] = Body(ids, broken)

    def delete(self, key: str) -> None:
        self._leaves(key)
        self.objects.delete(BUCKET, f"data/{key}")

    def _leaves(self, key: str) -> None:
        if (version := self.objects.buckets[BUCKET].get(f"data/{key}")) is not None:
            self.gone.add((version.key, version.version_tag))

    def current_files(self) -> Iterable[FileVersion]:
        return self.objects.buckets[BUCKET].values()

    def tell(self, *keys: str) -> None:
        """A notification of each of these keys is taken in, whatever is true of it."""
        hints = [Hint(self.api.ingestion_id, BUCKET, f"data/{key}") for key in keys]
        self._play(self.ledger.hints_taker().add(hints))

    def rows(self) -> list[str]:
        """What a reader of the table sees."""
        return self.warehouse.rows(TO)

    # --- the API --------------------------------------------------------------------------------------------------

    def partition_by(self, *columns: str) -> None:
        """Somebody changes the definition."""
        to = TO.model_copy(update={"partitioning": Partitioning(enabled=bool(columns), columns=columns)})
        self.api.definition = self.api.definition.model_copy(update={"destination": to})

    def obey(self, policy: OverwritePolicy) -> None:
        """From now on runs treat overwritten files like this; those that were asked for before keep theirs."""
        definition = self.api.definition
        source = definition.source.model_copy(update={"allow_overwrites": policy})
        self.api.definition = definition.model_copy(update={"source": source})
        self.policies.append(policy)

    def request_run(self) -> None:
        """See ``Api``, which may die in it."""
        self._play(self.api.request_run())

    def request_hinted_run(self) -> None:
        """See ``Api``, which may die in it."""
        self._play(self.api.request_hinted_run())

    def request_backfill(self) -> None:
        """See ``Api``, which may die in it."""
        self._play(self.api.request_backfill())

    def request_refresh(self, mode: RefreshMode) -> None:
        """See ``Api``, which may die in it."""
        self._play(self.api.request_refresh(mode))

    def unfinished_runs(self) -> list[RunId]:
        """As far as the API knows, oldest first."""
        return [run_id for run_id, run in self.api.runs.items() if run.status not in FINAL]

    def cancel_run(self, run_id: RunId) -> None:
        """See ``Api``, which may die in it."""
        self._play(self.api.cancel(run_id))

    # --- the broker -----------------------------------------------------------------------------------------------

    def relay(self) -> None:
        """The relay sends what the outbox holds, and deletes it."""
        if self.outbox.rows:
            self._play(self._relay.round())

    def wake_ups(self) -> list[Incoming]:
        """Run requests, batches and commands, each oldest first. Such messages may be lost: sweepers find the work."""
        return [message for topic in _WAKING for message in self._broker.records(topic.name())]

    def facts(self) -> list[Incoming]:
        """What was told of runs and of tables, each oldest first."""
        return [message for topic in _TELLING for message in self._broker.records(topic.name())]

    def unheard(self, messages: Sequence[Incoming]) -> list[Incoming]:
        """Those that nobody has had yet."""
        return [m for m in messages if (m.topic, m.offset) not in self._handled]

    def drop(self, message: Incoming) -> None:
        self._handled.add((message.topic, message.offset))

    def deliver(self, message: Incoming) -> Process | None:
        """Hands a message to a service, whether or not another one had it: a process that begins to work on it."""
        self._handled.add((message.topic, message.offset))
        envelope = decode(message.value)
        match envelope.message:
            case RunRequested(run_id=run_id):
                return self._begin(f"scanner of run {run_id}", partial(self._do.scan, envelope))
            case FileBatchPlanned(batch_id=batch_id):
                return self._begin(f"executor told of batch {batch_id}", partial(self._do.load, envelope))
            case RefreshTable(refresh_id=refresh_id):
                return self._begin(f"executor of refresh {refresh_id}", partial(self._do.refresh, envelope))
            case RunFact() | TableRefreshed() | TableRefreshFailed() as fact:
                self.api.take_in(fact)
                return None
            case _:
                raise AssertionError(f"nobody reads {envelope.message}")

    # --- scanners and executors -------------------------------------------------------------------------------------

    def sweep(self) -> list[Process]:
        """What the sweepers of scanner and executor find, each taken up by a process of its own."""
        scans = self.loop.run_until_complete(self.ledger.scanner().claimable(requested_before=SWEEP_INTERVAL, limit=4))
        batches = self.loop.run_until_complete(self.ledger.executor().claimable(planned_before=SWEEP_INTERVAL, limit=4))
        refreshes = self.loop.run_until_complete(self.ledger.refresher().claimable(limit=4))
        return [
            *(self._begin(f"scanner taking over run {scan[0]}", partial(self._do.scan_again, scan)) for scan in scans),
            *(self._begin(f"executor taking over batch {i}", partial(self._do.load_again, i)) for i in batches),
            *(self._begin(f"executor taking over refresh {i}", partial(self._do.refresh_again, i)) for i in refreshes),
        ]

    def _begin(self, name: str, work: Callable[[Process], Coroutine[Any, Any, None]]) -> Process:
        self._processes_begun += 1
        process = Process(self.loop, f"{self._processes_begun}: {name}")
        self.processes.append(process)
        self.move(process, lambda: process.begin(work(process)))
        return process

    # --- time and fate ----------------------------------------------------------------------------------------------

    def move(self, process: Process, how: Callable[[], None]) -> None:
        """Every move of a process goes through here, so that a failpoint knows whom it strikes."""
        self._moving = process
        try:
            how()
        finally:
            self._moving = None
        if process.is_over:
            self.bugs += process.bugs
            self.processes.remove(process)

    def go_on(self, process: Process, how_far: int) -> None:
        for _ in range(how_far):
            if process.is_over:
                return
            self.move(process, process.step)

    def go_on_to(self, process: Process, call: str, nth: int = 1) -> None:
        """Up to where it is about to make this call for the nth time, or to its end."""
        for _ in range(nth):
            self.go_on(process, 1)
            while not process.is_over and process.stands_before != call:
                self.go_on(process, 1)

    def see_through(self, process: Process) -> None:
        while not process.is_over:
            self.move(process, process.step)

    def expire_leases(self) -> None:
        self.now += LEASE + timedelta(seconds=1)

    def keys_at_stake(self) -> list[str]:
        """Files, as ``put`` names them, that somebody is about to publish."""
        owners = {process.name for process in self.processes if process.stands_before == "publish"}
        batches = {row.id for row in self.ledger.batches.values() if row.owner in owners}
        files = self.ledger.files.values()
        keys = [f.version.key for f in files if f.state is FileState.BATCHED and f.batch_id in batches]
        keys += [
            row.version.key
            for (batch_id, _), row in self.ledger.replacements.items()
            if row.state is FileState.BATCHED and batch_id in batches
        ]
        return [key.removeprefix("data/") for key in keys]

    def append_foreign_rows(self) -> None:
        """Another writer commits to the table, if it is there: staged snapshots are not on top of it any more."""
        if (table := self.warehouse.tables.get(TO.identifier)) is not None:
            table.append([])

    def arm(self, name: str | None) -> None:
        """Whoever passes this failpoint next dies there."""
        failpoints.arm(f"{name}:raise" if name else None, error=self._strike)

    def _strike(self, name: str) -> BaseException:
        self.struck[name] += 1
        if self._moving is not None:
            self._moving.is_dead = True
        return Crash(name)

    def _play(self, step: Coroutine[Any, Any, object]) -> None:
        """A step that nobody can interrupt, but for a failpoint in it."""
        with suppress(Crash):
            self.loop.run_until_complete(step)

    # --- the end ----------------------------------------------------------------------------------------------------

    def bring_to_rest(self) -> None:
        """Nothing goes wrong any more. Services finish everything, zombies wake up, and a last run finds the rest."""
        self.arm(None)
        zombies = list(self.processes)
        for zombie in zombies:
            zombie.mishap = None
        self.settle()
        for zombie in zombies:
            self.see_through(zombie)
        self.settle()
        for _ in range(ROUNDS_MAX):
            files_before = [row.state for row in self.ledger.files.values()]
            self._look_for_the_rest()
            self.settle()
            if files_before == [row.state for row in self.ledger.files.values()]:
                return
        raise AssertionError("runs find new files for ever")

    def _look_for_the_rest(self) -> None:
        if self.follows_notifications:
            self.tell(*(f.key.removeprefix("data/") for f in self.current_files()))
            self.request_hinted_run()
        else:
            self.request_run()

    def settle(self) -> None:
        """Services finish everything, without those who stand still."""
        for _ in range(ROUNDS_MAX):
            self.expire_leases()
            for process in self.sweep():
                self.see_through(process)
            self.relay()
            for message in self.unheard([*self.wake_ups(), *self.facts()]):
                process_of_message = self.deliver(message)
                if process_of_message is not None:
                    self.see_through(process_of_message)
            self.api.ask_again()
            if self.is_at_rest():
                return
        raise AssertionError("something stays unfinished")

    def is_at_rest(self) -> bool:
        return (
            all(batch.state in FINAL_BATCH_STATES for batch in self.ledger.batches.values())
            and all(scan.state is ScanState.ENDED for scan in self.ledger.scans.values())
            and all(refresh.phase == "ended" for refresh in self.ledger.refreshes.values())
            and all(run.status in FINAL for run in self.api.runs.values())
            and not self.api.is_refreshing
            and not self.outbox.rows
            and not self.unheard(self.facts())
        )

    def close(self) -> None:
        self.arm(None)
        for process in list(self.processes):
            process.kill()
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()
