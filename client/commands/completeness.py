"""``autoloader completeness``: up to when everything is loaded, what holds that back, and which files did not come."""

from client.answers import Missed
from client.rest import DEFAULT_API_URL
from client.terminal import Api, Json, Which, connected, found, print_json, print_rows, say


def completeness(ingestion: Which, api: Api = DEFAULT_API_URL, as_json: Json = False) -> None:
    """Say up to when everything is loaded, what holds that back, and which files did not come."""
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
        if told.missed:
            rows = [(m.rule, m.pattern, f"{m.found:,} of {m.expected:,}", _fate(m)) for m in told.missed]
            print_rows(("rule", "expected files", "found", "since"), rows, nothing="")


def _fate(missed: Missed) -> str:
    if missed.arrived_at is not None:
        return f"came late, {missed.arrived_at:%Y-%m-%d %H:%M}"
    return f"missing, {missed.missed_at:%Y-%m-%d %H:%M}"
