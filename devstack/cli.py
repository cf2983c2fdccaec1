"""`autoloader dev`: the local stack's commands as the shell sees them.

What they do is in `actions.py`, imported only when one runs.
"""

from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True, help="The local stack: Postgres, Kafka, MinIO and Spark Connect as ordinary processes."
)

Parts = Annotated[list[str] | None, typer.Argument(help="Only these parts.", show_default=False)]
Services = Annotated[bool, typer.Option("--services", help="Also Autoloader's API, scanner and executor.")]
External = Annotated[
    bool,
    typer.Option(
        "--external",
        envvar="AUTOLOADER_DEV_EXTERNAL",
        help="The four parts run elsewhere (containers): only check them.",
    ),
]


@app.command()
def up(services: Services = False, external: External = False) -> None:
    """Start what is not running, and return when all of it is healthy."""
    from devstack import actions

    raise typer.Exit(actions.run(actions.up, services=services, external=external))


@app.command()
def down(
    parts: Parts = None, wipe: Annotated[bool, typer.Option("--wipe", help="Also remove the data.")] = False
) -> None:
    """Stop what `up` started; nothing else is touched."""
    from devstack import actions

    raise typer.Exit(actions.run(actions.down, parts=parts, wipe=wipe))


@app.command()
def reset() -> None:
    """Stop everything and remove its data; downloads stay."""
    from devstack import actions

    raise typer.Exit(actions.run(actions.down, parts=None, wipe=True))


@app.command()
def restart(parts: Parts = None) -> None:
    """Stop and start again those parts that run now."""
    from devstack import actions

    raise typer.Exit(actions.run(actions.restart, parts=parts))


@app.command(context_settings={"ignore_unknown_options": True})
def run(
    command: Annotated[list[str], typer.Argument(help="What to run, after `--`.")],
    services: Services = False,
    external: External = False,
) -> None:
    """Run a command with the stack up and its addresses in the environment; afterwards stop what was not up before."""
    from devstack import actions

    raise typer.Exit(actions.run(actions.run_command, command=command, services=services, external=external))


@app.command()
def status() -> None:
    """Show every part; exit code 1 unless the four backing parts are healthy."""
    from devstack import actions

    raise typer.Exit(actions.run(actions.status))


@app.command()
def logs(
    parts: Parts = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="How many of each.")] = 20,
) -> None:
    """Show the end of the parts' logs."""
    from devstack import actions

    raise typer.Exit(actions.run(actions.logs, parts=parts, follow=follow, lines=lines))


@app.command()
def env() -> None:
    """Print the stack's addresses as shell exports: eval "$(autoloader dev env)"."""
    from devstack import actions

    raise typer.Exit(actions.run(actions.env))


def main() -> None:
    """Entry point of `python -m devstack`."""
    app()
