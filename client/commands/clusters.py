"""``autoloader clusters``: where Spark runs, and whether an executor can use it."""

from typing import Annotated

import typer

from client.rest import DEFAULT_API_URL
from client.terminal import BAD_NEWS, Api, Json, connected, print_json, print_rows, say

app = typer.Typer(no_args_is_help=True, help="Where Spark runs, and whether it can be used.")


@app.command("list")
def list_(api: Api = DEFAULT_API_URL, as_json: Json = False) -> None:
    """List the clusters that an ingestion may name."""
    with connected(api) as client:
        clusters = client.clusters()
        if as_json:
            print_json(clusters)
            return
        rows = [(each.id, each.spark_connect_url) for each in clusters]
        print_rows(("cluster", "Spark Connect"), rows, nothing="there is no cluster; set AUTOLOADER_CLUSTERS")


@app.command("test")
def try_out(
    cluster: Annotated[str, typer.Argument(help="The cluster's id.", metavar="CLUSTER")],
    api: Api = DEFAULT_API_URL,
    as_json: Json = False,
) -> None:
    """Have an executor open a session, run a statement and try the catalogs. Exit code 1: no, or no word yet."""
    with connected(api) as client:
        tested = client.test_connection(cluster)
        if as_json:
            print_json(tested)
        else:
            say(f"{tested.status}: {tested.message}")
            if tested.problem and tested.problem.hint:
                say(f"  {tested.problem.hint}")
            if tested.ask_again:
                say(f"  ask again: GET {tested.ask_again}")
            if tested.report:
                rows = [(each.name, "yes" if each.usable else "no", each.problem) for each in tested.report.catalogs]
                print_rows(("catalog", "usable", "problem"), rows, nothing="")
        if tested.status != "success":
            raise typer.Exit(BAD_NEWS)
