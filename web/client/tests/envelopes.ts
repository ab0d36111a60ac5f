/** Envelopes as a server sends them. */
import type { Json } from "../src/wire.ts";

export const TASK = "0199f0c2-7d1e-7c63-9a0b-5f5f0c1d2e3f";
const common = { task_id: TASK, timestamp: "2026-11-22T14:30:00.123456+00:00" };

export function logged(seq: number, more: Json = {}): Json {
  const event = { event_type: "log", data: { level: "info", message: `line ${seq}` } };
  return { ...common, ...event, attempt: 1, seq, epoch: "k3v9", ...more };
}

export function status(seq: number, name: string, final = false): Json {
  return logged(seq, { event_type: "status_change", data: { status: name, final } });
}

export function progress(rev: number, attempt = 1): Json {
  const data = { progress_percent: rev, elapsed_seconds: 1 };
  return { ...common, event_type: "progress", data, attempt, seq: null, rev };
}

export function snapshot(seq: number, name = "running", epoch = "k3v9"): Json {
  const final = ["completed", "failed", "cancelled"].includes(name);
  return { task_id: TASK, status: name, final, attempt: 1, position: { epoch, seq } };
}

export function accepted(seq: number, head = snapshot(seq)): Json {
  const position = { epoch: seq ? "k3v9" : "", seq };
  return { ok: true, task_id: TASK, mode: "replay", position, snapshot: head };
}
