"""A page's token that ends while it watches: the TypeScript client goes on by the next one."""

from __future__ import annotations

import json
import time
from pathlib import Path

from taskpush.access.keys import create_key
from taskpush.access.principal import OWNERS_ROLES
from tests.support.server import ServerProcess
from tests.web.package import PACKAGE, run_node

TTL_S = 2
WATCH = """
const [source, url, key, task] = process.argv.slice(1);
const { createClient } = await import(source);
let tokens = 0;
const token = async () => {
  const body = JSON.stringify({ task_id: task, rights: ["read"], ttl_s: %d });
  const headers = { Authorization: `Bearer ${key}`, "Content-Type": "application/json" };
  const answer = await fetch(`${url}/api/tokens`, { method: "POST", headers, body });
  tokens += 1;
  return (await answer.json()).token;
};
const client = createClient(url, { token });
const states = [];
client.on("connection", ({ state }) => states.push(state));
const seqs = [];
for await (const item of client.watch(task)) {
  if (item.seq) seqs.push(item.seq);
  if (tokens === 4) break;
}
client.close();
console.log(JSON.stringify({ states, seqs }));
"""


def test_the_connection_goes_on_by_newer_tokens(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data") as server:
        key = create_key(
            server.data / "keys.json", "ann", roles=OWNERS_ROLES, owner="ann", now=time.time()
        )
        task_id = server.create_as(key, "iterate", iterations=10_000, pause_s=0.05)
        source = f"{PACKAGE}/src/index.ts"
        said = run_node(
            "--input-type=module", "-e", WATCH % TTL_S, source, server.url, key, task_id
        )
        server.call("POST", f"/api/tasks/{task_id}/cancel", {}, token=key)
    told = json.loads(said.splitlines()[-1])
    # A fourth token is asked for only where the server took the three before.
    assert told["states"] == ["recovering", "live", "offline"]
    assert told["seqs"] == list(range(1, len(told["seqs"]) + 1))
