"""The example over a real server: a whole run, and BOM files that are refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from taskpush.client import Client, RequestRefused
from tests.examples.satellite.boms import component, cube
from tests.support.server import ServerProcess


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(
        tmp_path_factory.mktemp("gallery") / "data", app="examples.gallery:push"
    ) as process:
        yield process


def test_a_layout_posted_flat_runs_to_its_result(server: ServerProcess) -> None:
    """The example of the earlier protocol: its file name, its fields."""
    body: dict[str, Any] = {"bom_file": "config/bom_example.json", "max_iterations": 3}
    created = requests.post(f"{server.url}/api/tasks", json=body, timeout=10)
    assert created.status_code == 201
    task_id = created.json()["task_id"]
    assert server.wait_over(task_id)["status"] == "completed"
    result = server.call("GET", f"/api/tasks/{task_id}/result")[1]["result"]
    assert (result["final_iteration"], result["num_components"]) == (3, 5)
    assert result["experiment_dir"] == f"experiments/run_{task_id}"
    assert result["final_max_temp"] < result["initial_max_temp"]
    log = server.log_of(task_id)
    iterations = [e["data"] for e in log if e["event_type"] == "iteration_complete"]
    assert [data["iteration"] for data in iterations] == [1, 2, 3]
    assert all({"max_temp", "min_clearance"} <= set(data["metrics"]) for data in iterations)
    artifacts = {e["data"]["name"]: e["data"] for e in log if e["event_type"] == "artifact"}
    assert {"layout.json", "layout.png"} <= set(artifacts)
    picture = requests.get(server.url + artifacts["layout.png"]["url"], timeout=10)
    assert picture.headers["Content-Type"] == "image/png"
    assert picture.content.startswith(b"\x89PNG")
    assert len(picture.content) == artifacts["layout.png"]["size_bytes"]


def test_a_bom_of_ones_own_is_optimised_or_refused_beside_its_field(server: ServerProcess) -> None:
    with Client(server.url) as client:
        own = client.upload(json.dumps(cube()).encode(), name="mine.json")
        task = client.create_task("layout", {"bom": own, "max_iterations": 1})
        assert server.wait_over(task.task_id)["status"] == "completed"
        assert client.get_task_result(task.task_id)["num_components"] == 2
        broken = cube(components=[component("battery", mass_kg=-4)])
        wrong = client.upload(json.dumps(broken).encode(), name="wrong.json")
        with pytest.raises(RequestRefused) as refused:
            client.create_task("layout", {"bom": wrong})
    (problem,) = refused.value.errors
    assert problem.loc == "params.bom"
    assert "component 'battery': mass_kg" in problem.message


@pytest.mark.parametrize(
    "bom_file",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "config/../../../etc/passwd",
        "config/nobody.json",
        "config",
        "config/bom_example.json\u0000.png",
        "",
    ],
)
def test_a_bom_file_elsewhere_or_missing_is_refused(server: ServerProcess, bom_file: str) -> None:
    before = server.call("GET", "/api/tasks?limit=200")[1]["items"]
    status, problem = server.call("POST", "/api/tasks", {"bom_file": bom_file})
    assert (status, problem["code"]) == (422, "invalid_params")
    assert "bom_file" in problem["errors"][0]["loc"] + problem["errors"][0]["message"]
    said = str(problem)
    assert "root:" not in said
    assert "Traceback" not in said
    assert str(server.data) not in said
    assert server.call("GET", "/api/tasks?limit=200")[1]["items"] == before
