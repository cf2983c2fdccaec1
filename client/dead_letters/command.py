"""``autoloader dead-letters``: arguments and exit codes. What the commands do is in ``actions``."""

from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Messages that could not be handled: look at them, send them back.")

Code = Annotated[str | None, typer.Option("--code", help="Only letters that were set aside with this code.")]


@app.command("list")
def list_(
    topic: Annotated[str | None, typer.Argument(help="Show each letter of this topic.", show_default=False)] = None,
) -> None:
    """Show what waits in the dead-letter topics and was not replayed yet, by code; or each letter of one topic.

    Exit code 0; 2 if Kafka does not answer or there is no such topic.
    """
    from client.dead_letters import actions  # heavy imports wait until somebody really wants them

    raise typer.Exit(actions.run(actions.show(topic)))


@app.command()
def replay(
    topic: Annotated[str, typer.Argument(help="The topic that the letters came from, or its dead-letter topic.")],
    code: Code = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be sent.")] = False,
) -> None:
    """Send dead letters back to their topic, each once.

    Exit code 0 if none had to stay; 1 if some are refused and kept; 2 if Kafka does not answer or there is no such
    topic.
    """
    from client.dead_letters import actions

    raise typer.Exit(actions.run(actions.replay(topic, code=code, dry_run=dry_run)))
