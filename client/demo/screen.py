"""How the demo shows itself: a live bar on a terminal, one plain line per change everywhere else."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn


class Bar(Protocol):
    """Something that is under way."""

    def show(self, done: int, of: int, detail: str = "") -> None:
        """``done`` of ``of`` files; ``of`` may grow, and is 0 while nothing is known."""

    def note(self, text: str) -> None:
        """A line that stays, beside the bar."""


class Screen:
    """Where everything is printed. ``live`` says whether the reader's terminal can redraw a line."""

    def __init__(self, console: Console | None = None) -> None:
        # A pipe has no width: Rich would squeeze tables into 80 columns, and break lines there without `soft_wrap`.
        self._console = console or Console(highlight=False, width=None if sys.stdout.isatty() else 120)
        self.live = self._console.is_terminal

    def heading(self, text: str) -> None:
        self._console.print(f"\n[bold]{text}[/bold]", soft_wrap=True)

    def line(self, text: str) -> None:
        self._console.print(f"  {text}" if text else "", markup=False, soft_wrap=True)

    def show(self, what: RenderableType) -> None:
        self._console.print(what)

    @contextmanager
    def bar(self, title: str) -> Iterator[Bar]:
        if not self.live:
            yield _Lines(self._console, title)
            return
        columns = (
            TextColumn("  {task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("files  {task.fields[detail]}"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._console) as progress:
            yield _LiveBar(progress, progress.add_task(title, total=None, detail=""))


class _LiveBar:
    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def show(self, done: int, of: int, detail: str = "") -> None:
        self._progress.update(self._task, completed=done, total=of or None, detail=detail)

    def note(self, text: str) -> None:
        self._progress.console.print(f"  {text}", markup=False)


class _Lines:
    """The same for a log file: a line whenever something changed, no escape codes."""

    def __init__(self, console: Console, title: str) -> None:
        self._console = console
        self._title = title
        self._last = ""

    def show(self, done: int, of: int, detail: str = "") -> None:
        text = f"{self._title}: {done}/{of} files  {detail}".rstrip()
        if of and text != self._last:
            self._last = text
            self.note(text)

    def note(self, text: str) -> None:
        self._console.print(f"  {text}", markup=False, soft_wrap=True)
