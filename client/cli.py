"""The `autoloader` command. Each group of commands is a Typer app of its own and is mounted here."""

import typer

from client.commands.audits import audit, fill_columns, rebuild_ledger
from client.commands.backfills import backfill
from client.commands.clusters import app as clusters
from client.commands.completeness import completeness
from client.commands.files import explain, files
from client.commands.ingestions import app as ingestion
from client.commands.plans import plan
from client.commands.previews import preview
from client.commands.quarantine import app as quarantine
from client.commands.refreshes import clear_history, refresh, refreshes, undo_refresh
from client.commands.reloads import reload
from client.commands.runs import cancel, retry, run, runs
from client.commands.schemas import approve_columns, reject_columns, roll_back_schema, schema
from client.commands.webhooks import app as webhooks
from client.dead_letters.command import app as dead_letters
from client.demo.command import demo
from client.notifications.command import app as notifications
from devstack.cli import app as dev

app = typer.Typer(
    no_args_is_help=True, help="Keeps Apache Iceberg tables up to date with the files that land in object storage."
)
app.add_typer(ingestion, name="ingestion")
app.add_typer(clusters, name="clusters")
app.command()(preview)
app.command()(run)
app.command()(runs)
app.command()(backfill)
app.command()(plan)
app.command()(reload)
app.command()(cancel)
app.command()(retry)
app.command()(files)
app.command()(explain)
app.command()(completeness)
app.command()(schema)
app.command("approve-columns")(approve_columns)
app.command("reject-columns")(reject_columns)
app.command("roll-back-schema")(roll_back_schema)
app.command("fill-columns")(fill_columns)
app.add_typer(quarantine, name="quarantine")
app.command()(refresh)
app.command()(refreshes)
app.command()(undo_refresh)
app.command()(clear_history)
app.command()(audit)
app.command()(rebuild_ledger)
app.add_typer(notifications, name="notifications")
app.add_typer(webhooks, name="webhooks")
app.add_typer(dev, name="dev")
app.add_typer(dead_letters, name="dead-letters")
app.command()(demo)


@app.command()
def migrate() -> None:
    """Bring the database of DATABASE_URL to the revision that this version needs. Safe to repeat."""
    from libs.common.storage.migrate import main as bring_up_to_date  # SQLAlchemy: half a second for nobody else

    raise typer.Exit(bring_up_to_date())


def main() -> None:
    """Entry point of the console script."""
    app()


if __name__ == "__main__":
    main()
