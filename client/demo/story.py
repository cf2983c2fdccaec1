"""The demo's plot: eleven months land and are loaded, December lands and is loaded alone, the table is counted.

It may be told again on the same stack: files that have landed are not sent again, the ingestion is found by its
name, and a run that finds nothing new says so.
"""

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

from client.answers import Ingestion, Run
from client.demo import report
from client.demo.flights import MonthFile, month_files
from client.demo.follow import follow
from client.demo.lake import Lake
from client.demo.landing import Landing
from client.demo.screen import Screen
from client.demo.settings import DemoSettings
from client.demo.trouble import DemoTrouble
from client.demo.verdict import differences
from client.rest import AutoloaderClient

_MONTHS_BEFORE_DECEMBER = 11


def play(settings: DemoSettings, screen: Screen, *, fresh: bool) -> bool:
    """Plays the whole demo. ``fresh`` starts by removing what an earlier one left.

    Returns:
        Whether the table holds exactly the flights of 2013, each once.

    Raises:
        DemoTrouble, ApiProblem: it could not be played to its end; the message says what to do.
    """
    with AutoloaderClient(settings.api_url) as api, ThreadPoolExecutor(1, "spark") as beside:
        api.ready()
        # Spark's client takes a while to import and connect: that happens while files are written and uploaded.
        connecting = beside.submit(Lake.connect, settings)
        try:
            return _Demo(settings, screen, api, connecting).play(fresh=fresh)
        finally:
            if connecting.exception() is None:
                connecting.result().close()


@dataclass
class _Demo:
    settings: DemoSettings
    screen: Screen
    api: AutoloaderClient
    connecting: "Future[Lake]"
    landed: dict[int, int] = field(default_factory=dict)
    """Rows by month, of every file that is in the bucket."""

    def play(self, *, fresh: bool) -> bool:
        landing = Landing(self.settings)
        there = landing.prepare()
        if fresh:
            there = self._start_over(landing)
        files = month_files()

        self.screen.heading(f"1. January to November land in {self.settings.source_path}")
        self._land(landing, islice(files, _MONTHS_BEFORE_DECEMBER), there, of=_MONTHS_BEFORE_DECEMBER)

        self.screen.heading(f"2. A run loads them into {self.settings.table_name}")
        ingestion = self._ingestion()
        self._load(ingestion)

        self.screen.heading("3. December lands; a second run picks up what is new")
        sent = self._land(landing, files, there, of=1)
        run = self._load(ingestion)
        if run.metrics.files_processed != sent:
            raise DemoTrouble(
                f"{sent} new file landed, but the run loaded {run.metrics.files_processed}",
                f"That is a bug: please report it with {self._url_of(run)}.",
            )

        self.screen.heading("4. What the lake says, read through Spark")
        months, snapshots = self._lake.months(), self._lake.snapshots()
        self.screen.show(report.months_table(months))
        self.screen.show(report.snapshots_table(snapshots))
        wrong = differences(self.landed, months)
        for text in wrong:
            self.screen.line(f"DIFFERENT {text}")
        for text in report.farewell(self.settings, self._url_of(run)) if not wrong else report.remedy():
            self.screen.line(text)
        return not wrong

    @property
    def _lake(self) -> Lake:
        return self.connecting.result()

    def _start_over(self, landing: Landing) -> dict[str, str]:
        self.screen.heading("0. Starting over")
        if (known := self._find_ingestion()) is not None:
            self.api.delete_ingestion(known.id)
        self._lake.drop_table()
        removed = landing.empty()
        self.screen.line(f"removed the ingestion, the table {self.settings.table_name} and {removed} landed files")
        return {}

    def _land(self, landing: Landing, files: Iterable[MonthFile], there: dict[str, str], *, of: int) -> int:
        """Uploads the files that are not ``there`` as they are. Returns how many that were."""
        sent = 0
        with self.screen.bar("landing") as bar:
            for done, file in enumerate(files, start=1):
                if there.get(file.name) != file.etag:
                    landing.put(file)
                    sent += 1
                self.landed[file.month] = file.rows
                bar.show(done, of, f"{file.name}  {file.rows:,} flights")
        if sent < of:
            self.screen.line(f"{of - sent} had landed before and {'was' if of - sent == 1 else 'were'} not sent again")
        return sent

    def _find_ingestion(self) -> Ingestion | None:
        return next((i for i in self.api.ingestions() if i.name == self.settings.ingestion_name), None)

    def _ingestion(self) -> Ingestion:
        """The demo's ingestion: the one from last time, or a new one over a table that is not there yet."""
        start_over = "Start over with `autoloader demo --fresh`, which drops that table."
        known = self._find_ingestion()
        exists = self._lake.has_table()
        if known is not None and known.destination.identifier == self.settings.table_name:
            if not exists and any(run.metrics.files_processed for run in self.api.runs(known.id)):
                # Its files are loaded and will not be read again: somebody dropped the table afterwards.
                raise DemoTrouble(f"the table {self.settings.table_name} is gone, its ingestion is not", start_over)
            self.screen.line(f"ingestion {known.id} is there from last time")
            return known
        if exists:
            # Another history filled it. To load into it would double what it holds.
            raise DemoTrouble(f"the table {self.settings.table_name} is there, but not its ingestion", start_over)
        created = self.api.create_ingestion(self.settings.definition())
        self.screen.line(f"created ingestion {created.id}: {created.source.path} to {created.destination.identifier}")
        return created

    def _load(self, ingestion: Ingestion) -> Run:
        accepted = self.api.start_run(ingestion.id)
        with self.screen.bar("loading") as bar:
            run = follow(self.api, ingestion.id, accepted.run_id, bar)
        if run.status != "success":
            first = run.errors[0].message if run.errors else "it gave no reason"
            raise DemoTrouble(f"the run ended as {run.status}: {first}", f"All of it: {self._url_of(run)}")
        for text in report.run_in_words(run):
            self.screen.line(text)
        return run

    def _url_of(self, run: Run) -> str:
        return f"{self.settings.api_url}/api/v1/ingestions/{run.ingestion_id}/runs/{run.id}"
