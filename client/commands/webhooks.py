"""``autoloader webhooks``: addresses that are told what happens."""

import time
from itertools import islice
from typing import Annotated, Literal
from uuid import UUID

import typer

from client.rest import DEFAULT_API_URL
from client.terminal import BAD_NEWS, Api, Json, connected, found, print_json, print_rows, say
from client.webhooks import Delivery

app = typer.Typer(no_args_is_help=True, help="Addresses that are told what happens.")

POLL_S = 0.5
_PATIENCE_S = 15.0
WhichWebhook = Annotated[UUID, typer.Argument(help="The webhook's id.", metavar="WEBHOOK")]
WhichDelivery = Annotated[UUID, typer.Argument(help="The delivery's id.", metavar="DELIVERY")]


@app.command()
def create(
    url: Annotated[str, typer.Argument(help="Where to send it: https://…", metavar="URL")],
    event: Annotated[
        list[str] | None,
        typer.Option(
            help="run.finished, run.failed, schema.changed, file.quarantined, file.expected_missing or "
            "file.expected_arrived; may be repeated. All."
        ),
    ] = None,
    ingestion: Annotated[str | None, typer.Option(help="Of this ingestion only: its id, or its name.")] = None,
    description: Annotated[str, typer.Option(help="For people.")] = "",
    api: Api = DEFAULT_API_URL,
    as_json: Json = False,
) -> None:
    """Have an address told what happens. The secret that signs is printed once."""
    with connected(api) as client:
        ingestion_id = None if ingestion is None else found(client, ingestion)
        made = client.webhooks.create(url, event_types=event or (), ingestion_id=ingestion_id, description=description)
        if as_json:
            print_json(made)
        else:
            say(f"webhook {made.id}, told of {', '.join(made.event_types)}")
            say(f"secret, shown only now: {made.secret}")
            say(f"try it out: autoloader webhooks ping {made.id}")


@app.command("list")
def list_(api: Api = DEFAULT_API_URL, as_json: Json = False) -> None:
    """List the webhooks, newest first."""
    with connected(api) as client:
        webhooks = list(client.webhooks.all())
        if as_json:
            print_json(webhooks)
            return
        rows = [
            (w.id, w.url, ", ".join(w.event_types), w.ingestion_id or "all", w.disabled_reason or w.status)
            for w in webhooks
        ]
        print_rows(("webhook", "url", "events", "ingestion", "status"), rows, nothing="there is no webhook")


@app.command()
def delete(webhook: WhichWebhook, api: Api = DEFAULT_API_URL) -> None:
    """Delete a webhook, with the record of what it was told."""
    with connected(api) as client:
        client.webhooks.delete(webhook)
        say("deleted")


@app.command()
def enable(webhook: WhichWebhook, api: Api = DEFAULT_API_URL) -> None:
    """Enable a webhook that was disabled for its failures. What waits is sent at once."""
    with connected(api) as client:
        say(client.webhooks.enable(webhook).status)


@app.command()
def ping(webhook: WhichWebhook, api: Api = DEFAULT_API_URL, as_json: Json = False) -> None:
    """Send a greeting, and wait for the first attempt. Exit code 1: it did not arrive."""
    with connected(api) as client:
        sent = client.webhooks.ping(webhook)
        deadline = time.monotonic() + _PATIENCE_S
        while sent.state == "waiting" and sent.last_error is None and time.monotonic() < deadline:
            time.sleep(POLL_S)
            sent = client.webhooks.delivery(webhook, sent.id)
        if as_json:
            print_json(sent)
        else:
            say(sent.state if sent.last_error is None else f"{sent.state}: {sent.last_error}")
        if sent.state != "delivered":
            raise typer.Exit(BAD_NEWS)


@app.command()
def deliveries(
    webhook: WhichWebhook,
    state: Annotated[
        Literal["waiting", "delivered", "dead"] | None, typer.Option(help="Only these; dead: given up.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, at most.")] = 50,
    api: Api = DEFAULT_API_URL,
    as_json: Json = False,
) -> None:
    """Show what a webhook was told, newest first."""
    with connected(api) as client:
        told = list(islice(client.webhooks.deliveries(webhook, state=state), limit))
        if as_json:
            print_json(told)
            return
        columns = ("delivery", "event", "state", "attempts", "created (UTC)", "next (UTC)", "problem")
        print_rows(columns, [_row(each) for each in told], nothing="it was told nothing yet")


@app.command()
def redeliver(webhook: WhichWebhook, delivery: WhichDelivery, api: Api = DEFAULT_API_URL) -> None:
    """Send a delivery again, under its old id."""
    with connected(api) as client:
        say(client.webhooks.redeliver(webhook, delivery).state)


def _row(d: Delivery) -> tuple[object, ...]:
    return d.id, d.event_type, d.state, d.attempts, d.created_at, d.next_attempt_at, d.last_error
