"""Everything that can happen to Autoloader, as rules; Hypothesis tells stories made of them, and looks for a bad end.

A story puts files, asks for runs, and lets messages come late, twice, or never. Processes stand still between any two
calls; some die there, some at a named failpoint, some wake up as zombies when another one has their work. Rules that
name somebody take a number: it counts from the newest.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from libs.common import failpoints
from libs.common.contracts.definition import OverwritePolicy
from libs.common.contracts.events import RefreshMode
from libs.common.contracts.topics import FILE_BATCHES, RUN_REQUESTS, TABLE_COMMANDS
from libs.common.messaging.ports import Incoming
from tests.model.invariants import check_always, check_at_rest
from tests.model.process import Mishap, Process
from tests.model.world import BAD_RECORDS_MAX, World
from tests.support.memory_table import MemoryTable, PaperBurnTable, PlainAppendTable

T = TypeVar("T")

KEYS = st.sampled_from(["a.json", "b.json", "c.json", "d.json", "e.json"])
SOMEBODY = st.integers(0, 5)
MODES: st.SearchStrategy[RefreshMode] = st.sampled_from(["full", "new_only", "undo", "clear_history"])
POLICIES: st.SearchStrategy[OverwritePolicy] = st.sampled_from(["skip", "append", "replace", "fail"])
BEGINNINGS: st.SearchStrategy[RefreshMode] = st.sampled_from(["full", "new_only"])
A_WHILE = st.integers(0, 40)
"""Places to stand at; a batch without trouble has about 40."""
FAILPOINTS = (
    "api.before_tx",
    "api.after_tx",
    "relay.after_send",
    "scan.mid_listing",
    "scan.after_page",
    "scan.before_done",
    "exec.after_claim",
    "exec.during_stage",
    "exec.after_stage",
    "exec.after_audit",
    "exec.before_publish",
    "exec.during_publish",
    "exec.after_publish",
    "exec.after_quarantine",
    "exec.after_finalise",
    "refresh.after_generation",
    "refresh.after_drop",
    "refresh.after_create",
    "undo.after_way_cleared",
    "undo.after_name_held",
    "refresh.before_active",
)
"""Where processes of this world can be made to die. The API's two stand in the model's own API; all others in the
services' code."""
_NOT_OF_THIS_WORLD = (
    "swap.", "fill.", "intake.", "arrivals.", "queue.", "webhook.", "api.in_tick", "api.after_tick",
)  # fmt: skip
ELSEWHERE = frozenset(name for name in failpoints.NAMES if name.startswith(_NOT_OF_THIS_WORLD))
"""Where nobody of this world passes: its refreshes drop, it fills no columns, its hints come by themselves, and it has
neither schedules nor webhooks. ``tests/property`` stops at each call of a swap,
``tests/integration/executor/test_filling.py`` at each of a fill, ``tests/faults`` and ``tests/integration`` at the
others."""
ON_THE_WAY_BACK = [name for name in FAILPOINTS if name.startswith("undo.")]
_PASSES = {
    RUN_REQUESTS.name(): ("scan.",),
    FILE_BATCHES.name(): ("exec.",),
    TABLE_COMMANDS.name(): ("refresh.", "undo."),
}
CALLS = (
    "record", "stage", "stage_bad_records", "staged", "publishing", "publish", "published", "publish_bad_records",
    "stage_burn", "burned",
    "stage_replacement", "loaded", "reloads", "remove_bad_records",
    "fence", "seize", "look", "rename", "reached", "create", "carry_history", "end",
)  # fmt: skip
"""Calls to stand right before."""


class Content(StrEnum):
    """What a file holds."""

    ROWS = "two rows"
    NEW_COLUMN = "two rows that have a column of their own"
    BAD_RECORD = "two rows, and a line that is not JSON"
    BROKEN = "two rows, and more such lines than a file may have"


@dataclass
class Tally:
    """What all stories of a machine had in them."""

    stories: int = 0
    steps: int = 0
    struck: Counter[str] = field(default_factory=Counter)


class Autoloader(RuleBasedStateMachine):
    """One ingestion, with as many scanners and executors as the story makes."""

    table_type: ClassVar[type[MemoryTable]] = MemoryTable
    tally: ClassVar[Tally] = Tally()

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.table_type)
        self.tally.stories += 1
        self._is_sound = True

    # --- files land -----------------------------------------------------------------------------------------------

    @initialize(keys=st.lists(KEYS, min_size=1, unique=True), policy=POLICIES, follows=st.booleans())
    def once_upon_a_time(self, keys: list[str], policy: OverwritePolicy, follows: bool) -> None:
        """Some files are there, and somebody wants them in a table."""
        self.world.follows_notifications = follows
        self.world.policies.clear()
        self.world.obey(policy)
        for key in keys:
            self.world.put(key, rows=1)
        self.ask_for_a_run()

    @rule(key=KEYS, content=st.sampled_from(Content))
    def put(self, key: str, content: Content) -> None:
        """Writes a file, or overwrites one."""
        bad = {Content.BAD_RECORD: BAD_RECORDS_MAX, Content.BROKEN: BAD_RECORDS_MAX + 1}.get(content, 0)
        self.world.put(key, rows=2, has_new_column=content is Content.NEW_COLUMN, bad=bad)

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        self.world.delete(key)

    @rule(policy=POLICIES)
    def the_policy_changes(self, policy: OverwritePolicy) -> None:
        """For files that are overwritten, or were."""
        self.world.obey(policy)

    # --- runs and messages ----------------------------------------------------------------------------------------

    @rule()
    def ask_for_a_run(self) -> None:
        self.world.request_run()
        self.world.relay()

    @rule(keys=st.lists(KEYS, min_size=1))
    def the_bucket_tells(self, keys: list[str]) -> None:
        """Of files that have changed, or have not, or are not there; early, late, and more than once."""
        self.world.tell(*keys)

    @rule()
    def hints_begin_a_run(self) -> None:
        """Of nothing but what the bucket told."""
        self.world.request_hinted_run()
        self.world.relay()

    @rule()
    def ask_for_a_backfill(self) -> None:
        """It may find the very files that a run of what is new finds at the same time."""
        self.world.request_backfill()
        self.world.relay()

    @precondition(lambda self: self.world.unfinished_runs())
    @rule(which=SOMEBODY)
    def cancel_a_run(self, which: int) -> None:
        """Whatever it is doing."""
        self.world.cancel_run(_picked(self.world.unfinished_runs(), which))
        self.world.relay()

    @rule(mode=MODES)
    def ask_for_a_refresh(self, mode: RefreshMode) -> None:
        self.world.request_refresh(mode)
        self.world.relay()

    @precondition(lambda self: self.world.outbox.rows)
    @rule()
    def relay(self) -> None:
        self.world.relay()

    @precondition(lambda self: self.world.unheard(self.world.wake_ups()))
    @rule(which=SOMEBODY, how_far=A_WHILE)
    def deliver(self, which: int, how_far: int) -> None:
        """A run request to a scanner, a batch or a command to an executor; in any order."""
        self._work(self.world.deliver(_picked(self.world.unheard(self.world.wake_ups()), which)), how_far)

    @precondition(lambda self: self.world.wake_ups())
    @rule(which=SOMEBODY, how_far=A_WHILE)
    def deliver_again(self, which: int, how_far: int) -> None:
        """As Kafka does whenever an offset was not committed."""
        self._work(self.world.deliver(_picked(self.world.wake_ups(), which)), how_far)

    @precondition(lambda self: self.world.unheard(self.world.wake_ups()))
    @rule(which=SOMEBODY)
    def drop(self, which: int) -> None:
        """Topics that only wake may lose anything."""
        self.world.drop(_picked(self.world.unheard(self.world.wake_ups()), which))

    @precondition(lambda self: self.world.facts())
    @rule(newest_first=st.booleans(), again=st.booleans())
    def tell_the_api(self, newest_first: bool, again: bool) -> None:
        """What happened to its runs, in some order, some of it twice."""
        facts = self.world.facts() if again else self.world.unheard(self.world.facts())
        for fact in reversed(facts) if newest_first else facts:
            self.world.deliver(fact)

    # --- processes ------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.world.processes)
    @rule(who=SOMEBODY, how_far=A_WHILE)
    def go_on(self, who: int, how_far: int) -> None:
        """Also a zombie."""
        self.world.go_on(self._process(who), how_far)

    @precondition(lambda self: self.world.processes)
    @rule(who=SOMEBODY, call=st.sampled_from(CALLS), nth=st.integers(1, 3))
    def go_on_to(self, who: int, call: str, nth: int) -> None:
        """Up to where it is about to make this call, or to its end."""
        self.world.go_on_to(self._process(who), call, nth)

    @precondition(lambda self: self.world.unheard(self.world.wake_ups()))
    @rule(which=SOMEBODY, call=st.sampled_from(CALLS), nth=st.integers(1, 3))
    def freeze_before(self, which: int, call: str, nth: int) -> None:
        """Somebody takes up a message, and stands still right before this call."""
        process = self.world.deliver(_picked(self.world.unheard(self.world.wake_ups()), which))
        assert process is not None
        self.world.go_on_to(process, call, nth)

    @precondition(lambda self: self._batches())
    @rule(which=SOMEBODY)
    def freeze_before_the_publish(self, which: int) -> None:
        """As above, at the most dangerous place of all: from here only the table can stop it."""
        process = self.world.deliver(_picked(self._batches(), which))
        assert process is not None
        self.world.go_on_to(process, "publish")

    @precondition(lambda self: self.world.processes)
    @rule(who=SOMEBODY)
    def see_it_through(self, who: int) -> None:
        self.world.see_through(self._process(who))
        self.world.relay()

    @precondition(lambda self: self.world.processes)
    @rule(who=SOMEBODY, politely=st.booleans())
    def stop(self, who: int, politely: bool) -> None:
        """SIGTERM, after which it may still give back its lease; or SIGKILL."""
        process = self._process(who)
        self.world.move(process, process.ask_to_stop if politely else process.kill)

    @precondition(lambda self: self.world.processes)
    @rule(who=SOMEBODY, mishap=st.sampled_from(Mishap))
    def mishap(self, who: int, mishap: Mishap) -> None:
        self._process(who).mishap = mishap

    @rule(failpoint=st.sampled_from(FAILPOINTS))
    def die_at(self, failpoint: str) -> None:
        """Whoever passes there next."""
        self.world.arm(failpoint)

    @precondition(lambda self: self.world.unheard(self.world.wake_ups()))
    @rule(which=SOMEBODY, where=st.integers(0, len(FAILPOINTS)))
    def deliver_and_die(self, which: int, where: int) -> None:
        """At a point that this work passes, unless it ends before."""
        message = _picked(self.world.unheard(self.world.wake_ups()), which)
        self.world.arm(_picked([name for name in FAILPOINTS if name.startswith(_PASSES[message.topic])], where))
        process = self.world.deliver(message)
        assert process is not None
        self.world.see_through(process)
        self.world.relay()

    # --- time, sweepers, strangers --------------------------------------------------------------------------------

    @rule()
    def leases_run_out(self) -> None:
        self.world.expire_leases()

    @rule(how_far=A_WHILE)
    def sweep(self, how_far: int) -> None:
        self.world.api.ask_again()
        for process in self.world.sweep():
            self._work(process, how_far)

    @precondition(lambda self: self.world.processes)
    @rule()
    def others_take_over(self) -> None:
        """All processes are frozen for longer than their leases; others do their work meanwhile."""
        self.world.expire_leases()
        for process in self.world.sweep():
            self.world.see_through(process)
        self.world.relay()

    @precondition(lambda self: self.world.processes)
    @rule()
    def life_goes_on_without_them(self) -> None:
        """They stay frozen until everything that there is to do has been done by others."""
        self.world.settle()

    @precondition(lambda self: self.world.processes)
    @rule(mode=MODES)
    def the_table_begins_anew_without_them(self, mode: RefreshMode) -> None:
        """A refresh, from the request to its run's end, while they are frozen."""
        self.world.request_refresh(mode)
        self.world.settle()

    @rule(mode=BEGINNINGS, point=st.sampled_from(ON_THE_WAY_BACK))
    def a_refresh_is_regretted(self, mode: RefreshMode, point: str) -> None:
        """As soon as it is done. Whoever brings the old table back dies on the way."""
        self.world.request_refresh(mode)
        self.world.settle()
        self.world.request_refresh("undo")
        self.world.arm(point)
        self.world.relay()

    @precondition(lambda self: self.world.keys_at_stake())
    @rule(which=SOMEBODY, is_gone=st.booleans())
    def a_file_changes_before_the_publish(self, which: int, is_gone: bool) -> None:
        """Whoever takes the batch over has to burn it."""
        key = _picked(self.world.keys_at_stake(), which)
        if is_gone:
            self.world.delete(key)
        else:
            self.world.put(key, rows=2)

    @rule()
    def somebody_else_appends(self) -> None:
        self.world.append_foreign_rows()

    # --- what must be true ----------------------------------------------------------------------------------------

    @invariant()
    def the_invariants_hold(self) -> None:
        self.tally.steps += 1
        self._is_sound = False
        check_always(self.world)
        self._is_sound = True

    def teardown(self) -> None:
        try:
            if self._is_sound:
                self.world.bring_to_rest()
                check_at_rest(self.world)
        finally:
            self.tally.struck += self.world.struck
            self.world.close()

    def _batches(self) -> list[Incoming]:
        return [m for m in self.world.unheard(self.world.wake_ups()) if m.topic == FILE_BATCHES.name()]

    def _process(self, who: int) -> Process:
        return _picked(self.world.processes, who)

    def _work(self, process: Process | None, how_far: int) -> None:
        """And what it enqueued is sent."""
        if process is not None:
            self.world.go_on(process, how_far)
        self.world.relay()


class PlainAppend(Autoloader):
    """A negative control: a publish that only appends."""

    table_type = PlainAppendTable
    tally = Tally()


class PaperBurn(Autoloader):
    """A negative control: a burn that the table never hears of."""

    table_type = PaperBurnTable
    tally = Tally()


def _picked(things: Sequence[T], number: int) -> T:
    return things[-1 - number % len(things)]
