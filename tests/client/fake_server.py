"""A server that speaks the contract and can be told to break it. Protocol sections 1 to 3.

It keeps no promise by itself: it sends what a test appends, repeats, leaves out or cuts. Its
methods may be called from any thread.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import socketio
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from taskpush.client.looping import LoopThread

NAMESPACE = "/tasks"
TIMESTAMP = "2026-11-22T14:30:00.123456+00:00"


class FakeServer:
    """One process' worth of tasks in memory, on a free port of the loopback."""

    def __init__(self) -> None:
        self.epoch = "e1"
        self.logs: dict[str, list[dict[str, Any]]] = {}
        self.records: dict[str, dict[str, Any]] = {}
        self.volatile: dict[str, dict[str, dict[str, Any]]] = {}
        # What clients sent, in order.
        self.subscribes: list[dict[str, Any]] = []
        self.unsubscribes: list[str] = []
        self.creates: list[dict[str, Any]] = []
        # How often POST /tasks still acts but answers with a broken connection.
        self.lose_answers = 0
        # How often POST /tasks still answers 503 without acting.
        self.unavailable = 0
        # How often POST /tasks says to come back in so many seconds.
        self.told_later: list[int] = []
        # With what `Retry-After` the next handshakes are refused, and when each came.
        self.full: list[int] = []
        self.handshakes: list[float] = []
        # Answers to the next CONNECTs instead of a welcome, and when each CONNECT came.
        self.no_room: list[dict[str, Any]] = []
        self.connects: list[float] = []
        # Answers to the next subscribes instead of the true ones.
        self.refusals: list[dict[str, Any]] = []
        # Seqs that the next replay leaves out.
        self.hidden: set[int] = set()
        self.port = 0
        self._loop = LoopThread("fake-server")
        self._watchers: dict[str, set[str]] = {}
        self._background: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    # ------------------------------------------------------------ what a test does

    def create(self, task_id: str, kind: str = "layout", **params: Any) -> None:
        self.records[task_id] = {"task_id": task_id, "kind": kind, "params": params}
        self.logs[task_id] = []
        self.volatile[task_id] = {}
        self.append(task_id, "status_change", {"status": "pending", "final": False})

    def append(self, task_id: str, event_type: str, data: dict[str, Any]) -> dict[str, Any]:
        """Commit a logged event and push it."""
        log = self.logs[task_id]
        envelope = _envelope(task_id, event_type, data)
        envelope |= {"seq": len(log) + 1, "epoch": self.epoch}
        log.append(envelope)
        self.send("task_update", envelope)
        return envelope

    def iterate(self, task_id: str, first: int, last: int) -> None:
        for iteration in range(first, last + 1):
            data = {"iteration": iteration, "metrics": {"max_temp": 50.0 - iteration}}
            self.append(task_id, "iteration_complete", data)

    def run(self, task_id: str) -> None:
        self.append(task_id, "status_change", {"status": "running", "final": False})

    def end(self, task_id: str, status: str = "completed", **more: Any) -> None:
        data = {"status": status, "final": status != "interrupted", **more}
        self.append(task_id, "status_change", data)

    def publish(self, task_id: str, event_type: str, data: dict[str, Any], rev: int) -> None:
        """Push a volatile event."""
        envelope = _envelope(task_id, event_type, data) | {"seq": None, "rev": rev}
        self.volatile[task_id][event_type] = envelope
        self.send("task_update", envelope)

    def send(self, name: str, payload: dict[str, Any]) -> None:
        """Push anything to those who watch the task it names."""
        self._loop.call(self._send(name, payload))

    def restore(self, task_id: str, length: int) -> None:
        """Forget the end of the log, as an older backup would, and start a new epoch."""
        del self.logs[task_id][length:]
        self.epoch = "e2"

    # ------------------------------------------------------------ life

    def start(self) -> None:
        self._loop.call(self._start())

    def stop(self) -> None:
        self._loop.call(self._stop())
        self._loop.close()

    async def _start(self) -> None:
        self._sio = socketio.AsyncServer(async_mode="asgi", cors_allowed_origins=[])
        self._sio.on("connect", self._on_connect, namespace=NAMESPACE)
        self._sio.on("disconnect", self._on_disconnect, namespace=NAMESPACE)
        self._sio.on("subscribe", self._on_subscribe, namespace=NAMESPACE)
        self._sio.on("unsubscribe", self._on_unsubscribe, namespace=NAMESPACE)
        self._app = socketio.ASGIApp(self._sio, self._rest())
        config = uvicorn.Config(
            self._front,
            interface="asgi3",
            log_level="critical",
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        self._server = uvicorn.Server(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))

    async def _stop(self) -> None:
        for task in self._background:
            task.cancel()
        await self._sio.shutdown()
        self._server.should_exit = True
        await self._serving

    async def _front(self, scope: Any, receive: Any, send: Any) -> None:
        query = scope.get("query_string", b"")
        if scope.get("path", "").startswith("/socket.io") and b"sid=" not in query:
            self.handshakes.append(time.monotonic())
            if self.full:
                if scope["type"] == "websocket":
                    await receive()
                answer = Response(status_code=429, headers={"Retry-After": str(self.full.pop(0))})
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)

    # ------------------------------------------------------------ Socket.IO

    async def _on_connect(self, sid: str, environ: dict[str, Any]) -> None:
        self.connects.append(time.monotonic())
        if self.no_room:
            raise socketio.exceptions.ConnectionRefusedError("too many", self.no_room.pop(0))
        await self._emit(sid, "connected", {"message": "hello", "protocol": 1})

    async def _on_disconnect(self, sid: str, reason: str) -> None:
        for watchers in self._watchers.values():
            watchers.discard(sid)

    async def _on_subscribe(self, sid: str, data: dict[str, Any]) -> dict[str, Any]:
        self.subscribes.append(data)
        if self.refusals:
            return {"ok": False, **self.refusals.pop(0)}
        task_id = data["task_id"]
        self._watchers.setdefault(task_id, set()).add(sid)
        if task_id not in self.logs:
            return {"ok": True, "task_id": task_id, "mode": "pending", "snapshot": None}
        start, gone = self._start_of(task_id, data.get("after"))
        # Runs after the answer is on its way: the library sends it when this returns.
        replay = asyncio.create_task(self._replay(sid, task_id, start, gone=gone))
        self._background.add(replay)
        replay.add_done_callback(self._background.discard)
        return {
            "ok": True,
            "task_id": task_id,
            "mode": "resync" if gone else "replay",
            "position": self._position(task_id, start),
            "snapshot": self._snapshot(task_id),
        }

    async def _on_unsubscribe(self, sid: str, data: dict[str, Any]) -> dict[str, Any]:
        self.unsubscribes.append(data["task_id"])
        self._watchers.get(data["task_id"], set()).discard(sid)
        return {"ok": True}

    def _start_of(self, task_id: str, after: Any) -> tuple[int, bool]:
        log = self.logs[task_id]
        if after is None:
            return 0, False
        if after == "now":
            return len(log), False
        seq = after["seq"]
        known = 0 < seq <= len(log) and log[seq - 1]["epoch"] == after["epoch"]
        return (seq, False) if known else (len(log), True)

    async def _replay(self, sid: str, task_id: str, start: int, *, gone: bool) -> None:
        if gone:
            payload = {
                "task_id": task_id,
                "reason": "the history was cut short",
                "snapshot": self._snapshot(task_id),
                "position": self._position(task_id, start),
                "oldest": 1,
            }
            await self._emit(sid, "resync", payload)
        due = [event for event in self.logs[task_id][start:] if event["seq"] not in self.hidden]
        self.hidden.clear()
        volatile = list(self.volatile[task_id].values())
        at = -1 if due and due[-1]["data"].get("final") else len(due)
        for envelope in [*due[:at], *volatile, *due[at:]] if at < 0 else [*due, *volatile]:
            await self._emit(sid, "task_update", envelope)

    async def _send(self, name: str, payload: dict[str, Any]) -> None:
        for sid in tuple(self._watchers.get(payload["task_id"], ())):
            await self._emit(sid, name, payload)

    async def _emit(self, sid: str, name: str, payload: dict[str, Any]) -> None:
        await self._sio.emit(name, payload, to=sid, namespace=NAMESPACE)

    async def _hang_up(self, code: str) -> None:
        for sid in {sid for watchers in self._watchers.values() for sid in watchers}:
            await self._emit(sid, "error", {"code": code, "message": "go away"})
            await self._sio.disconnect(sid, namespace=NAMESPACE)

    def hang_up(self, code: str) -> None:
        """Send everybody away for good."""
        self._loop.call(self._hang_up(code))

    # ------------------------------------------------------------ REST

    def _rest(self) -> FastAPI:
        app = FastAPI()
        app.post("/api/tasks")(self._post_task)
        app.get("/api/tasks")(self._get_tasks)
        app.get("/api/kinds")(self._get_kinds)
        app.get("/api/tasks/{task_id}")(self._get_task)
        app.get("/api/tasks/{task_id}/result")(self._get_result)
        app.get("/api/tasks/{task_id}/events")(self._get_events)
        app.post("/api/tasks/{task_id}/cancel")(self._post_cancel)
        return app

    async def _post_task(self, request: Request) -> Response:
        body = await request.json()
        if self.unavailable:
            self.unavailable -= 1
            return _problem(503, "shutting_down")
        if self.told_later:
            wait_s = self.told_later.pop(0)
            return _problem(429, "rate_limited", headers={"Retry-After": str(wait_s)})
        self.creates.append(body)
        body = body if "kind" in body else {"kind": "layout", "params": body}
        task_id = body.get("task_id") or f"00000000-0000-7000-8000-{len(self.creates):012}"
        if task_id in self.records:
            return _problem(409, "task_id_taken")
        if body["kind"] != "layout":
            return _problem(422, "unknown_kind")
        if "seed" in body["params"] and not isinstance(body["params"]["seed"], int):
            errors = [{"loc": "params.seed", "message": "Input should be a valid integer"}]
            return _problem(422, "invalid_params", errors=errors)
        record = {"task_id": task_id, "kind": body["kind"], "params": body["params"]}
        self.records[task_id] = record | {"title": body.get("title")}
        pending = _envelope(task_id, "status_change", {"status": "pending", "final": False})
        self.logs[task_id] = [pending | {"seq": 1, "epoch": self.epoch}]
        self.volatile[task_id] = {}
        await self._send("task_update", self.logs[task_id][0])
        if self.lose_answers:
            self.lose_answers -= 1
            return _Broken()
        return JSONResponse(self._snapshot(task_id), 201)

    async def _get_tasks(self, status: str | None = None, after: int = 0) -> Response:
        fits = [
            snapshot
            for snapshot in map(self._snapshot, self.records)
            if status in (None, snapshot["status"])
        ]
        more = f"/api/tasks?after={after + 2}" if after + 2 < len(fits) else None
        return JSONResponse({"items": fits[after : after + 2], "next": more})

    async def _get_kinds(self) -> Response:
        return JSONResponse({"items": [{"name": "layout", "params_schema": {}}], "next": None})

    async def _get_task(self, task_id: str) -> Response:
        if task_id not in self.records:
            return _problem(404, "not_found")
        return JSONResponse(self._snapshot(task_id))

    async def _get_result(self, task_id: str) -> Response:
        if task_id not in self.records:
            return _problem(404, "not_found")
        snapshot = self._snapshot(task_id)
        if snapshot["status"] == "completed":
            last = self.logs[task_id][-1]["data"]
            return JSONResponse({"task_id": task_id, "result": last.get("result")})
        code = {"pending": "task_not_finished", "running": "task_not_finished"}
        said: dict[str, Any] = {
            "detail": "no plan fits",
            "error_type": "NoPlan",
            "error_code": "task_error",
        }
        return _problem(409, code.get(snapshot["status"], f"task_{snapshot['status']}"), **said)

    async def _get_events(self, task_id: str, after: str = "0") -> Response:
        seq = int(after.rpartition(":")[2])
        log = self.logs[task_id]
        more = f"/api/tasks/{task_id}/events?after={seq + 3}" if seq + 3 < len(log) else None
        return JSONResponse({"items": log[seq : seq + 3], "next": more})

    async def _post_cancel(self, task_id: str) -> Response:
        if self._snapshot(task_id)["final"]:
            return _problem(409, "illegal_transition")
        return JSONResponse(self._snapshot(task_id), 202)

    def _snapshot(self, task_id: str) -> dict[str, Any]:
        changes = [e["data"] for e in self.logs[task_id] if e["event_type"] == "status_change"]
        return {
            **self.records[task_id],
            "status": changes[-1]["status"],
            "final": changes[-1].get("final", False),
            "attempt": 1,
            "created_at": TIMESTAMP,
            "position": self._position(task_id, len(self.logs[task_id])),
        }

    def _position(self, task_id: str, seq: int) -> dict[str, Any]:
        return {"epoch": self.logs[task_id][seq - 1]["epoch"] if seq else "", "seq": seq}


class _Broken(Response):
    """An answer that never comes: the connection ends without one."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send(
            {"type": "http.response.start", "status": 201, "headers": [(b"content-length", b"9")]}
        )
        raise ConnectionAbortedError


def _envelope(task_id: str, event_type: str, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "task_id": task_id,
        "event_type": event_type,
        "data": data,
        "timestamp": TIMESTAMP,
        "attempt": 1,
    }


def _problem(
    status: int, code: str, *, headers: dict[str, str] | None = None, **more: Any
) -> Response:
    body = {"title": code, "status": status, "code": code, **more}
    return JSONResponse(body, status, headers, media_type="application/problem+json")


@contextmanager
def fake_server() -> Iterator[FakeServer]:
    server = FakeServer()
    server.start()
    try:
        yield server
    finally:
        server.stop()
