"""The generated reference pages say what the code says."""

import importlib.util
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[3] / "docs"


def _pages() -> dict[str, str]:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return dict(module.pages())


@pytest.mark.parametrize(
    "name", ["settings.md", "topics.md", "events.md", "asyncapi.json", "run-lifecycle.md", "openapi.json"]
)
def test_page_is_in_step_with_the_code(name: str) -> None:
    """What `make docs` would write is what is there."""
    assert _pages()[name] == (DOCS / "reference" / name).read_text(), "run make docs"


ROOMS = ("services", "libs", "client", "devstack", "deploy", "tests", "docs", "bench", "domain", "adapters", "runs")
TOP = tuple(f"{room}/" for room in ROOMS)
PATH = re.compile(r"[A-Za-z0-9_./-]+")


def test_the_ten_minute_path_names_files_that_exist() -> None:
    """Every path that the front pages name in backticks or links is there."""
    root = DOCS.parent
    missing = []
    for page in ("ARCHITECTURE.md", "README.md", "CONTRIBUTING.md", "docs/explanation/exactly-once.md"):
        text = (root / page).read_text()
        for word in re.findall(r"`([^`\n]+)`|\]\(([^)\n]+)\)", text):
            name = word[0] or word[1]
            if PATH.fullmatch(name) and name.startswith(TOP):
                # A path inside a service is written as the service sees it.
                inside = [root / "services" / service / name for service in ("api", "scanner", "executor")]
                if not any(path.exists() for path in (root / name, *inside)):
                    missing.append(f"{page}: {name}")
    assert missing == []
