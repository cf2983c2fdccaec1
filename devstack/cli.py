"""`autoloader dev`: the local stack's commands. Each reads the settings once and hands values on."""

import asyncio
import shlex
import shutil
import signal
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Annotated, Any, NoReturn

import typer
from pydantic import ValidationError

from devstack.console import part_line
from devstack.errors import DevstackError
from devstack.part import Part
from devstack.settings import PREFIX, DevSettings

app = typer.Typer(no_args_is_help=True, help="The local stack: Postgres, Kafka, MinIO and Spark Connect as ordinary processes.")

Parts = Annotated[list[str] | None, typer.Argument(help="Only these parts.", show_default=False)]

INTERRUPTED = 130
"""Exit code after Ctrl-C or TERM, as shells have it."""


@app.command()
def up(
    services: Annotated[bool, typer.Option("--services", help="Also Autoloader's API, scanner and executor.")] = False,
    external: Annotated[bool, typer.Option("--external", help="The four parts run elsewhere (containers): only check them.")] = False,
) -> None:
    """Start what is not running, and return when all of it is healthy."""
    from devstack.parts import all_parts, backing_parts
    from devstack.supervisor import Supervisor, require_answers

    async def work(settings: DevSettings) -> None:
        backing = backing_parts(settings)
        own = all_parts(settings)[len(backing) :] if services else []
        if external:
            await require_answers(backing)
        await Supervisor(settings.state).up([*([] if external else backing), *own])

    _run(_alone(work))


@app.command()
def down(parts: Parts = None, wipe: Annotated[bool, typer.Option("--wipe", help="Also remove the data.")] = False) -> None:
    """Stop what `up` started; nothing else is touched."""
    from devstack.parts import all_parts
    from devstack.supervisor import Supervisor

    async def work(settings: DevSettings) -> None:
        ended = await Supervisor(settings.state).down(_chosen(all_parts(settings), parts))
        if not ended:
            typer.echo("nothing was running")
        if wipe:
            _remove_data(settings)

    if wipe and parts:
        _fail("--wipe removes everything: leave out the names of parts")
    _run(_alone(work))


@app.command()
def restart(parts: Parts = None) -> None:
    """Stop and start those parts that run now, say after a change of a service's code."""
    from devstack.parts import all_parts
    from devstack.supervisor import Supervisor

    async def work(settings: DevSettings) -> None:
        supervisor = Supervisor(settings.state)
        running = [part for part in _chosen(all_parts(settings), parts) if supervisor.records.running(part.name)]
        await supervisor.down(running)
        await supervisor.up(running)

    _run(_alone(work))


@app.command()
def reset() -> None:
    """Stop everything and remove its data; downloads stay."""
    down(parts=None, wipe=True)


@app.command()
def status() -> None:
    """Show every part; exit code 1 unless the four backing parts are healthy."""
    from rich.console import Console

    from devstack.parts import all_parts, backing_parts
    from devstack.status import status_table, statuses
    from devstack.supervisor import Supervisor

    async def work(settings: DevSettings) -> None:
        found = await statuses(all_parts(settings), Supervisor(settings.state).records)
        Console().print(status_table(found))
        if any(status.state not in ("healthy", "foreign") for status in found[: len(backing_parts(settings))]):
            raise typer.Exit(1)

    _run(work)


@app.command()
def logs(
    parts: Parts = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="How many of each.")] = 20,
) -> None:
    """Show the end of the parts' logs."""
    from devstack import logs as reading
    from devstack.parts import all_parts
    from devstack.supervisor import Supervisor

    async def work(settings: DevSettings) -> None:
        supervisor = Supervisor(settings.state)
        paths = {part.name: supervisor.log(part.name) for part in _chosen(all_parts(settings), parts)}
        for path in paths.values():
            if path.exists() or parts:
                typer.echo("\n".join([f"==> {path}", *reading.tail(path, lines)]))
        if follow:
            await reading.follow(paths, lambda part, line: part_line(part)(line))

    _run(work)


@app.command()
def env() -> None:
    """Print the stack's addresses as shell exports: eval "$(autoloader dev env)"."""
    from devstack.environment import client_environment

    for name, value in client_environment(_settings()).items():
        typer.echo(f"export {name}={shlex.quote(value)}")


def main() -> None:
    """Entry point of `python -m devstack`."""
    app()


def _chosen(parts: Sequence[Part], names: Sequence[str] | None) -> list[Part]:
    known = {part.name: part for part in parts}
    for name in names or ():
        if name not in known:
            raise DevstackError(f"there is no part {name!r}; the parts are {', '.join(known)}")
    return [known[name] for name in names] if names else list(parts)


def _remove_data(settings: DevSettings) -> None:
    for name in ("postgres", "kafka", "minio", "spark", "logs", "run", "secrets"):
        shutil.rmtree(settings.state / name, ignore_errors=True)
    typer.echo(f"data removed from {settings.state}")


def _alone(work: Callable[[DevSettings], Awaitable[None]]) -> Callable[[DevSettings], Coroutine[Any, Any, None]]:
    """Two commands that start or stop parts take turns."""
    from devstack.locks import file_lock

    async def locked(settings: DevSettings) -> None:
        async with file_lock(settings.state / "up.lock", part_line("stack"), "another command that starts or stops parts"):
            await work(settings)

    return locked


def _settings() -> DevSettings:
    try:
        return DevSettings()
    except ValidationError as failure:
        problems = [f"{PREFIX}{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}, not {e['input']!r}" for e in failure.errors()]
        _fail("; ".join(problems))


def _run(work: Callable[[DevSettings], Coroutine[Any, Any, None]]) -> None:
    """Run a command: a problem that the reader can act on is one message and exit code 1."""
    # TERM ends a command as Ctrl-C does: what it had started is stopped.
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))
    try:
        asyncio.run(work(_settings()))
    except DevstackError as failure:
        _fail(str(failure))
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def _fail(message: str) -> NoReturn:
    typer.secho(message, fg=typer.colors.RED, err=True)
    raise typer.Exit(1)
