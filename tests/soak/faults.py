"""What may happen during a soak, as a table that reads like the catalogue (tests/faults/catalogue.py).

Left out, since they rightly ask for a hand: tables that are rolled back (F32), snapshots that are expired (F33),
backups that are restored (F54).
"""

from dataclasses import dataclass

from libs.common.failpoints import NAMES
from tests.soak.parts import cut_all, cut_on, delete_topic, during, restart_broker, restart_spark, store
from tests.soak.people import append, audit, compact, refresh
from tests.soak.processes import armed, freeze, kill, unruly
from tests.soak.strike import Strike
from tests.support.proxy import CutOn, Delay, Freeze, Refuse
from tests.support.s3_proxy import Denied, EmptyLastPage, FailPage, Reset, SlowDown, Trickle, Truncated
from tests.support.spark_server import CATALOG_COMMIT, PUBLISH, PUBLISHED, STAGE


@dataclass(frozen=True, slots=True)
class Fault:
    """``weight`` is how often it comes, as a share of all; ``negative``: it finds a publish that is a plain append."""

    number: str
    weight: int
    words: str
    strike: Strike
    negative: bool = False


EXECUTOR_POINTS = tuple(name for name in NAMES if name.startswith("exec."))
SCANNER_POINTS = tuple(name for name in NAMES if name.startswith("scan."))
API_POINTS = tuple(name for name in NAMES if name.startswith("api."))
REFRESH_POINTS = tuple(name for name in NAMES if name.startswith("refresh."))
AFTER_PUBLISH = armed("kill", "exec.after_publish", nth_max=1)
AROUND_PUBLISH = (CutOn(PUBLISH, "before"), CutOn(PUBLISH, "answered", PUBLISHED))
UNANSWERED = (CutOn(STAGE, "before"), CutOn(STAGE, "sent"), CutOn(PUBLISH, "sent"))
CATALOG = CutOn(CATALOG_COMMIT, "answered")
COMMITS = (CutOn(b"COMMIT", when="before"), CutOn(b"COMMIT", when="answered"))

FAULTS: tuple[Fault, ...] = (
    # catalogue, weight, what happens
    Fault("F01–F14", 8, "a process is killed", kill),
    Fault("F01–F02", 2, "an API is killed at a request", armed("kill", *API_POINTS)),
    Fault("F03", 3, "a relay is killed before it forgets what it has sent", armed("kill", "relay.after_send")),
    Fault("F04–F06", 4, "a scanner is killed at a page", armed("kill", *SCANNER_POINTS)),
    Fault("F07–F14", 8, "an executor is killed at a step of the protocol", armed("kill", *EXECUTOR_POINTS)),
    Fault("F13", 2, "an executor is killed after its publish", AFTER_PUBLISH, negative=True),
    Fault("F15–F18", 2, "an executor is killed in a refresh", armed("kill", *REFRESH_POINTS)),
    Fault("F19", 3, "a process is frozen past its lease", freeze),
    Fault("F19", 4, "an executor is frozen at a step past its lease", armed("stop", *EXECUTOR_POINTS)),
    Fault("F21", 2, "a process sends each message three times, late", unruly("repeat:10")),
    Fault("F22", 2, "a process loses 30 % of the batch messages", unruly("drop:0.3")),
    Fault("F22", 1, "a topic is deleted", delete_topic),
    Fault("F25", 1, "the broker is killed, and comes back", restart_broker),
    Fault("F26", 1, "Spark is killed and comes back", restart_spark),
    Fault("F26", 3, "Spark is cut off around the publish", cut_on("connect", *AROUND_PUBLISH)),
    Fault("F27", 3, "Spark is cut off before its first answer", cut_on("connect", *UNANSWERED)),
    Fault("F27", 2, "all connections to Spark are cut", cut_all("connect")),
    Fault("F28", 1, "Spark hangs", during("connect", Freeze())),
    Fault("F30", 3, "the catalog's answer is lost after its commit", cut_on("catalog", CATALOG, nth_max=4)),
    Fault("F30", 2, "all connections to the catalog are cut", cut_all("catalog")),
    Fault("F31", 6, "another writer appends", append),
    Fault("F32", 2, "somebody compacts a table", compact),
    Fault("F34", 2, "a full refresh", refresh("full")),
    Fault("F35", 3, "a new-only refresh", refresh("new-only")),
    Fault("F36", 6, "Postgres is cut off on COMMIT", cut_on("postgres", *COMMITS, nth_max=5)),
    Fault("F36", 2, "all connections to Postgres are cut", cut_all("postgres")),
    Fault("F36", 1, "Postgres is away, or says nothing", during("postgres", Refuse(), Freeze(), cut_first=True)),
    Fault("F36", 1, "Postgres is slow", during("postgres", Delay(0.05))),
    Fault("F38", 3, "the store says 503", store(SlowDown(share=0.5))),
    Fault("F38", 4, "the store breaks bodies off", store(Reset(1_000, share=0.5), Truncated(1_000, share=0.5))),
    Fault("F38", 1, "the store crawls", store(Trickle(20_000))),
    Fault("F39", 2, "listings fail midway, or end with an empty page", store(FailPage(1, times=3), EmptyLastPage())),
    Fault("F52", 1, "access is revoked for a while", store(Denied())),
    Fault("audit", 3, "an audit", audit),
)  # fmt: skip
