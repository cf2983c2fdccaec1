"""The command line against a made-up API: what it asks for, what it says, and its exit codes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from typer.testing import CliRunner, Result

from client import terminal
from client.cli import app
from client.commands import runs
from client.rest import AutoloaderClient

ID, OTHER_ID, RUN_ID = (str(UUID(int=n)) for n in (1, 2, 3))
_CLIENT = AutoloaderClient


def ingestion(ingestion_id: str = ID, name: str = "Flights") -> dict[str, Any]:
    return {
        "id": ingestion_id,
        "name": name,
        "status": "draft",
        "cluster_id": "local",
        "source": {"path": "s3://landing/flights/", "credentials_set": True},
        "destination": {"catalog": "lake", "database": "demo", "table": "flights"},
        "definition_version": 2,
        "created_at": "2025-01-07T12:34:56Z",
        "a_field_of_tomorrow": 1,
    }


def a_run(status: str, **more: Any) -> dict[str, Any]:
    numbers = {"files_processed": 2, "records_ingested": 2000, "files_failed": 1, "error_count": 1}
    return {"id": RUN_ID, "ingestion_id": ID, "status": status, "metrics": numbers, **more}


class MadeUpApi:
    """Answers by method and path; several answers to one request come one after the other, the last for ever."""

    def __init__(self) -> None:
        self.answers: dict[str, list[tuple[int, Any]]] = {}
        self.asked: list[httpx.Request] = []
        self.total = 0
        self.trouble: Exception | None = None

    def on(self, request: str, *answers: Any, status: int = 200) -> None:
        self.answers[request] = [(status, answer) for answer in answers]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if self.trouble is not None:
            raise self.trouble
        name = f"{request.method} {request.url.path.removeprefix('/api/v1/ingestions')}"
        if name.endswith("/events") and name not in self.answers:
            return httpx.Response(404, json={"detail": "Not Found"})  # as an API answers that has no such path
        answers = self.answers[name]
        status, answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, bytes):
            return httpx.Response(status, content=answer)
        headers = {"X-Total-Count": str(self.total)}
        return httpx.Response(status, json=answer, headers=headers) if status != 204 else httpx.Response(204)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> MadeUpApi:
    made_up = MadeUpApi()

    def connect(url: str) -> AutoloaderClient:
        return _CLIENT(url, transport=httpx.MockTransport(made_up))

    monkeypatch.setattr(terminal, "AutoloaderClient", connect)
    monkeypatch.setattr(runs, "POLL_S", 0)
    return made_up


Call = Callable[..., Result]


@pytest.fixture
def call() -> Call:
    runner = CliRunner()

    def called(*arguments: str, answer: str | None = None) -> Result:
        return runner.invoke(app, list(arguments), input=answer)

    return called


def test_an_ingestion_is_named_by_id_or_by_name(api: MadeUpApi, call: Call) -> None:
    """A name that several have, or none, is refused with the way out."""
    api.on("GET ", [ingestion(), ingestion(OTHER_ID, "Trains")])
    api.on(f"POST /{ID}/pause", {"status": "paused"})
    api.on(f"POST /{OTHER_ID}/pause", {"status": "paused"})
    assert 0 == call("ingestion", "pause", ID).exit_code
    assert 0 == call("ingestion", "pause", "Trains").exit_code
    assert [f"/{ID}/pause", f"/{OTHER_ID}/pause"] == [
        r.url.path.removeprefix("/api/v1/ingestions") for r in api.asked if r.method == "POST"
    ]
    unknown = call("ingestion", "pause", "Planes")
    assert (2, "no ingestion is named 'Planes'. `autoloader ingestion list` shows them\n") == (
        unknown.exit_code, unknown.stderr
    )  # fmt: skip
    api.on("GET ", [ingestion(), ingestion(OTHER_ID)])
    ambiguous = call("ingestion", "pause", "Flights")
    assert (2, 1) == (ambiguous.exit_code, ambiguous.stderr.count("\n"))
    assert ID in ambiguous.stderr
    assert OTHER_ID in ambiguous.stderr


def test_a_refusal_is_one_line_with_its_remedy(api: MadeUpApi, call: Call) -> None:
    """On stderr; exit code 2."""
    refusal = {"detail": "this ingestion is paused", "code": "ingestion_paused", "hint": "resume it"}
    api.on(f"POST /{ID}/run", refusal, status=409)
    refused = call("run", ID)
    assert (2, "") == (refused.exit_code, refused.stdout)
    assert "this ingestion is paused. resume it [ingestion_paused]\n" == refused.stderr


@pytest.mark.parametrize("suffix", [".yaml", ".json"])
def test_a_definition_comes_from_a_file(api: MadeUpApi, call: Call, tmp_path: Path, suffix: str) -> None:
    """As it is written there."""
    file = tmp_path / f"definition{suffix}"
    file.write_text('{"name": "Flights"}' if suffix == ".json" else "name: Flights\nsource:\n  path: s3://a/b/\n")
    api.on("POST ", ingestion(), status=201)
    assert f"created Flights: {ID}\n" == call("ingestion", "create", "-f", str(file)).stdout
    assert "Flights" == json.loads(api.asked[-1].content)["name"]


def test_what_the_api_warns_of_is_passed_on(api: MadeUpApi, call: Call, tmp_path: Path) -> None:
    """When a definition is sent; programs find it in the answer."""
    file = tmp_path / "definition.json"
    file.write_text("{}")
    warned = {**ingestion(), "warnings": ["another writes to lake.demo.flights as well"]}
    api.on("POST ", warned, status=201)
    api.on(f"PUT /{ID}", warned)
    for command in (("ingestion", "create"), ("ingestion", "update", ID)):
        assert "warning: another writes" in call(*command, "-f", str(file)).stdout
        assert ["another writes to lake.demo.flights as well"] == json.loads(
            call(*command, "-f", str(file), "--json").stdout
        )["warnings"]


@pytest.mark.parametrize("content", [None, "- a\n- b\n", "a: [", "", "name: 2025-01-07\n"])
def test_a_file_that_holds_no_definition_is_refused(call: Call, tmp_path: Path, content: str | None) -> None:
    """Before anything is sent; the file is named."""
    file = tmp_path / "definition.yaml"
    if content is not None:
        file.write_text(content)
    refused = call("ingestion", "create", "-f", str(file))
    assert 2 == refused.exit_code
    assert str(file) in refused.stderr


PREVIEW: dict[str, Any] = {
    "file_count": 10,
    "files": {
        "objects": 12,
        "matching": 10,
        "size_bytes": 1_000_000_000,
        "excluded": [
            {"reason": "its name does not match source.file_pattern *.json", "count": 2, "examples": ["a.txt"]}
        ],
    },
    "sample": {"files": 10, "records": 10000, "bytes_read": 10_485_760, "seconds": 0.912},
    "schema": [
        {"name": "[red]id", "type": "bigint", "null_share": 0.125, "example": 7, "files": 9, "first_file": "a.json"}
    ],
    "sample_rows": [{"[red]id": 7}, {"[red]id": None}],
    "warnings": [{"code": "mixed_types", "message": "field 'v' holds several types", "hint": "keep one"}],
}


def test_a_preview_is_shown_in_one_look(api: MadeUpApi, call: Call, tmp_path: Path) -> None:
    """What would be loaded, what is left out and why, the columns with their evidence, rows, and advice. As JSON it is
    the API's answer. Nothing that it says is kept, so it asks without a key."""
    file = tmp_path / "flights.yaml"
    file.write_text("name: Flights\n")
    api.on("POST /test", PREVIEW)
    said = call("preview", "-f", str(file)).stdout
    for expected in ("10 of 12 objects", "1.0 GB", "10,000 records", "left out: 2", "(such as a.txt)", "[red]id",
                     "12.5%", "9 of 10", "field 'v' holds several types", "keep one"):  # fmt: skip
        assert expected in said
    assert 2 == said.count("[red]id")
    assert "Idempotency-Key" not in api.asked[-1].headers
    assert PREVIEW["schema"] == json.loads(call("preview", "-f", str(file), "--json").stdout)["schema"]


def a_connection_test(status: str, **more: Any) -> dict[str, Any]:
    return {
        "test_id": ID,
        "cluster_id": "local",
        "spark_connect_url": "sc://localhost:15002",
        "status": status,
        "message": f"it is {status}",
        **more,
    }


def test_clusters_are_listed(api: MadeUpApi, call: Call) -> None:
    """With their addresses."""
    api.on("GET /api/v1/clusters", [{"id": "local", "spark_connect_url": "sc://localhost:15002"}])
    assert "sc://localhost:15002" in call("clusters", "list").stdout
    assert "local" == json.loads(call("clusters", "list", "--json").stdout)[0]["id"]


@pytest.mark.parametrize(
    ("answer", "exit_code", "said"),
    [
        (
            a_connection_test(
                "success", report={"spark_version": "4.1.1", "catalogs": [{"name": "c", "usable": True}]}
            ),
            0,
            "yes",
        ),
        (
            a_connection_test(
                "failed", problem={"error_type": "spark_unreachable", "message": "m", "hint": "start it"}
            ),
            1,
            "start it",
        ),
        (a_connection_test("pending", ask_again="/api/v1/clusters/local/connection-tests/1"), 1, "ask again: GET /api"),
    ],
)
def test_a_connection_test_ends_with_its_verdict(
    api: MadeUpApi, call: Call, answer: dict[str, Any], exit_code: int, said: str
) -> None:
    """What was found, what to do, or where to ask again; cluster names may hold anything."""
    api.on("POST /api/v1/clusters/a b/test-connection", answer)
    tested = call("clusters", "test", "a b")
    assert (exit_code, True, True) == (tested.exit_code, answer["message"] in tested.stdout, said in tested.stdout)


def test_json_is_what_the_api_said(api: MadeUpApi, call: Call) -> None:
    """Also fields that this client does not know."""
    api.on("GET ", [ingestion()])
    api.on(f"GET /{ID}", ingestion())
    for command in (("ingestion", "list"), ("ingestion", "show", ID)):
        said = json.loads(call(*command, "--json").stdout)
        shown = said[0] if isinstance(said, list) else said
        assert (1, "Flights") == (shown["a_field_of_tomorrow"], shown["name"])


def test_lists_without_an_entry_say_what_to_do(api: MadeUpApi, call: Call) -> None:
    """Instead of an empty frame."""
    api.on("GET ", [])
    api.on(f"GET /{ID}/runs", [])
    api.on(f"GET /{ID}/files", [])
    assert "ingestion create" in call("ingestion", "list").stdout
    assert "autoloader run" in call("runs", ID).stdout
    assert "no such file" in call("files", ID, "--state", "failed").stdout


def test_tables_are_not_cut_in_a_pipe(api: MadeUpApi, call: Call) -> None:
    """And brackets in a name are only brackets."""
    api.on("GET ", [ingestion(name="[red]" + "x" * 60)])
    listed = call("ingestion", "list").stdout
    for whole in ("[red]" + "x" * 60, "s3://landing/flights/", "lake.demo.flights", ID):
        assert whole in listed


@pytest.mark.parametrize(("status", "exit_code"), [("success", 0), ("partial", 1), ("failed", 1), ("cancelled", 1)])
def test_a_watched_run_ends_with_its_verdict(api: MadeUpApi, call: Call, status: str, exit_code: int) -> None:
    """An API that restarts meanwhile is waited for."""
    api.on(f"POST /{ID}/run", {"run_id": RUN_ID, "status": "accepted", "queued": False}, status=202)
    api.on(f"GET /{ID}/runs/{RUN_ID}")
    away = {"detail": "away", "code": "database_unavailable"}
    error = {"file": "s3://landing/b.json", "line": 17, "error_type": "x", "message": "not JSON", "hint": "repair it"}
    api.answers[f"GET /{ID}/runs/{RUN_ID}"] = [
        (200, a_run("running")), (503, away), (200, a_run(status, errors=[error], warnings=["odd"]))
    ]  # fmt: skip
    watched = call("run", ID, "--watch")
    assert exit_code == watched.exit_code, watched.output
    assert f"{status}: 2 files, 2,000 records" in watched.stdout
    assert "s3://landing/b.json:17: not JSON (repair it)" in watched.stdout
    assert "warning: odd" in watched.stdout


def events(*states: dict[str, Any]) -> bytes:
    return b"".join(b"id: 1\nevent: progress\ndata: " + json.dumps(each).encode() + b"\n\n" for each in states)


def test_a_watched_run_is_told_not_asked_for(api: MadeUpApi, call: Call) -> None:
    """One request to the end."""
    api.on(f"POST /{ID}/run", {"run_id": RUN_ID, "status": "accepted", "queued": False}, status=202)
    api.on(f"GET /{ID}/runs/{RUN_ID}/events", b": still here\n\n" + events(a_run("running"), a_run("success")))
    watched = call("run", ID, "--watch", "--json")
    assert (0, "success") == (watched.exit_code, json.loads(watched.stdout)["status"])
    assert ["POST", "GET"] == [request.method for request in api.asked]


@pytest.mark.parametrize("stream", [events(a_run("running")), events(a_run("running"))[:-9], b""])
def test_a_watched_run_whose_stream_breaks_off_is_asked_for(api: MadeUpApi, call: Call, stream: bytes) -> None:
    """The API restarts, or something between does not let streams through."""
    api.on(f"POST /{ID}/run", {"run_id": RUN_ID, "status": "accepted", "queued": False}, status=202)
    api.on(f"GET /{ID}/runs/{RUN_ID}/events", stream)
    api.on(f"GET /{ID}/runs/{RUN_ID}", a_run("running"), a_run("success"))
    assert 0 == call("run", ID, "--watch").exit_code


def test_a_run_that_is_unknown_cannot_be_watched(api: MadeUpApi, call: Call) -> None:
    """One line, as for one that is shown."""
    unknown = {"detail": "no run has this id", "code": "unknown_run", "hint": "list them"}
    api.on(f"GET /{ID}/runs/{RUN_ID}", unknown, status=404)
    refused = call("runs", ID, RUN_ID, "--watch")
    assert (2, "no run has this id. list them [unknown_run]\n") == (refused.exit_code, refused.stderr)


def test_a_run_that_is_not_watched_is_only_asked_for(api: MadeUpApi, call: Call) -> None:
    """Its id is all that scripts need."""
    api.on(f"POST /{ID}/run", {"run_id": RUN_ID, "status": "accepted", "queued": True}, status=202)
    api.on(f"POST /{ID}/runs/{RUN_ID}/retry", {"run_id": RUN_ID, "status": "accepted", "queued": False}, status=202)
    assert f"accepted: {RUN_ID} (it waits for the run before it)\n" == call("run", ID).stdout
    assert RUN_ID == json.loads(call("retry", ID, RUN_ID, "--json").stdout)["run_id"]


def test_more_files_than_a_page_are_fetched(api: MadeUpApi, call: Call) -> None:
    """As many as were asked for; how many there are is said."""
    file = {"uri": "s3://b/k", "key": "k", "state": "failed", "size_bytes": 1, "error": "why [not]"}
    api.on(f"GET /{ID}/files", [file] * 100, [file] * 20)
    api.total = 1000
    listed = call("files", ID, "--limit", "120", "--state", "failed")
    assert [("100", "0", "failed"), ("20", "100", "failed")] == [
        (q["limit"], q["offset"], q["state"]) for q in (r.url.params for r in api.asked)
    ]
    assert "120 of 1,000" in listed.stdout
    assert "why [not]" in listed.stdout


def test_an_answer_that_does_not_come_in_time_may_have_been_given(api: MadeUpApi, call: Call) -> None:
    """The destructive request was taken: nobody shall be told that nothing is there."""
    api.trouble = httpx.ReadTimeout("late")
    told = call("refresh", ID, "--yes")
    assert 2 == told.exit_code
    assert "may have been done" in told.stderr


def test_an_address_that_is_none_is_one_line(call: Call) -> None:
    """And no trace."""
    told = call("ingestion", "list", "--api", "http://[::1")
    assert (2, 1) == (told.exit_code, told.stderr.count("\n"))
    assert "is no address" in told.stderr


def test_an_explanation_reads_from_top_to_bottom(api: MadeUpApi, call: Call) -> None:
    """Verdict, evidence, what to do."""
    told = {"uri": "s3://b/k", "verdict": "failed", "evidence": ["one", "two"], "next_action": "repair it"}
    api.on(f"GET /{ID}/files/explain", told)
    assert "failed: s3://b/k\n  - one\n  - two\nnext: repair it\n" == call("explain", ID, "k").stdout
    assert "k" == api.asked[-1].url.params["key"]


def test_the_quarantine_is_shown_with_the_first_bad_records(api: MadeUpApi, call: Call) -> None:
    """Each file with its counts; where all of them are; and how many more files there are."""
    api.on(f"GET /{ID}", ingestion())
    first = [{"line": 3, "reason": "not JSON", "raw": "what?"}, {"line": None, "reason": "odd", "raw": None}]
    file = {"file": "s3://b/k", "table": "c.d.t__quarantine", "records_loaded": 1000, "records_quarantined": 2}
    api.on(f"GET /{ID}/quarantine", [{**file, "first": first}])
    api.total = 4
    assert [
        "s3://b/k: 2 set aside, 1,000 loaded",
        "  line 3: not JSON",
        "    what?",
        "  line ?: odd",
        "all of them, whole, are in c.d.t__quarantine",
        "1 of 4 files; --limit shows more",
    ] == call("quarantine", "list", ID, "--file", "k").stdout.splitlines()
    assert ("k", "20") == tuple(api.asked[-1].url.params[name] for name in ("file", "limit"))
    api.on(f"GET /{ID}/quarantine", [])
    api.total = 0
    assert "no file has records in the quarantine\n" == call("quarantine", "list", ID).stdout


def test_a_replay_is_a_run(api: MadeUpApi, call: Call) -> None:
    """Of all files with bad records, or of those that are named."""
    api.on(f"GET /{ID}", ingestion())
    api.on(f"POST /{ID}/quarantine/replay", {"run_id": RUN_ID, "status": "accepted"}, status=202)
    for files, sent in (((), {}), (("a", "s3://b/k"), {"files": ["a", "s3://b/k"]})):
        assert RUN_ID in call("quarantine", "replay", ID, *files).stdout
        assert sent == json.loads(api.asked[-1].content)


@pytest.mark.parametrize(("status", "exit_code"), [("accepted", 0), ("partial_failure", 1)])
def test_a_refresh_asks_first(api: MadeUpApi, call: Call, status: str, exit_code: int) -> None:
    """Unless told not to; a no changes nothing. Exit code 1 if not all of it is known to be done."""
    api.on(f"GET /{ID}", ingestion())
    done = {"operation": "table_dropped", "status": "success", "details": "kept as x"}
    api.on(f"POST /{ID}/refresh/new-only", {"status": status, "message": "anew", "operations": [done]}, status=202)
    declined = call("refresh", ID, "--mode", "new-only", answer="n\n")
    assert (1, ["GET"]) == (declined.exit_code, [r.method for r in api.asked])
    accepted = call("refresh", ID, "--mode", "new-only", "--no-auto-run", answer="y\n")
    assert exit_code == accepted.exit_code
    assert "success: table_dropped (kept as x)" in accepted.stdout
    sent = {"confirm": True, "dry_run": False, "auto_run": False, "strategy": "drop"}
    assert sent == json.loads(api.asked[-1].content)


def test_a_refresh_may_leave_the_old_rows_until_all_is_loaded(api: MadeUpApi, call: Call) -> None:
    """It asks about what readers will see, and sends the strategy."""
    api.on(f"GET /{ID}", ingestion())
    waits = {"operation": "table_replaced", "status": "pending", "details": "the old rows stay"}
    api.on(f"POST /{ID}/refresh/full", {"status": "accepted", "message": "", "operations": [waits]}, status=202)
    told = call("refresh", ID, "--strategy", "swap", answer="y\n")
    assert "see the old rows until the files are loaded" in told.stdout
    assert "pending: table_replaced (the old rows stay)" in told.stdout
    assert "swap" == json.loads(api.asked[-1].content)["strategy"]


def test_columns_are_filled_and_the_counts_told(api: MadeUpApi, call: Call) -> None:
    """Those that are named, or all; a refusal ends as any other."""
    done = {
        "status": "done",
        "report": {"rows_changed": 1200, "columns": [{"column": "discount", "filled": 1200, "unfit": 3}]},
    }
    api.on(f"POST /{ID}/schema/fill", {"fill_id": RUN_ID, "status": "requested"}, status=202)
    api.on(f"GET /{ID}/schema/fills/{RUN_ID}", done)
    told = call("fill-columns", ID, "discount")
    assert (0, ["discount"]) == (told.exit_code, json.loads(api.asked[0].content)["columns"]), told.output
    assert "1,200 rows changed" in told.stdout
    assert 3 == json.loads(call("fill-columns", ID, "--json").stdout)["columns"][0]["unfit"]
    assert None is json.loads(api.asked[-2].content)["columns"]
    problem = {"error_type": "cannot_fill", "message": "no such column", "hint": "look"}
    api.on(f"GET /{ID}/schema/fills/{RUN_ID}", {"status": "failed", "problem": problem})
    refused = call("fill-columns", ID, "nope")
    assert (2, "no such column. look\n") == (refused.exit_code, refused.stderr)


def test_a_dry_run_needs_no_leave(api: MadeUpApi, call: Call) -> None:
    """It says what would be done."""
    told = {
        "status": "dry_run",
        "message": "would begin anew",
        "would_perform": [{"operation": "table_dropped", "details": "set aside"}],
        "impact": {"files_to_process": 3, "files_skipped": 0},
    }
    api.on(f"POST /{ID}/refresh/full", told, status=202)
    said = call("refresh", ID, "--dry-run").stdout
    assert "would do: table_dropped (set aside)" in said
    assert "3 files to load, 0 skipped" in said


def test_an_undo_takes_the_latest_refresh_if_none_is_named(api: MadeUpApi, call: Call) -> None:
    """Of those that can be undone; it asks first."""
    asked = {"mode": "full", "status": "accepted", "message": "done", "timestamp": "2025-01-07T12:34:56Z"}
    failed = {**asked, "refresh_id": OTHER_ID, "operations": [{"operation": "table_dropped", "status": "failed"}]}
    undoable = {**asked, "refresh_id": RUN_ID, "undo_until": "2025-01-14T12:34:56Z"}
    api.on(f"GET /{ID}", ingestion())
    api.on(f"GET /{ID}/refresh", [failed, undoable])
    api.on(f"POST /{ID}/refresh/{RUN_ID}/undo", {**asked, "mode": "undo", "message": "it comes back"}, status=202)
    listed = call("refreshes", ID).stdout
    assert "failed" in listed
    assert "2025-01-14 12:34:56" in listed
    told = call("undo-refresh", ID, answer="y\n")
    assert (0, True) == (told.exit_code, "it comes back" in told.stdout), told.output
    assert "lake.demo.flights" in told.stdout
    api.on(f"GET /{ID}/refresh", [failed])
    nothing = call("undo-refresh", ID, "--yes")
    assert (2, "there is no refresh that could be undone\n") == (nothing.exit_code, nothing.stderr)


def test_clearing_the_history_warns_first(api: MadeUpApi, call: Call) -> None:
    """Of rows that will be there twice, and where."""
    api.on(f"GET /{ID}", ingestion())
    told = {"status": "accepted", "message": "cleared", "warnings": ["they will be there twice"]}
    api.on(f"DELETE /{ID}/processed-files", told, status=202)
    assert (1, ["GET"]) == (call("clear-history", ID, answer="n\n").exit_code, [r.method for r in api.asked])
    cleared = call("clear-history", ID, answer="y\n")
    assert 0 == cleared.exit_code, cleared.output
    assert "lake.demo.flights twice" in cleared.stdout
    assert "note: they will be there twice" in cleared.stdout
    assert "true" == api.asked[-1].url.params["confirm"]


def test_deleting_asks_and_names_what_stays(api: MadeUpApi, call: Call) -> None:
    """The table."""
    api.on(f"GET /{ID}", ingestion())
    api.on(f"DELETE /{ID}", None, status=204)
    asked = call("ingestion", "delete", ID, answer="y\n")
    assert 0 == asked.exit_code
    assert "lake.demo.flights stays" in asked.stdout
    assert "keep" == api.asked[-1].url.params["table"]


def test_a_dropped_table_is_told_where_it_is(api: MadeUpApi, call: Call) -> None:
    """And that it is not known yet, if it is not."""
    api.on(f"GET /{ID}", ingestion())
    done = {"operation": "table_dropped", "status": "success", "details": "kept as x"}
    api.on(f"DELETE /{ID}", {"status": "accepted", "message": "gone", "operations": [done]}, status=202)
    dropped = call("ingestion", "delete", ID, "--drop-table", answer="y\n")
    assert (0, "drop") == (dropped.exit_code, api.asked[-1].url.params["table"]), dropped.output
    assert "lake.demo.flights gets another name" in dropped.stdout
    assert "kept as x" in dropped.stdout
    api.on(f"DELETE /{ID}", {"status": "partial_failure", "message": "not done: Spark is away"}, status=202)
    assert 1 == call("ingestion", "delete", ID, "--drop-table", "--yes").exit_code


def test_the_columns_and_how_they_came_to_be(call: Call, api: MadeUpApi) -> None:
    """What they are; and with --history each change, with the file and the value that asked for it."""
    columns = [{"name": "id", "type": "bigint"}]
    api.on("GET ", [ingestion()])
    api.on(f"GET /{ID}/schema", {"version": 2, "columns": columns, "mode": "rescue"})
    told = call("schema", "Flights").output
    assert "bigint" in told
    assert "version 2; schema_evolution_mode is rescue" in told
    changes = [
        {"kind": "changed", "column": "id", "type": "bigint", "before": "int", "file": "s3://b/a.json", "example": "7"},
        {"kind": "added", "column": "x", "type": "date"},
        {"kind": "dropped", "column": "y", "before": "date"},
    ]
    version = {"version": 2, "columns": columns, "changes": changes, "created_at": "2025-01-07T12:34:56Z"}
    api.on(f"GET /{ID}/schema/versions", [version])
    told = call("schema", "Flights", "--history").output
    assert "id was int, and is bigint" in told
    assert "s3://b/a.json" in told
    assert "x date is new" in told
    assert "y date is gone" in told
    [shown] = json.loads(call("schema", "Flights", "--history", "--json").output)
    assert (changes[0], columns) == (shown["changes"][0], shown["columns"])


@pytest.mark.parametrize(("command", "path"), [("approve-columns", "approve"), ("reject-columns", "reject")])
def test_somebody_decides_about_columns(call: Call, api: MadeUpApi, command: str, path: str) -> None:
    """Of these, or of all that wait; what waits still is shown with a value."""
    held = {"column": "meta.ts", "type": "string", "file": "s3://b/a.json", "example": "7"}
    shown = {"version": 2, "columns": [{"name": "id", "type": "bigint"}], "mode": "none", "rejected": ["id", "x"]}
    api.on(f"GET /{ID}", ingestion())
    api.on(f"POST /{ID}/schema/{path}", {**shown, "held": [held]})
    told = call(command, ID, "region", "meta.x").output
    assert {"columns": ["region", "meta.x"]} == json.loads(api.asked[-1].content)
    assert "waits for a decision: 7 in s3://b/a.json" in told
    assert "rejected: not filled" in told
    assert "rejected: x\n" in told
    call(command, ID)
    assert {"columns": None} == json.loads(api.asked[-1].content)


def test_a_rollback_says_what_stays(call: Call, api: MadeUpApi) -> None:
    """What cannot be taken back, in words."""
    kept = [{"kind": "changed", "column": "id", "type": "bigint", "before": "int"}]
    api.on(f"GET /{ID}", ingestion())
    api.on(f"POST /{ID}/schema/rollback", {"version": 2, "columns": [], "mode": "none", "kept": kept})
    assert "stays as it is: id was int, and is bigint" in call("roll-back-schema", ID, "1").output
    assert {"version": 1} == json.loads(api.asked[-1].content)


def test_completeness_names_what_holds_the_watermark_back(api: MadeUpApi, call: Call) -> None:
    """Or says that there is none yet."""
    held = {"file": "s3://b/k", "state": "failed", "why": "not JSON", "last_modified": "2025-01-07T12:20:16Z"}
    told = {"watermark": "2025-01-07T12:20:11Z", "lag_s": 890.2, "listed_from": None, "note": "held back"}
    missed = {"rule": "daily", "pattern": "dt=2025-01-06/*", "expected": 24, "found": 23, "arrived_at": None}
    late = {**missed, "pattern": "dt=2025-01-05/*", "arrived_at": "2025-01-06T05:00:00Z"}
    both = [{**each, "missed_at": "2025-01-06T01:00:00Z"} for each in (missed, late)]
    api.on(f"GET /{ID}/completeness", {**told, "held_by": [held], "missed": both})
    shown = call("completeness", ID).stdout
    assert "23 of 24" in shown
    assert "missing, 2025-01-06 01:00" in shown
    assert "came late, 2025-01-06 05:00" in shown
    assert shown.startswith("everything is loaded up to 2025-01-07 12:20:11 UTC (890 s ago)\nheld back\n")
    assert "s3://b/k" in shown
    api.on(f"GET /{ID}/completeness", {**told, "held_by": [], "watermark": None, "lag_s": None})
    assert "there is no watermark yet\nheld back\n" == call("completeness", ID).stdout
