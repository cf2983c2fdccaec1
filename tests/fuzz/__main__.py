"""``python -m tests.fuzz [schemathesis' options]``: requests made up from the OpenAPI document, against real services.

An installation of its own on the local stack, so that nothing is left behind. Exit code 0 only if at least
``CASES_MIN`` requests were made, none was answered with 5xx, or with a status, a type or a body that the document does
not have, and no service logged a bug.
"""

import asyncio
import json
import os
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.fuzz.seed import KNOWN_VARIABLE, seeded
from tests.support.installation import ROOT, Installation, installation

CASES_MIN = 2000
# What services log when something went wrong that is no user's mistake.
_BUG = re.compile(r'"event": "(\w+\.bug|batch\.failed|scan\.given_up|cluster\.check_failed)"')
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
# One worker: Python 3.11 cannot parse source in two threads at once, which hypothesis does.
OPTIONS = ("--max-examples=25", "--workers=1", "--request-timeout=30", "--continue-on-failure", "--warnings=off")
# The executor shall refresh and audit, and nobody shall wait for it each time.
SETTINGS = {"AUTOLOADER_REFRESH_WAIT_S": "0.5", "AUTOLOADER_WEBHOOK_PRIVATE_ADDRESSES": "true"}


async def main(options: list[str]) -> int:
    """The exit code."""
    async with installation(settings=SETTINGS) as autoloader:
        await asyncio.gather(autoloader.start("scanner"), autoloader.start("executor"))
        async with seeded(autoloader) as known:
            report = await _fuzz(autoloader, json.dumps(known), options)
        bugs = [line for service in autoloader.running for line in service.log if _BUG.search(line)]
    print("\n".join(bugs))
    return _verdict(report, bugs)


async def _fuzz(autoloader: Installation, known: str, options: list[str]) -> dict[str, Any]:
    """What schemathesis found, in its own words, and as its report."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "report.json"
        process = await asyncio.create_subprocess_exec(
            Path(sys.executable).with_name("schemathesis"),
            "run",
            str(autoloader.client.base_url.join("openapi.json")),
            f"--checks={','.join(CHECKS)}",
            "--report=json",
            f"--report-json-path={path}",
            *OPTIONS,
            *options,
            cwd=folder,  # where it leaves what it remembers
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", ""))),
                "SCHEMATHESIS_HOOKS": "tests.fuzz.hooks",
                KNOWN_VARIABLE: known,
            },
        )
        await process.wait()
        report: dict[str, Any] = json.loads(path.read_text())
    return report


def _verdict(report: dict[str, Any], bugs: list[str]) -> int:
    cases = report["test_cases"]["generated"]
    findings = len(report["failures"]) + len(report["errors"]) + len(bugs)
    print(f"fuzz: {cases:,} cases, {findings} findings", flush=True)
    if cases < CASES_MIN:
        print(f"fuzz: fewer than {CASES_MIN:,} cases prove little; is the API up?", flush=True)
    return 0 if report["complete"] and not findings and cases >= CASES_MIN else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
