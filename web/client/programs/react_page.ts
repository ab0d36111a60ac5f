// A React page for the tests of the hooks: says what it shows as text.
import { createElement, StrictMode } from "react";
import { createRoot, type Root } from "react-dom/client";
import { createClient } from "../src/index.ts";
import { useConnection, useQueue, useTask, useTasks } from "../src/react.ts";

const client = createClient();

function Job({ id }: { id: string | null }) {
  const { status, progress, result } = useTask(client, id);
  const text = `${status} ${progress?.progress_percent} ${JSON.stringify(result)}`;
  return createElement("p", { id: "job" }, text);
}

function Jobs() {
  const { tasks, ready } = useTasks(client, "kind:iterate");
  const { state, door } = useConnection(client);
  const { kinds } = useQueue(client, "iterate");
  const statuses = tasks.map((task) => task.status).join(" ");
  return createElement(
    "div",
    null,
    createElement("p", { id: "jobs" }, `${ready} ${statuses}`),
    createElement("p", { id: "connection" }, `${state} ${door}`),
    createElement("p", { id: "queue" }, `${kinds?.length} ${kinds?.[0]?.kind}`),
  );
}

let root: Root | null = null;

/** Show that task, in place of another one or of nothing. */
function render(id: string | null): void {
  root ??= createRoot(document.body.appendChild(document.createElement("main")));
  const page = [createElement(Jobs, { key: "jobs" }), createElement(Job, { key: "job", id })];
  root.render(createElement(StrictMode, null, page));
}

function leave(): void {
  root?.unmount();
  root = null;
}

Object.assign(globalThis, { render, leave, client });
