// @ts-check
/**
 * The demo page: one server, one watched task.
 *
 * Data flows one way: Socket.IO and REST change the session and the lists, and a change schedules
 * `render`. Whatever comes from the server reaches the document as text nodes or as an address on
 * that server, never as markup.
 */

import { OWN_BASE, hashOf, parseBase, readHash } from "./addresses.js";
import { RemoteList } from "./remote-list.js";
import { Problem, messageOf, post } from "./rest.js";
import { Session } from "./session.js";
import { keepToken } from "./token.js";
import { byId, part } from "./views/document.js";
import { FormView } from "./views/form.js";
import { PageView } from "./views/page.js";
import { RecentView } from "./views/recent.js";
import { TaskView } from "./views/task.js";

const RENDER_DELAY_MS = 40;
const RECENT_POLL_MS = 10_000;

const session = new Session({ onConnect: loadLists, onChange: changed });
/** @type {RemoteList<import("./wire.js").Kind>} */
const kinds = new RemoteList("/api/kinds", changed);
/** @type {RemoteList<import("./wire.js").Snapshot>} */
const recent = new RemoteList("/api/tasks?limit=20", changed);
const views = {
  page: new PageView(),
  task: new TaskView(),
  form: new FormView(createTask),
  recent: new RecentView(),
};
let isRenderScheduled = false;

/** Schedules one rendering for all changes of the next moment. A timer also runs in hidden tabs. */
function changed() {
  if (isRenderScheduled) return;
  isRenderScheduled = true;
  setTimeout(render, RENDER_DELAY_MS);
}

function render() {
  isRenderScheduled = false;
  views.page.render(session);
  views.task.render(session);
  views.form.render(kinds, session.phase !== "offline");
  views.recent.render(recent, session);
}

function loadLists() {
  kinds.load(session.base);
  recent.load(session.base);
}

async function createTask(kind, params) {
  try {
    const task = await post(session.base, "/api/tasks", { kind, params });
    location.hash = hashOf(session.base, task.task_id);
    recent.load(session.base);
  } catch (error) {
    views.form.showErrors(messageOf(error), error instanceof Problem ? error.errors : []);
  }
}

function onServerForm(event) {
  event.preventDefault();
  if (session.phase !== "offline") {
    session.disconnect();
    return;
  }
  const input = byId("server-address", HTMLInputElement);
  const base = parseBase(input.value);
  if (base === null) {
    session.disconnect("The server address must look like http://host:port or https://host/prefix.");
    return;
  }
  input.value = base;
  const token = byId("token", HTMLInputElement);
  if (token.value !== "") keepToken(base, token.value.trim());
  token.value = "";
  session.connect(base);
  if (session.task) history.replaceState(null, "", hashOf(base, session.task.taskId));
}

function onHashChange() {
  session.watch(readHash().taskId);
  part("watched-heading").focus();
}

function pollRecent() {
  if (session.phase === "live" && !document.hidden) recent.load(session.base);
}

function start() {
  const { taskId, server } = readHash();
  byId("server-form", HTMLFormElement).addEventListener("submit", onServerForm);
  part("cancel").addEventListener("click", () => session.cancelTask());
  addEventListener("hashchange", onHashChange);
  setInterval(pollRecent, RECENT_POLL_MS);
  byId("server-address", HTMLInputElement).value = server || OWN_BASE;
  session.watch(taskId);
  // A link must not make the page talk to a stranger by itself.
  if (server === "" || server === OWN_BASE) session.connect(OWN_BASE);
  else session.disconnect(`This link belongs to the server at ${server}. Press Connect to go there.`);
}

start();
