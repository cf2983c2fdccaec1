"""``autoloader completeness``: up to when everything is loaded, and what holds that back."""

from client.rest import DEFAULT_API_URL
from client.terminal import Api, Json, Which, connected, found, print_json, print_rows, say


def completeness(ingestion: Which, api: Api = DEFAULT_API_URL, as_json: Json = False) -> None:
    """Say up to when everything is loaded, and what holds that back."""
    with connected(api) as client:
        told = client.completeness(found(client, ingestion))
        if as_json:
            print_json(told)
            return
        if told.watermark is None:
            say("there is no watermark yet")
        else:
            say(f"everything is loaded up to {told.watermark:%Y-%m-%d %H:%M:%S} UTC ({told.lag_s or 0:,.0f} s ago)")
        say(told.note)
        if told.held_by:
            rows = [(f.state, f.file, f"{f.last_modified:%Y-%m-%d %H:%M:%S}", f.why) for f in told.held_by]
            print_rows(("state", "file", "written", "why"), rows, nothing="")
