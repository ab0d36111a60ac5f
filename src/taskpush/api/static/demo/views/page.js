// @ts-check
/** The state of the connection, the title, and what a screen reader says by itself. */

import { capitalise, formatTime } from "../formats.js";
import { part, setText, showText } from "./document.js";
import { nameOf } from "./task.js";

/**
 * @typedef {import("../session.js").Session} Session
 * @typedef {import("../watched-task.js").WatchedTask} WatchedTask
 */

export class PageView {
  /** @param {Session} session */
  render(session) {
    part("connection").dataset.phase = session.phase;
    setText(part("connection-text"), describeConnection(session));
    setText(part("server-button"), session.phase === "offline" ? "Connect" : "Disconnect");
    showText(part("notice"), session.problem);
    for (const node of [part("token"), part("token-label")]) node.hidden = !session.wantsToken;
    setText(part("server-version"), session.serverVersion);
    setText(part("announcer"), describeNews(session));
    const title = describeTitle(session.task);
    if (document.title !== title) document.title = title;
  }
}

function describeConnection({ phase, lostAt }) {
  if (phase === "recovering" && lostAt !== null) return `Recovering since ${formatTime(lostAt)}`;
  return phase === "connecting" ? "Connecting…" : capitalise(phase);
}

function describeTitle(task) {
  if (!task?.status) return "taskpush demo";
  const percent = percentOf(task);
  const start = percent === null ? capitalise(task.status) : `${Math.floor(percent)} %`;
  return `${start} · ${nameOf(task)} · taskpush`;
}

/** Changes with the connection, the status, and every quarter of the way. */
function describeNews({ phase, task }) {
  const connection = `Connection ${phase}.`;
  if (!task?.status) return connection;
  const quarter = Math.floor((percentOf(task) ?? 0) / 25) * 25;
  return `${connection} Task ${nameOf(task)} ${task.status}${quarter > 0 ? `, ${quarter} percent` : ""}.`;
}

/** Null while it doesn't run, or while the total is unknown. @param {WatchedTask} task @returns {number | null} */
function percentOf(task) {
  return task.status === "running" ? task.latest.progress?.progress_percent ?? null : null;
}
