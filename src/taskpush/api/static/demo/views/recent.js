// @ts-check
/** The newest tasks of the server, each a link that watches it. */

import { hashOf } from "../addresses.js";
import { capitalise, formatMoment } from "../formats.js";
import { el, part, showText } from "./document.js";

/**
 * @typedef {import("../session.js").Session} Session
 * @typedef {import("../wire.js").Snapshot} Snapshot
 * @typedef {import("../remote-list.js").RemoteList<Snapshot>} RecentTasks
 */

export class RecentView {
  #drawn = "";

  /** @param {RecentTasks} recent @param {Session} session */
  render(recent, session) {
    showText(part("recent-state"), describeRecent(recent));
    const rows = recent.items.map((task) => toRow(task, session));
    const key = JSON.stringify(rows);
    if (key === this.#drawn) return;
    this.#drawn = key;
    const list = part("recent-list");
    const focused = list.contains(document.activeElement) ? document.activeElement?.getAttribute("href") : null;
    const links = rows.map(createLink);
    list.replaceChildren(...links.map((link) => el("li", {}, link)));
    links.find((link) => link.getAttribute("href") === focused)?.focus();
  }
}

function describeRecent({ phase, items, problem }) {
  if (phase === "idle") return "Not connected.";
  if (phase === "failed") return problem;
  if (items.length > 0) return "";
  return phase === "loading" ? "Loading…" : "No tasks yet. The first one you create shows up here.";
}

/** The session is newer than the list for the task it watches. */
function toRow(task, { base, task: watched }) {
  const isWatched = watched?.taskId === task.task_id;
  const { status, latest } = isWatched && watched.status ? watched : task;
  const percent = status === "running" ? latest.progress?.progress_percent : null;
  // Ids made from the time share their start: the end tells them apart.
  const shortId = `…${task.task_id.slice(-6)}`;
  return {
    href: hashOf(base, task.task_id),
    name: task.title || task.kind,
    status,
    state: capitalise(status) + (typeof percent === "number" ? ` ${Math.floor(percent)} %` : ""),
    facts: [task.title ? task.kind : "", formatMoment(task.created_at), shortId].filter(Boolean).join(" · "),
    isWatched,
  };
}

function createLink(row) {
  return el("a", { href: row.href, "aria-current": row.isWatched ? "true" : false },
    el("span", { class: "recent-name" }, row.name),
    el("span", { class: "chip", "data-status": row.status }, row.state),
    el("small", {}, row.facts));
}
