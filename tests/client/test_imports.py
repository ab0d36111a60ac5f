"""The client could ship alone, and starts fast."""

from __future__ import annotations

import json
import os
import subprocess
import sys

SERVER_PARTS = (
    *(
        f"taskpush.{part}"
        for part in ("api", "sockets", "tasks", "push", "runner", "store", "app", "settings")
    ),
    *("fastapi", "uvicorn", "apsw", "starlette", "typer", "rich"),
)
SCRIPT = """
import json, sys, time
before = time.perf_counter()
import taskpush.client
print(json.dumps({"seconds": time.perf_counter() - before, "modules": list(sys.modules)}))
"""


def test_importing_the_client_loads_no_part_of_the_server() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, check=True, env=dict(os.environ)
    )
    found = json.loads(ran.stdout)
    print(f"import taskpush.client: {1000 * found['seconds']:.0f} ms")
    assert not set(SERVER_PARTS) & set(found["modules"])
    # Loaded by the first watch.
    assert "socketio" not in found["modules"]
