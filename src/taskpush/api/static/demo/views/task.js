// @ts-check
/** The watched task: its name, how far it is, and whether it failed. */

import { describeRetry } from "../event-lines.js";
import { capitalise, formatDuration, formatMoment, formatNumber, formatTime } from "../formats.js";
import { ArtifactsView } from "./artifacts.js";
import { byId, part, setText, showText } from "./document.js";
import { FiguresView } from "./figures.js";
import { LogView } from "./log.js";
import { PreviewView } from "./preview.js";
import { ResultView, shorten } from "./result.js";

/**
 * @typedef {import("../session.js").Session} Session
 * @typedef {import("../watched-task.js").WatchedTask} WatchedTask
 */

export class TaskView {
  #preview = new PreviewView();
  #figures = new FiguresView();
  #result = new ResultView();
  #artifacts = new ArtifactsView();
  #log = new LogView();

  /** @param {Session} session */
  render(session) {
    const task = session.task?.status ? session.task : null;
    showText(part("watch-state"), describeWatch(session));
    part("task").hidden = task === null;
    renderHead(task, session.phase);
    this.#preview.render((task?.isOver ? null : task?.latest.preview) ?? null);
    if (task === null) return;
    renderFacts(task, session.lostAt);
    renderProgress(task);
    renderFailure(task);
    this.#figures.render(task.points);
    this.#result.render(task.result);
    this.#artifacts.render(task.artifacts, task.base);
    this.#log.render(task.log);
    part("params").hidden = task.params === null;
    setText(part("params-json"), shorten(JSON.stringify(task.params, null, 2)));
  }
}

function describeWatch({ task, phase }) {
  if (task === null) return "Create a task, or choose one from the list, to watch it here step by step.";
  if (task.phase === "refused") return task.problem;
  if (task.phase === "deleted") return "This task was deleted on the server. What is shown below was the last of it.";
  if (task.phase === "pending") return `Task ${task.taskId} doesn't exist yet. It will show up here as soon as it is created.`;
  if (task.status !== "") return "";
  return phase === "live" ? "Loading the task…" : "The task is shown as soon as the page is connected.";
}

function renderHead(task, connection) {
  setText(part("watched-heading"), nameOf(task) || "Task");
  const chip = part("task-status");
  chip.dataset.status = task?.status ?? "";
  showText(chip, capitalise(task?.status ?? ""));
  const button = byId("cancel", HTMLButtonElement);
  button.hidden = task === null || task.isOver || task.phase !== "watching";
  button.disabled = task?.isCancelAsked || connection === "offline";
  setText(button, task?.isCancelAsked ? "Cancelling…" : "Cancel task");
}

/** @param {WatchedTask | null} task */
export function nameOf(task) {
  return task ? task.title || task.kind : "";
}

function renderFacts(task, lostAt) {
  setText(part("task-facts"), describeFacts(task).join(" · "));
  showText(part("cancel-problem"), task.isOver ? "" : task.cancelProblem);
  const isStale = lostAt !== null && !task.isOver;
  showText(part("stale"), isStale ? `Not live: this is the state of ${formatTime(lostAt)}.` : "");
}

function describeFacts(task) {
  return [
    task.title ? task.kind : "",
    task.taskId,
    task.startedAt ? `started ${formatMoment(task.startedAt)}` : "",
    task.finishedAt ? `ended ${formatMoment(task.finishedAt)}` : "",
    task.attempt > 1 ? `attempt ${task.attempt}` : "",
  ].filter(Boolean);
}

function renderProgress(task) {
  const progress = task.latest.progress ?? {};
  const percent = task.status === "completed" ? 100 : progress.progress_percent;
  const isKnown = typeof percent === "number";
  const bar = byId("progress-bar", HTMLProgressElement);
  part("progress").dataset.status = task.status;
  // Without a value the bar says "at work", not how far.
  if (!isKnown && task.status === "running") bar.removeAttribute("value");
  else bar.value = isKnown ? percent : 0;
  setText(part("progress-percent"), isKnown ? `${Math.floor(percent)} %` : "");
  setText(part("progress-steps"), describeSteps(progress));
  setText(part("progress-time"), describeTime(task));
  showText(part("progress-stage"), describeStage(task, progress));
}

function describeSteps({ current_iteration: iteration, max_iterations: last, completed, total, unit }) {
  if (typeof iteration === "number") return `Iteration ${formatNumber(iteration)}${last ? ` of ${formatNumber(last)}` : ""}`;
  if (typeof completed !== "number") return "";
  return `${formatNumber(completed)}${total ? ` of ${formatNumber(total)}` : ""} ${unit ?? ""}`.trim();
}

function describeTime(task) {
  if (task.startedAt && task.finishedAt) {
    return `took ${formatDuration((Date.parse(task.finishedAt) - Date.parse(task.startedAt)) / 1000)}`;
  }
  const { elapsed_seconds: elapsed, eta_seconds: eta } = task.latest.progress ?? task.latest.stats ?? {};
  return [
    typeof elapsed === "number" ? `${formatDuration(Math.floor(elapsed))} so far` : "",
    typeof eta === "number" ? `about ${formatDuration(Math.ceil(eta))} left` : "",
  ].filter(Boolean).join(" · ");
}

function describeStage(task, progress) {
  if (task.status === "pending") return describeQueue(task.latest.queue) || task.message || "Waiting to start.";
  if (task.isOver) {
    // The failure has a box of its own.
    const message = task.message === task.error?.error ? "" : task.message;
    return [message, task.isResumable ? "It can be resumed." : ""].filter(Boolean).join(" ");
  }
  const stage = [progress.stage, progress.stage_description].filter(Boolean).join(": ");
  return [stage, progress.message].filter(Boolean).join(" – ") || task.message || "No progress reported yet.";
}

function describeQueue(queue) {
  if (!queue) return "";
  const place = queue.position === 1 ? "Next in the queue" : `Number ${queue.position} in the queue`;
  const start = typeof queue.eta_seconds === "number" ? `, starts in about ${formatDuration(queue.eta_seconds)}` : "";
  return `${place}${start}.`;
}

function renderFailure({ error, status }) {
  part("failure").hidden = error === null || status === "completed";
  if (error === null) return;
  setText(part("failure-title"), error.error_type ?? "Error");
  setText(part("failure-message"), error.error ?? "");
  showText(part("failure-note"), [error.code ? `Code ${error.code}.` : "", describeRetry(error)].filter(Boolean).join(" "));
}
