"""The package as npm packs it, in an empty folder."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support.server import ROOT, ServerProcess
from tests.web.package import PACKAGE, TSC, built, run_node

USES = """
import { createClient, TaskFailed, type TaskEvent } from "taskpush-client";
import type { TaskView } from "taskpush-client/react";

const client = createClient(process.argv[2]);
const seen: TaskEvent["event_type"][] = [];
const result = await client.run<{ final_iteration: number }>("iterate", { iterations: 3 }, {
  onEvent: (item) => { if (item.event_type !== "resync") seen.push(item.event_type); },
});
const view: TaskView["status"] = "completed";
const why = await client.run("fail").catch((error: unknown) => error);
client.close();
console.log(result.final_iteration, seen.includes("iteration_complete"), view,
  why instanceof TaskFailed && why.error);
"""


def test_it_installs_into_an_empty_folder_with_its_types(
    tmp_path: Path, server: ServerProcess
) -> None:
    built()
    _npm("pack", "--ignore-scripts", "--pack-destination", str(tmp_path), cwd=PACKAGE)
    (archive,) = tmp_path.glob("taskpush-client-*.tgz")
    (tmp_path / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    _npm("install", "--prefer-offline", "--no-audit", "--no-fund", str(archive), cwd=tmp_path)
    installed = {path.name for path in (tmp_path / "node_modules").iterdir()}
    assert {"taskpush-client", "socket.io-client"} <= installed
    assert "react" not in installed
    (tmp_path / "uses.ts").write_text(USES, encoding="utf-8")
    said = run_node("uses.ts", server.url, cwd=tmp_path)
    assert said == "3 true completed component battery does not fit\n"
    options = ("--noEmit", "--strict", "--module", "nodenext", "--target", "es2022")
    types = (
        "--lib",
        "es2023,dom",
        "--types",
        "node",
        "--typeRoots",
        PACKAGE / "node_modules/@types",
    )
    run_node(PACKAGE / TSC, *options, *types, "uses.ts", cwd=tmp_path)


def _npm(*args: str, cwd: Path) -> None:
    done = subprocess.run(
        [ROOT / "scripts/npm", *args], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
