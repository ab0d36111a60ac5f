/**
 * `<task-progress task-id="…" server="…">`: a task's bar, stage, percentage, remaining time and
 * status, live. Importing this defines the element.
 *
 * Attributes: `task-id`; `server`, where taskpush is mounted (by default the page's own origin);
 * `label`, what the bar is called for those who hear it. The property `token` is the token to show,
 * or a function that gives it. Fires `taskpush-end` with the task's view when it is over.
 *
 * Colours and sizes are CSS variables: `--task-progress-accent`, `-track`, `-text`, `-muted`,
 * `-error`, `-height`, `-radius`; light and dark follow the page's `color-scheme`.
 */

import { type Client, createClient } from "./client.ts";
import type { ConnectionStatus } from "./connection.ts";
import { duration, shown, type TaskView, UNKNOWN } from "./core/view.ts";
import type { Token } from "./http.ts";

const STYLE = `
:host { display: block; font: 14px/1.4 system-ui, sans-serif;
  --_text: var(--task-progress-text, light-dark(#1a1c20, #eceef2));
  --_muted: var(--task-progress-muted, light-dark(#5a606b, #a3a9b5));
  --_track: var(--task-progress-track, light-dark(#e3e6eb, #353a44));
  --_accent: var(--task-progress-accent, light-dark(#2160d3, #7aa7ff));
  --_error: var(--task-progress-error, light-dark(#b3261e, #ff8f85));
  color: var(--_text); }
:host([hidden]) { display: none; }
.line { display: flex; gap: 1em; justify-content: space-between; }
.line > :last-child { color: var(--_muted); font-variant-numeric: tabular-nums; }
.track { height: var(--task-progress-height, 8px); margin: 4px 0; overflow: hidden;
  border-radius: var(--task-progress-radius, 4px); background: var(--_track); }
.bar { height: 100%; width: 0; background: var(--_accent); transition: width .2s linear; }
.failed .bar, .cancelled .bar, .interrupted .bar { background: var(--_error); }
.failed .status { color: var(--_error); }
.unknown .bar { width: 30%; animation: move 1.6s ease-in-out infinite alternate; }
.stage, .note { color: var(--_muted); }
.stage:empty, .note:empty { display: none; }
@keyframes move { to { transform: translateX(233%); } }
@media (prefers-reduced-motion: reduce) {
  .bar { transition: none; } .unknown .bar { animation: none; width: 100%; opacity: .4; } }
@media (forced-colors: active) { .track { border: 1px solid; } .bar { background: Highlight; } }
`;

const WORDS: Record<string, string> = {
  pending: "Waiting",
  running: "Running",
  completed: "Completed",
  failed: "Failed",
  cancelled: "Cancelled",
  interrupted: "Interrupted",
};

/** The parts that change. */
interface Parts {
  root: HTMLElement;
  status: HTMLElement;
  figures: HTMLElement;
  track: HTMLElement;
  bar: HTMLElement;
  stage: HTMLElement;
  note: HTMLElement;
}

// Where there are no elements (Node, a server that renders the page) importing must not fail.
const Base = typeof HTMLElement === "undefined" ? (class {} as typeof HTMLElement) : HTMLElement;

/** The element. */
export class TaskProgressElement extends Base {
  static readonly observedAttributes = ["task-id", "server", "label"];
  /** The token to show, or a function that gives the present one. */
  token: Token | undefined;

  #parts: Parts | null = null;
  #client: Client | null = null;
  #view: TaskView = UNKNOWN;
  #note = "";
  #drawDue = false;
  #changeDue = false;

  connectedCallback(): void {
    this.#parts ??= build(this.attachShadow({ mode: "open" }));
    this.#restart();
  }

  disconnectedCallback(): void {
    this.#stop();
  }

  attributeChangedCallback(): void {
    // Several attributes that are set together are one change.
    if (!this.isConnected || this.#changeDue) return;
    this.#changeDue = true;
    queueMicrotask(() => {
      this.#changeDue = false;
      if (this.isConnected) this.#restart();
    });
  }

  #restart(): void {
    this.#stop();
    this.#view = UNKNOWN;
    this.#note = "";
    this.#draw();
    const taskId = this.getAttribute("task-id");
    if (!taskId) return;
    const { token } = this;
    const client = createClient(this.getAttribute("server") ?? "/", {
      ...(token !== undefined && { token }),
      patience: { firstContactMs: Number.POSITIVE_INFINITY },
    });
    this.#client = client;
    client.on("connection", (status) => this.#say(client, noteOf(status)));
    void this.#watch(client, taskId);
  }

  #stop(): void {
    this.#client?.close();
    this.#client = null;
  }

  async #watch(client: Client, taskId: string): Promise<void> {
    try {
      for await (const item of client.watch(taskId)) {
        if (this.#client !== client) return;
        this.#view = shown(this.#view, item);
        this.#draw();
      }
      this.#say(client, "");
      this.dispatchEvent(new CustomEvent("taskpush-end", { detail: this.#view }));
    } catch (error) {
      this.#say(client, error instanceof Error ? error.message : String(error));
    }
    if (this.#client === client) this.#stop();
  }

  #say(client: Client, note: string): void {
    if (this.#client !== client) return;
    this.#note = note;
    this.#draw();
  }

  /** Once per frame at most, however fast events come; a hidden page draws when it is shown. */
  #draw(): void {
    if (this.#drawDue) return;
    this.#drawDue = true;
    requestAnimationFrame(() => {
      this.#drawDue = false;
      if (this.#parts) draw(this.#parts, this.#view, this.#note, this.getAttribute("label"));
    });
  }
}

function build(shadow: ShadowRoot): Parts {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(STYLE);
  shadow.adoptedStyleSheets = [sheet];
  const part = (name: string, parent: Node): HTMLElement => {
    const made = document.createElement("div");
    made.className = name;
    made.part.add(name);
    parent.appendChild(made);
    return made;
  };
  const root = part("task", shadow);
  const line = part("line", root);
  const status = part("status", line);
  const figures = part("figures", line);
  const track = part("track", root);
  track.setAttribute("role", "progressbar");
  track.setAttribute("aria-valuemin", "0");
  track.setAttribute("aria-valuemax", "100");
  const bar = part("bar", track);
  const stage = part("stage", root);
  const note = part("note", root);
  // What the connection does is said when there is time, and errors with it.
  note.setAttribute("role", "status");
  return { root, status, figures, track, bar, stage, note };
}

function draw(parts: Parts, view: TaskView, note: string, label: string | null): void {
  const percent = view.status === "completed" ? 100 : (view.progress?.progress_percent ?? null);
  const unknown = percent === null && view.status === "running";
  parts.root.className = `task ${view.status ?? ""} ${unknown ? "unknown" : ""}`;
  const word = view.status === null ? "" : (WORDS[view.status] ?? view.status);
  parts.status.textContent = word;
  parts.figures.textContent = figuresOf(view, percent);
  parts.bar.style.width = unknown ? "" : `${percent ?? 0}%`;
  const { stage, stage_description, message } = view.progress ?? {};
  const saying = view.error ?? [stage, stage_description ?? message].filter(Boolean).join(": ");
  parts.stage.textContent = saying;
  parts.note.textContent = note;
  parts.track.setAttribute("aria-label", label ?? "Progress of the task");
  parts.track.setAttribute(
    "aria-valuetext",
    [word, parts.figures.textContent, saying].filter(Boolean).join(", "),
  );
  if (percent === null) parts.track.removeAttribute("aria-valuenow");
  else parts.track.setAttribute("aria-valuenow", String(Math.round(percent)));
}

function figuresOf(view: TaskView, percent: number | null): string {
  const figures: string[] = [];
  if (view.status === "pending" && view.queue) {
    figures.push(`place ${view.queue.position}`);
    if (typeof view.queue.eta_seconds === "number")
      figures.push(`starts in ${duration(view.queue.eta_seconds)}`);
  } else if (percent !== null) {
    figures.push(`${Math.floor(percent)} %`);
    const left = view.progress?.eta_seconds;
    if (view.status === "running" && typeof left === "number")
      figures.push(`${duration(left)} left`);
  }
  return figures.join(" · ");
}

function noteOf({ state }: ConnectionStatus): string {
  if (state === "recovering") return "";
  if (state === "stale") return "No connection; this may be out of date";
  return state === "offline" ? "No network" : "";
}

if (typeof customElements !== "undefined" && !customElements.get("task-progress"))
  customElements.define("task-progress", TaskProgressElement);
