"""Every answer of REST is one that the OpenAPI document has.

Schemathesis asks what the document allows and what it does not, in sequences too: what a create
answered is read, cancelled, retried and deleted by its links. The two streams are left to
`tests/api`: what they wait for may never come.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest

from taskpush.access.keys import create_key
from taskpush.access.principal import Role
from tests.support.server import ServerProcess

CONFIG = """
[generation]
allow-x00 = true

[[operations]]
include-path = "/api/feed"
parameters = { wait_s = 0 }

[[operations]]
include-path = "/api/tasks/{task_id}/events"
parameters = { wait_s = 0 }
"""


@pytest.mark.parametrize(
    ("examples", "cases"),
    [
        pytest.param(5, 500, id="some"),
        pytest.param(100, 2_000, id="many", marks=[pytest.mark.full, pytest.mark.timeout(600)]),
    ],
)
def test_no_answer_is_undocumented_and_none_is_the_servers_fault(
    tmp_path: Path, examples: int, cases: int
) -> None:
    config, report = tmp_path / "config.toml", tmp_path / "report.json"
    config.write_text(CONFIG)
    key = create_key(
        tmp_path / "data" / "keys.json", "asker", roles=Role, owner="asker", now=time.time()
    )
    with ServerProcess(tmp_path / "data", app="tests.conformance.kinds:push") as server:
        said = subprocess.run(
            [
                Path(sys.executable).with_name("schemathesis"),
                *("--config-file", config, "run", f"{server.url}/openapi.json"),
                *("--header", f"Authorization: Bearer {key}"),
                *("--max-examples", str(examples), "--seed", "1", "--no-color"),
                *("--exclude-path-regex", "stream$", "--request-timeout", "10"),
                # What fits the document may still name no kind, or a task that is not there.
                *("--exclude-checks", "positive_data_acceptance"),
                *("--continue-on-failure", "--report", "json", "--report-json-path", report),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )
        assert "api.unexpected_error" not in server.log, server.log
    assert said.returncode == 0, said.stdout[-20_000:] + said.stderr
    counted = orjson.loads(report.read_bytes())
    assert counted["test_cases"]["generated"] >= cases, counted["test_cases"]
    assert counted["phases"]["stateful"]["status"] == "success"
