// @ts-check
/**
 * The demo page: one server, one watched task.
 *
 * Data flows one way: Socket.IO and REST change `state`, and a change schedules `render`. The page
 * follows the wire contract, version 1. Whatever comes from the server reaches the document as text
 * nodes or as a checked http(s) address, never as markup.
 *
 * Parts: formats · addresses and REST · the watched task · forms from JSON Schema · views · wiring.
 */

/**
 * @typedef {{epoch: string, seq: number}} Position
 * @typedef {{task_id: string, event_type: string, data: Record<string, any>, timestamp: string,
 *   attempt: number, seq: number | null, epoch?: string, rev?: number}} Envelope
 * @typedef {Record<string, any> & {task_id: string, status: string, attempt: number,
 *   position: Position, latest: Record<string, any>}} Snapshot
 * @typedef {{code: string, title: string, detail?: string,
 *   errors?: {loc: string, message: string}[]}} ProblemBody
 * @typedef {{name: string, description?: string | null, default: boolean,
 *   params_schema: Schema}} Kind
 * @typedef {Record<string, any>} Schema
 * @typedef {{data: Record<string, any>, receivedAt: number}} Latest
 * @typedef {{iteration: number, metrics: Record<string, number>}} Point
 * @typedef {{number: number, time: string, tag: string, level: string, text: string,
 *   href?: string, details?: string}} Line
 * @typedef {{lines: Line[], total: number}} Log
 * @typedef {{name: string, title: string | null, mediaType: string, sizeBytes: number,
 *   url: string, partial: boolean}} Artifact
 * @typedef {{phase: "unknown" | "loading" | "ready" | "failed", value: any, problem: string}} Result
 */

const LOG_ROWS = 2000;
const SHOWN_ARTIFACTS = 50;
const SHOWN_JSON_CHARACTERS = 100_000;
const RENDER_DELAY_MS = 40;
const TICK_MS = 1000;
const RECENT_POLL_MS = 10_000;
const ACK_TIMEOUT_MS = 10_000;
const PROTOCOL = 1;
const PICTURES = new Set(["image/png", "image/jpeg", "image/webp", "image/gif"]);

// ---------------------------------------------------------------------------------------- formats

/** @param {number} seconds */
function formatDuration(seconds) {
  if (seconds > 0 && seconds < 9.95 && !Number.isInteger(seconds)) return `${seconds.toFixed(1)} s`;
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${pad(whole % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${pad(minutes % 60)} min`;
}

/** @param {number} value */
function pad(value) {
  return String(value).padStart(2, "0");
}

/** @param {number} value */
function formatNumber(value) {
  if (typeof value !== "number") return String(value);
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e12)) return Number(value.toPrecision(4)).toExponential();
  const decimals = size >= 1 ? Math.max(0, 4 - Math.floor(Math.log10(size))) : 5;
  return value.toLocaleString("en", { maximumFractionDigits: decimals });
}

/** @param {number} bytes */
function formatBytes(bytes) {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  const step = bytes < 1024 ? 0 : Math.min(4, Math.floor(Math.log2(bytes) / 10));
  const value = (bytes / 1024 ** step).toLocaleString("en", { maximumFractionDigits: 1 });
  return `${value} ${units[step]}`;
}

/** @param {string | number} moment RFC 3339 or milliseconds since 1970; shown in local time. */
function formatTime(moment) {
  const date = new Date(moment);
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map(pad).join(":");
}

/** @param {string} moment */
function formatMoment(moment) {
  const date = new Date(moment);
  const isToday = date.toDateString() === new Date().toDateString();
  if (isToday) return formatTime(moment);
  return `${date.toLocaleDateString("en", { day: "numeric", month: "short" })} ${formatTime(moment)}`;
}

/** @param {any} value */
function formatValue(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "number") return formatNumber(value);
  if (typeof value === "boolean") return value ? "yes" : "no";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** @param {Record<string, any> | null | undefined} values */
function formatPairs(values) {
  return Object.entries(values ?? {})
    .map(([name, value]) => `${name} ${formatValue(value)}`)
    .join(" · ");
}

/** @param {string} word A lower-case word of the contract, such as a status. */
function capitalise(word) {
  return word.charAt(0).toUpperCase() + word.slice(1);
}

// ----------------------------------------------------------------------------- addresses and REST

/** The server's answer was an error, or there was no usable answer. */
class Problem extends Error {
  /** @param {ProblemBody} body */
  constructor(body) {
    super(body.detail || body.title);
    this.code = body.code;
    this.errors = body.errors ?? [];
  }
}

/** Where this copy of the page was served from, prefix included: `<base>static/demo/demo.js`. */
const OWN_BASE = new URL("../../", import.meta.url).href;

/**
 * The base address that a person means; throws a Problem for what is no http(s) address.
 * @param {string} text
 */
function parseBase(text) {
  const trimmed = text.trim();
  if (trimmed === "") return OWN_BASE;
  const full = /^[a-z]+:\/\//i.test(trimmed) ? trimmed : `${location.protocol}//${trimmed}`;
  const url = URL.canParse(full) ? new URL(full) : null;
  if (url === null || !["http:", "https:"].includes(url.protocol)) {
    const detail = "The server address must look like http://host:port or https://host/prefix.";
    throw new Problem({ code: "invalid_address", title: "Not an address", detail });
  }
  const path = url.pathname.endsWith("/") ? url.pathname : `${url.pathname}/`;
  return url.origin + path;
}

/**
 * A server's address of something, made absolute: it may be complete, or start at the origin or at
 * the prefix that the application is mounted under. Null unless it is http(s).
 * @param {string} base
 * @param {string} address
 */
function resolveAddress(base, address) {
  const isPathInsideApp = address.startsWith("/") && !address.startsWith("//")
    && !address.startsWith(new URL(base).pathname);
  const relative = isPathInsideApp ? address.slice(1) : address;
  if (!URL.canParse(relative, base)) return null;
  const url = new URL(relative, base);
  return ["http:", "https:"].includes(url.protocol) ? url.href : null;
}

/** @param {string} base */
function isOwnOrigin(base) {
  return new URL(base).origin === location.origin;
}

/** @param {string} base */
function describeUnreachable(base) {
  if (!navigator.onLine) return "This computer is offline.";
  if (isOwnOrigin(base)) return `Nothing answers at ${base} – is the server running?`;
  return `${base} can't be reached from this page. Either nothing answers there, or that server `
    + `doesn't allow pages from ${location.origin} (its CORS settings), or this page's security `
    + "policy forbids it. You can open that address itself instead: it has its own page.";
}

/**
 * Calls the API; gives the decoded body, or throws a Problem with a sentence for people.
 * @param {string} base
 * @param {string} path Relative to the base, such as `api/kinds`.
 * @param {RequestInit} [options]
 */
async function request(base, path, options = {}) {
  const headers = { Accept: "application/json", ...options.headers };
  let response;
  try {
    response = await fetch(new URL(path, base), { ...options, headers, cache: "no-store" });
  } catch {
    throw new Problem({ code: "unreachable", title: "Unreachable", detail: describeUnreachable(base) });
  }
  return readBody(response);
}

/** @param {Response} response */
async function readBody(response) {
  const body = await response.json().catch(() => null);
  if (response.ok && body !== null) return body;
  if (!response.ok && body?.code && body?.title) throw new Problem(body);
  const detail = response.ok
    ? `${new URL(response.url).origin} answered, but not like a taskpush server.`
    : `The server answered ${response.status} ${response.statusText}.`;
  throw new Problem({ code: "unexpected_answer", title: "Unexpected answer", detail });
}

/**
 * @param {string} base
 * @param {string} path
 * @param {Record<string, any>} body
 * @param {Record<string, string>} [headers]
 */
function post(base, path, body, headers = {}) {
  return request(base, path, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
}

/** @param {unknown} error */
function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}

// -------------------------------------------------------------------------------- the watched task

/** What the page knows of one task, and how a snapshot or an event changes it. */
class Watch {
  /** The last logged event seen; null before the first subscription. @type {Position | null} */
  cursor = null;
  /** Up to here a snapshot told status and attempt; older events only add to the history. */
  knownSeq = 0;
  attempt = 1;
  /** @type {Point[]} */
  points = [];

  /**
   * @param {string} taskId
   * @param {string} base Of the server whose events these are; addresses are resolved against it.
   */
  constructor(taskId, base) {
    this.taskId = taskId;
    this.base = base;
    /** @type {"loading" | "pending" | "watching" | "refused" | "deleted"} */
    this.phase = "loading";
    this.problem = "";
    /** Events before the answer belong to an older cursor, and come again after it. */
    this.isSubscribing = false;
    /** When the connection was lost; what is shown is as old as that. @type {number | null} */
    this.staleSince = null;
    /** @type {{phase: "idle" | "asked" | "failed", problem: string}} */
    this.cancel = { phase: "idle", problem: "" };
    this.kind = "";
    /** @type {string | null} */
    this.title = null;
    this.params = null;
    this.clear();
  }

  /** Forgets the history, to be filled by a snapshot or a replay. */
  clear() {
    this.cursor = null;
    this.knownSeq = 0;
    /** @type {Map<string, {attempt: number, rev: number}>} */
    this.revisions = new Map();
    this.points = [];
    /** @type {Map<string, Artifact>} */
    this.artifacts = new Map();
    /** @type {Log} */
    this.log = { lines: [], total: 0 };
    this.beginAttempt(1);
    this.status = "";
  }

  /** @param {number} attempt */
  beginAttempt(attempt) {
    this.attempt = attempt;
    this.final = false;
    this.resumable = false;
    this.message = "";
    this.reason = "";
    /** @type {string | null} */
    this.startedAt = null;
    /** @type {string | null} */
    this.finishedAt = null;
    /** @type {Record<string, any> | null} */
    this.error = null;
    /** @type {Result} */
    this.result = { phase: "unknown", value: null, problem: "" };
    /** @type {{progress: Latest | null, queue: Latest | null, stats: Latest | null}} */
    this.latest = { progress: null, queue: null, stats: null };
    this.cancel = { phase: "idle", problem: "" };
  }

  get isOver() {
    return this.final || this.status === "interrupted";
  }

  /** Whether the present attempt's result isn't here although no further event will bring it. */
  get lacksResult() {
    return this.status === "completed" && this.result.phase === "unknown"
      && (this.cursor?.seq ?? 0) >= this.knownSeq;
  }

  /** @param {Snapshot} snapshot */
  applySnapshot(snapshot) {
    this.kind = snapshot.kind;
    this.title = snapshot.title ?? null;
    this.params = snapshot.params ?? null;
    if (snapshot.position.seq < (this.cursor?.seq ?? 0)) return;
    if (snapshot.attempt > this.attempt) this.beginAttempt(snapshot.attempt);
    this.knownSeq = snapshot.position.seq;
    this.status = snapshot.status;
    this.final = Boolean(snapshot.final);
    this.resumable = Boolean(snapshot.resumable);
    this.message = snapshot.message ?? "";
    this.reason = snapshot.reason ?? "";
    this.startedAt = snapshot.started_at ?? null;
    this.finishedAt = snapshot.finished_at ?? null;
    this.error = snapshot.error ?? null;
    for (const name of /** @type {const} */ (["progress", "queue", "stats"])) {
      const data = snapshot.latest?.[name];
      const isNew = data && JSON.stringify(data) !== JSON.stringify(this.latest[name]?.data);
      if (isNew) this.latest[name] = { data, receivedAt: performance.now() };
    }
  }

  /**
   * Takes the next event, if it is one.
   * @param {Envelope} event
   * @returns {"applied" | "dropped" | "gap"}
   */
  applyEvent(event) {
    return typeof event.seq === "number" ? this.#applyLogged(event, event.seq) : this.#applyVolatile(event);
  }

  /**
   * @param {Envelope} event
   * @param {number} seq
   */
  #applyLogged(event, seq) {
    const last = this.cursor?.seq ?? 0;
    if (seq <= last) return "dropped";
    // After position 0 comes the oldest event that is kept, which needn't be the first.
    if (last > 0 && seq > last + 1) return "gap";
    if (last === 0 && seq > 1) this.note(`The server no longer keeps the events before number ${seq}.`);
    this.cursor = { epoch: event.epoch ?? "", seq };
    if (event.attempt > this.attempt) this.beginAttempt(event.attempt);
    this.#remember(event, seq > this.knownSeq);
    return "applied";
  }

  /** @param {Envelope} event */
  #applyVolatile(event) {
    const last = this.revisions.get(event.event_type);
    const rev = event.rev ?? 0;
    // The same one comes again after a reconnect, and would set back what counts on since it came.
    if (last && (event.attempt < last.attempt || (event.attempt === last.attempt && rev <= last.rev))) {
      return "dropped";
    }
    if (event.attempt < this.attempt) return "dropped";
    this.revisions.set(event.event_type, { attempt: event.attempt, rev });
    if (event.attempt > this.attempt) this.beginAttempt(event.attempt);
    if (event.event_type === "progress" || event.event_type === "queue" || event.event_type === "stats") {
      this.latest[event.event_type] = { data: event.data, receivedAt: performance.now() };
    }
    return "applied";
  }

  /**
   * @param {Envelope} event
   * @param {boolean} isNews Whether it is newer than the last snapshot.
   */
  #remember(event, isNews) {
    const data = event.data;
    const line = describeEvent(event);
    if (line) this.#write({ time: formatTime(event.timestamp), ...line, href: this.#linkOf(event) });
    if (event.event_type === "status_change") this.#changeStatus(event, isNews);
    if (event.event_type === "error" && isNews) this.error = data;
    if (event.event_type === "iteration_complete") this.#addPoint(data.iteration, data.metrics ?? {});
    if (event.event_type === "artifact") this.#addArtifact(data);
  }

  /**
   * @param {Envelope} event
   * @param {boolean} isNews
   */
  #changeStatus(event, isNews) {
    const data = event.data;
    if (data.status === "completed" && event.attempt === this.attempt && !data.result_url) {
      this.result = { phase: "ready", value: data.result ?? null, problem: "" };
    }
    if (!isNews) return;
    this.status = data.status;
    this.final = Boolean(data.final);
    this.resumable = Boolean(data.resumable);
    this.message = data.message ?? "";
    this.reason = data.reason ?? "";
    if (data.status === "running") this.startedAt = event.timestamp;
    this.finishedAt = this.isOver ? event.timestamp : null;
  }

  /**
   * A resumed attempt repeats iterations after its checkpoint: what it says replaces them.
   * @param {number} iteration
   * @param {Record<string, number>} metrics
   */
  #addPoint(iteration, metrics) {
    while (this.points.length > 0 && this.points[this.points.length - 1].iteration >= iteration) {
      this.points.pop();
    }
    this.points.push({ iteration, metrics });
  }

  /** @param {Record<string, any>} data */
  #addArtifact(data) {
    const url = resolveAddress(this.base, data.url);
    if (url === null) return;
    this.artifacts.delete(data.name);
    this.artifacts.set(data.name, {
      name: data.name,
      title: data.title ?? null,
      mediaType: data.media_type,
      sizeBytes: data.size_bytes,
      url,
      partial: Boolean(data.partial),
    });
  }

  /** @param {Envelope} event */
  #linkOf(event) {
    if (event.event_type !== "artifact") return undefined;
    return resolveAddress(this.base, event.data.url) ?? undefined;
  }

  /** Adds a line of the page's own to the log. @param {string} text */
  note(text) {
    this.#write({ time: formatTime(Date.now()), tag: "page", level: "note", text });
  }

  /** @param {Omit<Line, "number">} line */
  #write(line) {
    const { log } = this;
    log.total += 1;
    log.lines.push({ ...line, number: log.total });
    // Cut rarely, so that a long log doesn't move its array with every line.
    if (log.lines.length >= 2 * LOG_ROWS) log.lines.splice(0, log.lines.length - LOG_ROWS);
  }
}

/**
 * What the log says of a logged event; null for event types this page doesn't know.
 * @param {Envelope} event
 * @returns {{tag: string, level: string, text: string, details?: string} | null}
 */
function describeEvent({ event_type: type, data }) {
  switch (type) {
    case "status_change":
      return { tag: "status", level: "status", text: describeStatusChange(data) };
    case "iteration_complete":
      return { tag: "iteration", level: "info", text: [data.iteration, formatPairs(data.metrics)].join(" · ") };
    case "log":
      return { tag: data.level, level: data.level, text: [data.message, formatPairs(data.fields)].filter(Boolean).join(" · ") };
    case "error":
      return { tag: "error", level: "error", text: describeError(data), details: data.traceback };
    case "artifact":
      return { tag: "artifact", level: "info", text: `${data.title ?? data.name} (${formatBytes(data.size_bytes)})` };
    case "checkpoint":
      return { tag: "checkpoint", level: "info", text: data.label ?? "saved" };
    default:
      return null;
  }
}

/** @param {Record<string, any>} data */
function describeStatusChange(data) {
  const reason = data.reason ? `(${data.reason})` : "";
  return [capitalise(data.status), reason, data.message ? `– ${data.message}` : ""].filter(Boolean).join(" ");
}

/** @param {Record<string, any>} data */
function describeError(data) {
  const again = data.will_retry ? ` It will be tried again${data.retry_at ? ` at ${formatTime(data.retry_at)}` : ""}.` : "";
  return `${data.error_type}: ${data.error}${again}`;
}

// -------------------------------------------------------------------------- forms from JSON Schema

/**
 * @typedef {"text" | "integer" | "number" | "boolean" | "choice" | "json"} FieldType
 * @typedef {{name: string | null, loc: string, label: string, help: string, type: FieldType,
 *   required: boolean, nullable: boolean, fallback: any, schema: Schema}} FieldSpec
 */

/**
 * The fields for a kind's params; a schema without named properties gets one field for the whole.
 * @param {Schema} schema
 * @returns {FieldSpec[]}
 */
function describeFields(schema) {
  const properties = Object.entries(schema.properties ?? {});
  const isFree = properties.length === 0 && (schema.additionalProperties || schema.type !== "object");
  if (isFree) return [describeField(null, { title: "Parameters", ...schema }, true, schema)];
  const required = new Set(schema.required ?? []);
  return properties.map(([name, property]) => describeField(name, property, required.has(name), schema));
}

/**
 * @param {string | null} name
 * @param {Schema} property
 * @param {boolean} required
 * @param {Schema} root
 * @returns {FieldSpec}
 */
function describeField(name, property, required, root) {
  const { schema, nullable } = simplify(property, root);
  const type = name === null ? "json" : fieldType(schema);
  return {
    name,
    loc: name === null ? "params" : `params.${name}`,
    label: property.title ?? schema.title ?? name ?? "Parameters",
    help: [property.description ?? schema.description, describeRange(schema, type)].filter(Boolean).join(" "),
    type,
    required,
    nullable,
    fallback: property.default ?? schema.default,
    schema,
  };
}

/**
 * Follows `$ref` and takes the null out of "this or null", which is how optional values are written.
 * @param {Schema} property
 * @param {Schema} root
 * @returns {{schema: Schema, nullable: boolean}}
 */
function simplify(property, root) {
  const own = followReference(property, root);
  const variants = own.anyOf ?? own.oneOf;
  if (!variants) return { schema: own, nullable: false };
  const others = variants.filter((/** @type {Schema} */ variant) => variant.type !== "null");
  const nullable = others.length < variants.length;
  if (others.length !== 1) return { schema: own, nullable };
  return { schema: followReference(others[0], root), nullable };
}

/**
 * @param {Schema} schema
 * @param {Schema} root
 * @returns {Schema}
 */
function followReference(schema, root) {
  const only = schema.allOf?.length === 1 ? { ...schema.allOf[0], ...schema } : schema;
  const path = typeof only.$ref === "string" && only.$ref.startsWith("#/") ? only.$ref.slice(2).split("/") : null;
  if (path === null) return only;
  const target = path.reduce((/** @type {any} */ node, /** @type {string} */ key) => node?.[key], root);
  return { ...target, ...only };
}

/**
 * @param {Schema} schema
 * @returns {FieldType}
 */
function fieldType(schema) {
  if (Array.isArray(schema.enum) || "const" in schema) return "choice";
  switch (schema.type) {
    case "string": return "text";
    case "integer": return "integer";
    case "number": return "number";
    case "boolean": return "boolean";
    default: return "json";
  }
}

/**
 * @param {Schema} schema
 * @param {FieldType} type
 */
function describeRange(schema, type) {
  if (type !== "integer" && type !== "number") return type === "json" ? "Written as JSON." : "";
  const low = schema.minimum ?? schema.exclusiveMinimum;
  const high = schema.maximum ?? schema.exclusiveMaximum;
  const above = schema.minimum === undefined ? "More than" : "At least";
  const below = schema.maximum === undefined ? "less than" : "at most";
  if (low !== undefined && high !== undefined) {
    return above === "At least" && below === "at most" ? `From ${low} to ${high}.` : `${above} ${low}, ${below} ${high}.`;
  }
  if (low !== undefined) return `${above} ${low}.`;
  return high !== undefined ? `${capitalise(below)} ${high}.` : "";
}

/** A value that can't even be sent; everything else is for the server to judge. */
class InvalidInput extends Error {}

/** Marks a field that is left out of the params, so that the kind's own default applies. */
const LEFT_OUT = Symbol("left out");

/** One labelled control of the form. */
class Field {
  /** @param {FieldSpec} spec */
  constructor(spec) {
    this.spec = spec;
    const id = `field-${spec.name ?? "params"}`;
    this.control = createControl(spec);
    this.control.id = id;
    this.help = el("p", { class: "hint", id: `${id}-help` }, spec.help);
    this.error = el("p", { class: "problem", id: `${id}-error`, hidden: true });
    this.control.setAttribute("aria-describedby", `${this.help.id} ${this.error.id}`);
    if (spec.required && spec.type !== "boolean") this.control.required = true;
    const label = el("label", { for: id }, spec.label, spec.required ? el("small", {}, " required") : "");
    this.help.hidden = spec.help === "";
    const isCheckbox = spec.type === "boolean";
    const line = isCheckbox ? [el("div", { class: "check" }, this.control, label)] : [label, this.control];
    this.node = el("div", { class: "field" }, ...line, this.help, this.error);
  }

  /** @param {string} message Empty when the field is right. */
  showError(message) {
    setText(this.error, message);
    this.error.hidden = message === "";
    this.control.setAttribute("aria-invalid", String(message !== ""));
  }

  /** The value to send, or LEFT_OUT; throws InvalidInput. */
  read() {
    const { spec, control } = this;
    if (control instanceof HTMLInputElement && spec.type === "boolean") return control.checked;
    if (control instanceof HTMLInputElement && control.validity.badInput) throw new InvalidInput("This is not a number.");
    const text = control.value;
    if (text.trim() === "") return this.#readEmpty();
    if (spec.type === "choice") return choicesOf(spec.schema)[Number(text)];
    if (spec.type === "json") return parseJson(text);
    return spec.type === "text" ? text : Number(text);
  }

  #readEmpty() {
    const { spec } = this;
    if (spec.nullable) return null;
    // Emptied on purpose: leaving it out would bring the default back.
    if (spec.type === "text" && typeof spec.fallback === "string") return "";
    return LEFT_OUT;
  }
}

/** @param {string} text */
function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new InvalidInput(`This is not valid JSON: ${messageOf(error)}`);
  }
}

/**
 * @param {Schema} schema
 * @returns {any[]}
 */
function choicesOf(schema) {
  return Array.isArray(schema.enum) ? schema.enum : [schema.const];
}

/**
 * @param {FieldSpec} spec
 * @returns {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement}
 */
function createControl(spec) {
  switch (spec.type) {
    case "boolean": return createCheckbox(spec);
    case "choice": return createChoice(spec);
    case "json": return createJsonArea(spec);
    case "text": return createTextInput(spec);
    default: return createNumberInput(spec);
  }
}

/** @param {FieldSpec} spec */
function createCheckbox(spec) {
  const input = document.createElement("input");
  input.type = "checkbox";
  input.checked = spec.fallback === true;
  return input;
}

/** @param {FieldSpec} spec */
function createChoice(spec) {
  const select = document.createElement("select");
  const choices = choicesOf(spec.schema);
  const chosen = choices.indexOf(spec.fallback);
  if (chosen < 0 || spec.nullable) select.append(new Option("–", "", true, chosen < 0));
  choices.forEach((choice, index) => {
    select.append(new Option(formatValue(choice), String(index), false, index === chosen));
  });
  return select;
}

/** @param {FieldSpec} spec */
function createJsonArea(spec) {
  const area = document.createElement("textarea");
  area.rows = 3;
  area.spellcheck = false;
  area.className = "code";
  const start = spec.fallback ?? (spec.name === null ? {} : undefined);
  area.value = start === undefined ? "" : JSON.stringify(start, null, 2);
  return area;
}

/** @param {FieldSpec} spec */
function createTextInput(spec) {
  const input = document.createElement("input");
  input.type = "text";
  input.spellcheck = false;
  input.autocomplete = "off";
  if (typeof spec.schema.maxLength === "number") input.maxLength = spec.schema.maxLength;
  input.value = spec.fallback ?? "";
  return input;
}

/** @param {FieldSpec} spec */
function createNumberInput(spec) {
  const input = document.createElement("input");
  const { minimum, maximum } = spec.schema;
  input.type = "number";
  input.step = spec.type === "integer" ? "1" : "any";
  if (minimum !== undefined) input.min = String(minimum);
  if (maximum !== undefined) input.max = String(maximum);
  input.value = spec.fallback === undefined || spec.fallback === null ? "" : String(spec.fallback);
  return input;
}

// ------------------------------------------------------------------------------------------- views

/**
 * @template {Element} T
 * @param {string} id
 * @param {new () => T} type
 * @returns {T}
 */
function byId(id, type) {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`the page has no ${type.name} #${id}`);
  return found;
}

/** @param {string} id */
function part(id) {
  return byId(id, HTMLElement);
}

/**
 * An element; strings among the children become text nodes.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, string | boolean>} [attributes]
 * @param {(Node | string)[]} children
 */
function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

/**
 * @param {string} tag
 * @param {Record<string, string | number>} attributes
 * @param {string} [text]
 */
function svg(tag, attributes, text = "") {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
  node.append(text);
  return node;
}

/** @param {string} href @param {string} text */
function outsideLink(href, text) {
  return el("a", { href, target: "_blank", rel: "noopener noreferrer" }, text);
}

/**
 * Writes only what differs, so that selections survive and nothing is laid out again for nothing.
 * @param {Element} node
 * @param {string} text
 */
function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Shows the text, or hides the node when there is none.
 * @param {HTMLElement} node
 * @param {string} text
 */
function showText(node, text) {
  setText(node, text);
  node.hidden = text === "";
}

/** The log's rows, at most LOG_ROWS, following the newest until somebody scrolls up. */
class LogView {
  /** @type {Log | null} */
  #log = null;
  #drawn = 0;
  #isFollowing = true;
  /** Where following left the scroll bar; only a person moves it up from there. */
  #followedTo = 0;
  #seen = 0;

  constructor() {
    this.box = part("log");
    this.button = byId("log-follow", HTMLButtonElement);
    this.cut = part("log-cut");
    this.box.addEventListener("scroll", () => this.#noticeScroll());
    this.button.addEventListener("click", () => this.#follow());
  }

  /** @param {Log} log */
  render(log) {
    if (log !== this.#log) this.#reset(log);
    const missing = Math.min(log.total - this.#drawn, LOG_ROWS);
    if (missing > 0) this.#append(log.lines.slice(-missing));
    this.#drawn = log.total;
    if (this.#isFollowing) this.#seen = log.total;
    this.#renderButton(log.total - this.#seen);
    const left = log.total - this.box.childElementCount;
    const cut = `The newest ${formatNumber(LOG_ROWS)} lines; ${formatNumber(left)} older ones are left out here.`;
    showText(this.cut, left > 0 ? cut : "");
  }

  /** @param {Log} log */
  #reset(log) {
    this.#log = log;
    this.#drawn = 0;
    this.#isFollowing = true;
    this.#followedTo = 0;
    this.box.replaceChildren();
  }

  /** @param {Line[]} lines */
  #append(lines) {
    // Looked at here too: in a flood the next lines come before the event of the scrolling.
    this.#noticePosition();
    this.box.append(...lines.map(createRow));
    while (this.box.childElementCount > LOG_ROWS) this.box.firstElementChild?.remove();
    if (this.#isFollowing) this.#scrollToEnd();
  }

  #noticePosition() {
    const { scrollTop, scrollHeight, clientHeight } = this.box;
    const isAtEnd = scrollHeight - scrollTop - clientHeight < 24;
    this.#isFollowing = isAtEnd || (this.#isFollowing && scrollTop >= this.#followedTo);
  }

  #scrollToEnd() {
    this.box.scrollTop = this.box.scrollHeight;
    this.#followedTo = this.box.scrollTop;
  }

  #noticeScroll() {
    this.#noticePosition();
    if (this.#log) this.render(this.#log);
  }

  #follow() {
    this.#isFollowing = true;
    this.#scrollToEnd();
    this.box.focus();
    if (this.#log) this.render(this.#log);
  }

  /** @param {number} unseen */
  #renderButton(unseen) {
    this.button.hidden = this.#isFollowing;
    setText(this.button, unseen > 0 ? `Paused · ${formatNumber(unseen)} new ↓` : "Paused · follow ↓");
  }
}

/** @param {Line} line */
function createRow(line) {
  const text = line.href ? outsideLink(line.href, line.text) : line.text;
  const body = el("span", { class: "row-text" }, text);
  if (line.details) body.append(el("details", {}, el("summary", {}, "Traceback"), el("pre", {}, line.details)));
  return el("div", { class: `row ${line.level}` },
    el("span", { class: "row-time" }, line.time), el("span", { class: "row-tag" }, line.tag), body);
}

/** Newest metrics as tiles, one of which is chosen for the chart. */
class FiguresView {
  /** @type {Point[] | null} */
  #points = null;
  /** @type {Map<string, {input: HTMLInputElement, value: HTMLElement}>} */
  #tiles = new Map();
  #chosen = "";
  #drawn = "";

  constructor() {
    this.section = part("figures");
    this.box = part("tiles");
    this.chart = byId("chart", SVGSVGElement);
    new ResizeObserver(() => this.#draw()).observe(this.chart);
  }

  /** @param {Point[]} points */
  render(points) {
    if (points !== this.#points) this.#reset(points);
    const newest = points.at(-1);
    this.section.hidden = newest === undefined;
    if (!newest) return;
    for (const [name, value] of Object.entries(newest.metrics)) {
      setText(this.#tile(name).value, formatNumber(value));
    }
    this.#draw();
  }

  /** @param {Point[]} points */
  #reset(points) {
    this.#points = points;
    for (const { input } of this.#tiles.values()) input.closest("label")?.remove();
    this.#tiles.clear();
    this.#chosen = "";
    this.#drawn = "";
  }

  /** @param {string} name */
  #tile(name) {
    const known = this.#tiles.get(name);
    if (known) return known;
    const input = el("input", { type: "radio", name: "metric", class: "visually-hidden" });
    const value = el("span", { class: "tile-value" });
    input.addEventListener("change", () => this.#choose(name));
    this.box.append(el("label", { class: "tile" }, input, el("span", { class: "tile-name" }, name), value));
    const tile = { input, value };
    this.#tiles.set(name, tile);
    if (this.#chosen === "") {
      this.#chosen = name;
      input.checked = true;
    }
    return tile;
  }

  /** @param {string} name */
  #choose(name) {
    this.#chosen = name;
    this.#draw();
  }

  #draw() {
    const points = this.#points ?? [];
    const width = Math.round(this.chart.clientWidth);
    const last = points.at(-1);
    if (!last || width === 0) return;
    const key = `${this.#chosen}/${width}/${points.length}/${last.iteration}`;
    if (key === this.#drawn) return;
    this.#drawn = key;
    drawChart(this.chart, this.#chosen, valuesOf(points, this.#chosen), width);
  }
}

/**
 * @typedef {{x: number, y: number}} Dot
 * @param {Point[]} points
 * @param {string} name
 * @returns {Dot[]}
 */
function valuesOf(points, name) {
  return points
    .filter((point) => typeof point.metrics[name] === "number")
    .map((point) => ({ x: point.iteration, y: point.metrics[name] }));
}

const CHART = { height: 200, left: 56, right: 12, top: 12, bottom: 26 };

/**
 * A line over iterations, with few ticks and the newest value marked.
 * @param {SVGSVGElement} chart
 * @param {string} name
 * @param {Dot[]} dots At least one.
 * @param {number} width In pixels, so that text keeps its size.
 */
function drawChart(chart, name, dots, width) {
  if (dots.length === 0) return chart.replaceChildren();
  const yTicks = niceTicks(...extent(dots.map((dot) => dot.y)), 4);
  const xTicks = niceTicks(dots[0].x, dots[dots.length - 1].x, width > 480 ? 6 : 4).filter(Number.isInteger);
  const toX = scale(dots[0].x, dots[dots.length - 1].x, CHART.left, width - CHART.right);
  const toY = scale(yTicks[0], yTicks[yTicks.length - 1], CHART.height - CHART.bottom, CHART.top);
  const line = thinOut(dots, width).map((dot) => `${toX(dot.x).toFixed(1)},${toY(dot.y).toFixed(1)}`).join(" ");
  const newest = dots[dots.length - 1];
  chart.setAttribute("viewBox", `0 0 ${width} ${CHART.height}`);
  chart.setAttribute("aria-label", describeChart(name, dots));
  chart.replaceChildren(
    ...yTicks.flatMap((tick) => drawYTick(tick, toY(tick), width)),
    ...xTicks.filter((tick) => tick >= dots[0].x && tick <= newest.x).map((tick) => drawXTick(tick, toX(tick))),
    svg("polyline", { class: "line", points: line }),
    svg("circle", { class: "newest", cx: toX(newest.x), cy: toY(newest.y), r: 4 }),
  );
}

/** @param {number} tick @param {number} y @param {number} width */
function drawYTick(tick, y, width) {
  return [
    svg("line", { class: "grid", x1: CHART.left, x2: width - CHART.right, y1: y, y2: y }),
    svg("text", { x: CHART.left - 8, y: y + 4, "text-anchor": "end" }, formatNumber(tick)),
  ];
}

/** @param {number} tick @param {number} x */
function drawXTick(tick, x) {
  return svg("text", { x, y: CHART.height - 6, "text-anchor": "middle" }, formatNumber(tick));
}

/** @param {string} name @param {Dot[]} dots */
function describeChart(name, dots) {
  const [low, high] = extent(dots.map((dot) => dot.y)).map(formatNumber);
  const last = dots[dots.length - 1];
  return `${name} over iterations ${dots[0].x} to ${last.x}: now ${formatNumber(last.y)}, lowest ${low}, highest ${high}`;
}

/**
 * @param {number[]} values
 * @returns {[number, number]}
 */
function extent(values) {
  return values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
}

/** @param {number} low @param {number} high @param {number} from @param {number} to */
function scale(low, high, from, to) {
  return (/** @type {number} */ value) => (high === low ? (from + to) / 2 : from + ((value - low) / (high - low)) * (to - from));
}

/**
 * Round numbers that enclose the range, 1, 2 or 5 times a power of ten apart.
 * @param {number} low
 * @param {number} high
 * @param {number} count
 */
function niceTicks(low, high, count) {
  const span = high - low || Math.abs(low) || 1;
  const rough = span / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10);
  const first = Math.floor(low / step);
  const last = Math.max(Math.ceil(high / step), first + 1);
  return Array.from({ length: last - first + 1 }, (_, index) => Number(((first + index) * step).toPrecision(12)));
}

/**
 * At most two dots per pixel column, the lowest and the highest, so that peaks stay visible.
 * @param {Dot[]} dots
 * @param {number} width
 */
function thinOut(dots, width) {
  if (dots.length <= 2 * width) return dots;
  const size = Math.ceil(dots.length / width);
  const kept = [];
  for (let start = 0; start < dots.length; start += size) {
    const bucket = dots.slice(start, start + size);
    const [low, high] = extent(bucket.map((dot) => dot.y));
    kept.push(...bucket.filter((dot) => dot.y === low).slice(0, 1), ...bucket.filter((dot) => dot.y === high).slice(0, 1));
  }
  return kept.sort((one, other) => one.x - other.x);
}

/** Links to what the task made, with pictures shown. */
class ArtifactsView {
  #drawn = "";

  constructor() {
    this.section = part("artifacts");
    this.list = part("artifact-list");
    this.more = part("artifacts-more");
  }

  /** @param {Map<string, Artifact>} artifacts */
  render(artifacts) {
    const newestFirst = [...artifacts.values()].reverse();
    const shown = newestFirst.slice(0, SHOWN_ARTIFACTS);
    const key = JSON.stringify(shown);
    this.section.hidden = shown.length === 0;
    if (key === this.#drawn) return;
    this.#drawn = key;
    this.list.replaceChildren(...shown.map(createArtifact));
    const left = newestFirst.length - shown.length;
    showText(this.more, left > 0 ? `${left} older ones are in the log.` : "");
  }
}

/** @param {Artifact} artifact */
function createArtifact(artifact) {
  const name = artifact.title ?? artifact.name;
  const facts = [artifact.mediaType, formatBytes(artifact.sizeBytes), artifact.partial ? "partial" : ""];
  const item = el("li", {}, outsideLink(artifact.url, name), el("small", {}, facts.filter(Boolean).join(" · ")));
  if (PICTURES.has(artifact.mediaType)) item.append(createPicture(artifact.url, name));
  return item;
}

/** @param {string} url @param {string} name */
function createPicture(url, name) {
  const picture = el("img", { src: url, alt: name, loading: "lazy", decoding: "async" });
  // The link above it still works, for instance when the page may not show another server's pictures.
  picture.addEventListener("error", () => picture.remove());
  return picture;
}

/** What the task returned: its top level readable, the whole as JSON. */
class ResultView {
  /** @type {Result | null} */
  #drawn = null;

  constructor() {
    this.section = part("result");
    this.state = part("result-state");
    this.values = part("result-values");
    this.details = byId("result-details", HTMLDetailsElement);
    this.json = part("result-json");
  }

  /** @param {Result} result */
  render(result) {
    if (result === this.#drawn) return;
    this.#drawn = result;
    this.section.hidden = result.phase === "unknown";
    showText(this.state, describeResult(result));
    const isObject = result.value !== null && typeof result.value === "object";
    const isReadable = isRecord(result.value);
    this.values.replaceChildren(...(isReadable ? createPairs(result.value) : []));
    this.details.hidden = !isObject;
    this.details.open = !isReadable;
    setText(this.json, isObject ? shorten(JSON.stringify(result.value, null, 2)) : "");
  }
}

/** @param {Result} result */
function describeResult(result) {
  if (result.phase === "loading") return "Fetching the result…";
  if (result.phase === "failed") return `The result can't be shown: ${result.problem}`;
  if (result.phase === "unknown" || typeof result.value === "object") {
    return result.phase === "ready" && result.value === null ? "The task returned nothing." : "";
  }
  return formatValue(result.value);
}

/** @param {Record<string, any>} values */
function createPairs(values) {
  return Object.entries(values).flatMap(([name, value]) => [
    el("dt", {}, name),
    el("dd", {}, shorten(isFlatRecord(value) ? formatPairs(value) : formatValue(value), 500)),
  ]);
}

/** @param {any} value */
function isFlatRecord(value) {
  return isRecord(value) && Object.values(value).every((inner) => typeof inner !== "object");
}

/** @param {any} value */
function isRecord(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

/** @param {string} text @param {number} [limit] */
function shorten(text, limit = SHOWN_JSON_CHARACTERS) {
  return text.length > limit ? `${text.slice(0, limit)}\n… ${formatNumber(text.length - limit)} more characters` : text;
}

/** The form that creates a task of a chosen kind. */
class FormView {
  #drawnKinds = "";
  /** @type {Kind[]} */
  #kinds = [];
  /** @type {Field[]} */
  #fields = [];

  /** @param {(kind: string, params: any) => void} onSubmit */
  constructor(onSubmit) {
    this.state = part("kinds-state");
    this.form = byId("task-form", HTMLFormElement);
    this.select = byId("kind", HTMLSelectElement);
    this.description = part("kind-description");
    this.box = part("fields");
    this.problem = part("form-problem");
    this.button = byId("create", HTMLButtonElement);
    this.select.addEventListener("change", () => this.#buildFields());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit(onSubmit);
    });
  }

  /**
   * @param {typeof state.kinds} kinds
   * @param {boolean} isSending
   * @param {boolean} isConnected
   */
  render(kinds, isSending, isConnected) {
    showText(this.state, describeKinds(kinds));
    this.form.hidden = kinds.items.length === 0;
    this.button.disabled = isSending || !isConnected;
    setText(this.button, isSending ? "Creating…" : "Create task");
    // Built again only for other kinds: a reconnect must not wipe what somebody typed.
    const key = JSON.stringify(kinds.items);
    if (key === this.#drawnKinds) return;
    this.#drawnKinds = key;
    this.#buildKinds(kinds.items);
  }

  /** @param {Kind[]} kinds */
  #buildKinds(kinds) {
    this.#kinds = kinds;
    const chosen = kinds.find((kind) => kind.default) ?? kinds[0];
    this.select.replaceChildren(...kinds.map((kind) => new Option(kind.name, kind.name, false, kind === chosen)));
    this.#buildFields();
  }

  #buildFields() {
    const kind = this.#kinds.find((candidate) => candidate.name === this.select.value);
    this.#fields = kind ? describeFields(kind.params_schema ?? {}).map((spec) => new Field(spec)) : [];
    this.box.replaceChildren(...this.#fields.map((field) => field.node));
    showText(this.description, kind?.description ?? "");
    showText(this.problem, "");
  }

  /** @param {(kind: string, params: any) => void} onSubmit */
  #submit(onSubmit) {
    this.showErrors("", []);
    const errors = [];
    /** @type {Record<string, any>} */
    let params = {};
    for (const field of this.#fields) {
      try {
        const value = field.read();
        if (field.spec.name === null) params = value === LEFT_OUT ? {} : value;
        else if (value !== LEFT_OUT) params[field.spec.name] = value;
      } catch (error) {
        errors.push({ loc: field.spec.loc, message: messageOf(error) });
      }
    }
    if (errors.length > 0) this.showErrors("", errors);
    else onSubmit(this.select.value, params);
  }

  /**
   * Puts each error beside its field, and the rest under the form.
   * @param {string} message
   * @param {{loc: string, message: string}[]} errors
   */
  showErrors(message, errors) {
    const others = [];
    /** @type {Map<Field, string[]>} */
    const byField = new Map();
    for (const error of errors) {
      const field = this.#fieldAt(error.loc);
      if (field) byField.set(field, [...(byField.get(field) ?? []), describeFieldError(field, error)]);
      else others.push(`${error.loc}: ${error.message}`);
    }
    for (const field of this.#fields) field.showError((byField.get(field) ?? []).join(" "));
    const summary = byField.size > 0 ? "Please correct the marked fields." : message;
    showText(this.problem, [summary, ...others].filter(Boolean).join(" "));
    this.#fields.find((field) => byField.has(field))?.control.focus();
  }

  /** @param {string} loc Points into the body; it may lie deeper than the field. */
  #fieldAt(loc) {
    return this.#fields.find(({ spec }) => loc === spec.loc || loc.startsWith(`${spec.loc}.`));
  }
}

/** @param {Field} field @param {{loc: string, message: string}} error */
function describeFieldError(field, error) {
  const deeper = error.loc.slice(field.spec.loc.length + 1);
  return deeper === "" ? error.message : `${deeper}: ${error.message}`;
}

/** @param {typeof state.kinds} kinds */
function describeKinds(kinds) {
  if (kinds.phase === "idle") return "Connect to a server to create tasks.";
  if (kinds.phase === "failed") return kinds.problem;
  if (kinds.items.length > 0) return "";
  if (kinds.phase === "loading") return "Asking the server what it can run…";
  return "This server has no kinds of tasks yet. Register a handler with @push.task(\"name\") and restart it.";
}

/** The newest tasks of the server, each a link that watches it. */
class RecentView {
  #drawn = "";

  constructor() {
    this.state = part("recent-state");
    this.list = part("recent-list");
  }

  /**
   * @param {typeof state.recent} recent
   * @param {string} knownProblem Told elsewhere on the page already.
   * @param {Watch | null} watch Newer than the list for its own task.
   */
  render(recent, knownProblem, watch) {
    showText(this.state, recent.problem !== "" && recent.problem === knownProblem
      ? "The list can't be loaded either." : describeRecent(recent));
    const rows = recent.items.map((task) => toRecentRow(task, watch));
    const key = JSON.stringify(rows);
    if (key === this.#drawn) return;
    this.#drawn = key;
    const focused = document.activeElement?.getAttribute("href");
    const links = rows.map(createRecentLink);
    this.list.replaceChildren(...links.map((link) => el("li", {}, link)));
    links.find((link) => focused && link.getAttribute("href") === focused)?.focus();
  }
}

/** @param {typeof state.recent} recent */
function describeRecent(recent) {
  if (recent.phase === "idle") return recent.items.length > 0 ? "Not connected; the list may be old." : "Not connected.";
  if (recent.phase === "failed") return recent.problem;
  if (recent.items.length > 0) return "";
  return recent.phase === "loading" ? "Loading…" : "No tasks yet. The first one you create shows up here.";
}

/** @param {Snapshot} task @param {Watch | null} watch */
function toRecentRow(task, watch) {
  const isWatched = watch?.taskId === task.task_id;
  const status = isWatched && watch.status ? watch.status : task.status;
  const progress = isWatched ? watch.latest.progress?.data : task.latest?.progress;
  const percent = status === "running" ? progress?.progress_percent : null;
  return {
    href: hashOf(task.task_id),
    name: task.title || task.kind,
    status,
    percent: typeof percent === "number" ? Math.floor(percent) : null,
    facts: [task.title ? task.kind : "", formatMoment(task.created_at), shortId(task.task_id)].filter(Boolean).join(" · "),
    isWatched,
  };
}

/** @param {ReturnType<typeof toRecentRow>} row */
function createRecentLink(row) {
  const percent = row.percent === null ? "" : ` ${row.percent} %`;
  return el("a", { href: row.href, "aria-current": row.isWatched ? "true" : false },
    el("span", { class: "recent-name" }, row.name),
    el("span", { class: "chip", "data-status": row.status }, capitalise(row.status) + percent),
    el("small", {}, row.facts));
}

/** Ids made from the time share their start: the end tells them apart. @param {string} taskId */
function shortId(taskId) {
  return `…${taskId.slice(-6)}`;
}

// ------------------------------------------------------------------------------------------ wiring

/** Everything that is shown. */
const state = {
  base: OWN_BASE,
  serverVersion: "",
  connection: {
    /** @type {"offline" | "connecting" | "live" | "recovering"} */
    phase: "offline",
    /** @type {number | null} */
    since: null,
    problem: "",
  },
  kinds: {
    /** @type {"idle" | "loading" | "ready" | "failed"} */
    phase: "idle",
    /** @type {Kind[]} */
    items: [],
    problem: "",
  },
  recent: {
    /** @type {"idle" | "loading" | "ready" | "failed"} */
    phase: "idle",
    /** @type {Snapshot[]} */
    items: [],
    problem: "",
  },
  creation: {
    /** @type {"idle" | "sending"} */
    phase: "idle",
    /** Key of a request whose answer was lost: sent again, it can't create a second task. */
    key: "",
    body: "",
  },
  /** @type {Watch | null} */
  watch: null,
};

/** The Socket.IO client; null while nobody wants a connection. @type {any} */
let socket = null;
/** What the server last complained about, which explains a disconnect that follows. */
let lastServerError = "";
let isRenderScheduled = false;

/** Schedules one rendering for all changes of the next moment. A timer also runs in hidden tabs. */
function changed() {
  if (isRenderScheduled) return;
  isRenderScheduled = true;
  setTimeout(() => {
    isRenderScheduled = false;
    render();
  }, RENDER_DELAY_MS);
}

// Connection

/** @param {string} base */
function connect(base) {
  disconnect();
  if (base !== state.base) changeServer(base);
  const io = /** @type {any} */ (globalThis).io;
  if (typeof io !== "function") {
    setConnection("offline", "The Socket.IO client, static/vendor/socket.io.min.js, could not be loaded from this server.");
    return;
  }
  const url = new URL(base);
  socket = io(`${url.origin}/tasks`, {
    path: `${url.pathname}socket.io/`,
    // WebSocket first: polling needs sticky sessions once there are several servers.
    transports: ["websocket", "polling"],
    tryAllTransports: true,
    multiplex: false,
    reconnectionDelayMax: 5000,
  });
  listen(socket);
  setConnection("connecting");
  state.kinds.phase = "loading";
  state.recent.phase = "loading";
}

function disconnect() {
  socket?.off();
  socket?.disconnect();
  socket = null;
  state.kinds.phase = "idle";
  state.recent.phase = "idle";
  setConnection("offline");
}

/** @param {string} base */
function changeServer(base) {
  state.base = base;
  state.kinds.items = [];
  state.recent.items = [];
  state.serverVersion = "";
  if (state.watch) state.watch = new Watch(state.watch.taskId, base);
}

/**
 * @param {typeof state.connection.phase} phase
 * @param {string} [problem]
 */
function setConnection(phase, problem = "") {
  const { connection, watch } = state;
  const isLoss = phase === "recovering" || phase === "offline";
  connection.since = isLoss ? connection.since ?? Date.now() : null;
  if (watch && phase === "live") watch.staleSince = null;
  if (watch?.phase === "watching" && isLoss && !watch.isOver) watch.staleSince ??= Date.now();
  connection.phase = phase;
  connection.problem = problem;
  changed();
}

/** @param {any} connected Handlers run in the order of the frames, which the watch relies on. */
function listen(connected) {
  connected.on("connect", onConnect);
  connected.on("connect_error", onConnectError);
  connected.on("disconnect", onDisconnect);
  connected.on("connected", onGreeting);
  connected.on("task_update", onTaskUpdate);
  connected.on("resync", onResync);
  connected.on("task_deleted", onTaskDeleted);
  connected.on("error", onServerError);
}

function onConnect() {
  lastServerError = "";
  loadKinds();
  loadRecent();
  if (state.watch && state.watch.phase !== "deleted") subscribe(state.watch);
  else setConnection("live");
}

/** @param {Error & {data?: any}} error */
async function onConnectError(error) {
  const attempted = socket;
  if (!attempted.active) {
    disconnect();
    setConnection("offline", `The server refused the connection: ${error.message}`);
    return;
  }
  const problem = await explainConnectError();
  if (socket !== attempted || attempted.connected) return;
  setConnection(state.connection.phase, `${problem} Trying again until it works.`);
  if (state.kinds.phase === "loading") state.kinds = { ...state.kinds, phase: "failed", problem: "Waiting for the connection." };
  if (state.recent.phase === "loading") state.recent.phase = "idle";
}

/** A server that answers over HTTP but not here has another fault than one that is away. */
async function explainConnectError() {
  try {
    await request(state.base, "api/kinds");
    return `The server at ${state.base} answers, but the live connection to ${state.base}socket.io/ fails. `
      + "A proxy that doesn't pass WebSocket is a usual cause.";
  } catch (error) {
    return messageOf(error);
  }
}

/** @param {string} reason */
function onDisconnect(reason) {
  if (reason !== "io server disconnect") {
    setConnection("recovering");
    return;
  }
  const explanation = lastServerError || "no reason was given";
  disconnect();
  setConnection("offline", `The server ended the connection: ${explanation}. Press Connect to try again.`);
}

/** @param {{protocol?: number, server_version?: string}} greeting */
function onGreeting(greeting) {
  const isUnknown = greeting.protocol !== undefined && greeting.protocol !== PROTOCOL;
  const protocol = isUnknown ? `, protocol ${greeting.protocol} (this page knows ${PROTOCOL})` : "";
  state.serverVersion = greeting.server_version ? `taskpush ${greeting.server_version}${protocol}` : "";
  changed();
}

/** @param {{code: string, message: string, task_id?: string}} error */
function onServerError(error) {
  lastServerError = error.message;
  const { watch } = state;
  if (!watch || error.task_id !== watch.taskId) return;
  // A refused subscription also has its ack; this is for what goes wrong later.
  if (watch.phase === "pending") refuse(watch, error);
  else if (watch.phase === "watching") watch.note(`The server says: ${error.message}`);
  changed();
}

// Watching

/** @param {string} taskId Empty to watch nothing. */
function watchTask(taskId) {
  const old = state.watch;
  if (old?.taskId === taskId) return;
  if (old && socket?.connected) socket.emit("unsubscribe", { task_id: old.taskId });
  state.watch = taskId === "" ? null : new Watch(taskId, state.base);
  if (state.watch && socket?.connected) subscribe(state.watch);
  changed();
}

/** @param {Watch} watch */
function subscribe(watch) {
  const asked = socket;
  const after = watch.cursor ?? undefined;
  watch.isSubscribing = true;
  /** @param {Error | null} error @param {any} ack */
  const onAnswer = (error, ack) => {
    if (state.watch !== watch || socket !== asked) return;
    if (error) {
      if (asked.connected) subscribe(watch);
      return;
    }
    watch.isSubscribing = false;
    onSubscribed(watch, ack);
  };
  asked.timeout(ACK_TIMEOUT_MS).emit("subscribe", { task_id: watch.taskId, after }, onAnswer);
}

/**
 * @param {Watch} watch
 * @param {any} ack
 */
function onSubscribed(watch, ack) {
  if (!ack?.ok) {
    refuse(watch, ack ?? { code: "", message: "The server gave no answer." });
  } else if (ack.mode === "pending") {
    watch.phase = "pending";
  } else if (ack.mode !== "resync") {
    if (ack.snapshot) watch.applySnapshot(ack.snapshot);
    watch.cursor ??= ack.position ?? null;
    watch.phase = "watching";
    if (watch.staleSince !== null) watch.note(`Connected again, going on after event ${watch.cursor?.seq ?? 0}.`);
  }
  setConnection("live");
  loadMissingResult();
}

/** @param {Watch} watch @param {{code: string, message: string}} error */
function refuse(watch, error) {
  watch.phase = "refused";
  watch.problem = error.code === "not_found"
    ? "There is no such task here, or you may not see it. It may have been deleted, or the link may belong to another server."
    : `This task can't be watched: ${error.message}`;
}

/** @param {Envelope} event */
function onTaskUpdate(event) {
  const { watch } = state;
  if (!watch || event.task_id !== watch.taskId || watch.isSubscribing) return;
  if (watch.phase === "pending") loadSnapshot(watch);
  watch.phase = "watching";
  const wasOver = watch.isOver;
  const outcome = watch.applyEvent(event);
  if (outcome === "gap") {
    watch.note("An event is missing; asking for it again.");
    subscribe(watch);
  }
  if (watch.isOver !== wasOver) loadRecent();
  loadMissingResult();
  changed();
}

/** @param {{task_id: string, reason: string, snapshot: Snapshot, position: Position, oldest?: any}} message */
function onResync({ task_id: taskId, reason, snapshot, position }) {
  const { watch } = state;
  if (!watch || taskId !== watch.taskId) return;
  watch.clear();
  watch.cursor = position;
  watch.applySnapshot(snapshot);
  watch.phase = "watching";
  watch.note(`The server can't continue from where this page was (${reason}). `
    + `Shown is its present state, after event ${position.seq}; what came before isn't listed.`);
  loadMissingResult();
  changed();
}

/** @param {{task_id: string}} message */
function onTaskDeleted({ task_id: taskId }) {
  if (state.watch?.taskId === taskId) state.watch.phase = "deleted";
  state.recent.items = state.recent.items.filter((task) => task.task_id !== taskId);
  changed();
}

// REST

async function loadKinds() {
  const { base } = state;
  try {
    const page = await request(base, "api/kinds");
    if (base === state.base) state.kinds = { phase: "ready", items: page.items, problem: "" };
  } catch (error) {
    if (base === state.base) state.kinds = { ...state.kinds, phase: "failed", problem: messageOf(error) };
  }
  changed();
}

async function loadRecent() {
  const { base } = state;
  try {
    const page = await request(base, "api/tasks?limit=20");
    if (base === state.base) state.recent = { phase: "ready", items: page.items, problem: "" };
  } catch (error) {
    if (base === state.base) state.recent = { ...state.recent, phase: "failed", problem: messageOf(error) };
  }
  changed();
}

/** @param {string} taskId @param {string} [rest] */
function taskPath(taskId, rest = "") {
  return `api/tasks/${encodeURIComponent(taskId)}${rest}`;
}

/** Names and params of a task that was subscribed to before it existed. @param {Watch} watch */
async function loadSnapshot(watch) {
  try {
    watch.applySnapshot(await request(watch.base, taskPath(watch.taskId)));
  } catch (error) {
    watch.note(`The task's description can't be read: ${messageOf(error)}`);
  }
  changed();
}

/** A large result, and one from before a resync, didn't come with an event. */
async function loadMissingResult() {
  const { watch } = state;
  if (!watch?.lacksResult || watch.phase !== "watching") return;
  watch.result = { phase: "loading", value: null, problem: "" };
  /** @type {Result} */
  let outcome;
  try {
    const body = await request(watch.base, taskPath(watch.taskId, "/result"));
    outcome = { phase: "ready", value: body.result, problem: "" };
  } catch (error) {
    outcome = { phase: "failed", value: null, problem: messageOf(error) };
  }
  if (watch.result.phase === "loading") watch.result = outcome;
  changed();
}

/** @param {string} kind @param {any} params */
async function createTask(kind, params) {
  const { creation, base } = state;
  const body = JSON.stringify({ kind, params });
  if (creation.body !== body || creation.key === "") Object.assign(creation, { body, key: randomKey() });
  creation.phase = "sending";
  changed();
  try {
    const task = await post(base, "api/tasks", { kind, params }, { "Idempotency-Key": creation.key });
    creation.key = "";
    openTask(task.task_id);
    loadRecent();
  } catch (error) {
    const isAnswered = error instanceof Problem && error.code !== "unreachable";
    if (isAnswered) creation.key = "";
    views.form.showErrors(messageOf(error), error instanceof Problem ? error.errors : []);
  }
  creation.phase = "idle";
  changed();
}

/** Random without `crypto.randomUUID`, which plain http on a local network doesn't have. */
function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function cancelTask() {
  const { watch } = state;
  if (!watch) return;
  watch.cancel = { phase: "asked", problem: "" };
  changed();
  try {
    await post(watch.base, taskPath(watch.taskId, "/cancel"), { attempt: watch.attempt });
  } catch (error) {
    watch.cancel = { phase: "failed", problem: `It could not be cancelled: ${messageOf(error)}` };
  }
  changed();
}

// Address of the page

/** @param {string} taskId */
function hashOf(taskId) {
  const hash = new URLSearchParams({ task: taskId });
  if (state.base !== OWN_BASE) hash.set("server", state.base);
  return `#${hash}`;
}

function readHash() {
  const hash = new URLSearchParams(location.hash.slice(1));
  return { taskId: (hash.get("task") ?? "").toLowerCase(), server: hash.get("server") ?? "" };
}

/** @param {string} taskId */
function openTask(taskId) {
  location.hash = hashOf(taskId);
}

function onHashChange() {
  watchTask(readHash().taskId);
  part("watched-heading").focus();
}

// Rendering

const views = {
  log: new LogView(),
  figures: new FiguresView(),
  artifacts: new ArtifactsView(),
  result: new ResultView(),
  form: new FormView(createTask),
  recent: new RecentView(),
};

function render() {
  renderConnection();
  views.form.render(state.kinds, state.creation.phase === "sending", state.connection.phase !== "offline");
  views.recent.render(state.recent, state.kinds.problem, state.watch);
  renderWatch(state.watch);
  renderTitle(state.watch);
  announce();
}

function renderConnection() {
  const { phase, problem } = state.connection;
  part("connection").dataset.phase = phase;
  setText(part("connection-text"), describeConnection());
  setText(part("server-button"), phase === "offline" ? "Connect" : "Disconnect");
  showText(part("notice"), problem);
  setText(part("server-version"), state.serverVersion);
}

function describeConnection() {
  const { phase, since } = state.connection;
  if (phase === "recovering" && since !== null) return `Recovering since ${formatTime(since)}`;
  return phase === "connecting" ? "Connecting…" : capitalise(phase);
}

/** @param {Watch | null} watch */
function renderWatch(watch) {
  const shown = watch?.status ? watch : null;
  showText(part("watch-state"), describeWatch(watch));
  part("task").hidden = shown === null;
  renderHead(shown);
  if (shown === null) return;
  renderFacts(shown);
  renderProgress(shown);
  renderFailure(shown);
  views.figures.render(shown.points);
  views.result.render(shown.result);
  views.artifacts.render(shown.artifacts);
  views.log.render(shown.log);
  part("params").hidden = shown.params === null;
  setText(part("params-json"), shorten(JSON.stringify(shown.params, null, 2)));
}

/** @param {Watch | null} watch */
function describeWatch(watch) {
  if (watch === null) return "Create a task, or choose one from the list, to watch it here step by step.";
  if (watch.phase === "refused") return watch.problem;
  if (watch.phase === "deleted") return "This task was deleted on the server. What is shown below was the last of it.";
  if (watch.phase === "pending") return `Task ${watch.taskId} doesn't exist yet. It will show up here as soon as it is created.`;
  if (watch.status !== "") return "";
  return state.connection.phase === "live" ? "Loading the task…" : "The task is shown as soon as the page is connected.";
}

/** @param {Watch | null} watch */
function renderHead(watch) {
  setText(part("watched-heading"), nameOf(watch) || "Task");
  const chip = part("task-status");
  chip.dataset.status = watch?.status ?? "";
  showText(chip, capitalise(watch?.status ?? ""));
  const isAsked = watch?.cancel.phase === "asked";
  const button = byId("cancel", HTMLButtonElement);
  button.hidden = watch === null || watch.isOver || watch.phase !== "watching";
  button.disabled = isAsked || state.connection.phase === "offline";
  setText(button, isAsked ? "Cancelling…" : "Cancel task");
}

/** @param {Watch} watch */
function renderFacts(watch) {
  const isStale = watch.staleSince !== null && !watch.isOver;
  setText(part("task-facts"), describeFacts(watch).join(" · "));
  showText(part("cancel-problem"), watch.isOver ? "" : watch.cancel.problem);
  showText(part("stale"), isStale ? `Not live: this is the state of ${formatTime(watch.staleSince ?? 0)}.` : "");
}

/** @param {Watch | null} watch */
function nameOf(watch) {
  return watch ? watch.title || watch.kind : "";
}

/** @param {Watch} watch */
function describeFacts(watch) {
  return [
    watch.title ? watch.kind : "",
    watch.taskId,
    watch.startedAt ? `started ${formatMoment(watch.startedAt)}` : "",
    watch.finishedAt ? `ended ${formatMoment(watch.finishedAt)}` : "",
    watch.attempt > 1 ? `attempt ${watch.attempt}` : "",
  ].filter(Boolean);
}

/** @param {Watch} watch */
function renderProgress(watch) {
  const data = watch.latest.progress?.data ?? {};
  const percent = watch.status === "completed" ? 100 : data.progress_percent;
  const bar = byId("progress-bar", HTMLProgressElement);
  part("progress").dataset.status = watch.status;
  if (typeof percent === "number") bar.value = percent;
  else if (watch.status === "running") bar.removeAttribute("value");
  else bar.value = 0;
  setText(part("progress-percent"), typeof percent === "number" ? `${Math.floor(percent)} %` : "");
  setText(part("progress-steps"), describeSteps(data));
  setText(part("progress-time"), describeTime(watch));
  showText(part("progress-stage"), describeStage(watch, data));
}

/** @param {Record<string, any>} data */
function describeSteps(data) {
  const { current_iteration: iteration, max_iterations: last, completed, total, unit } = data;
  if (typeof iteration === "number") return `Iteration ${formatNumber(iteration)}${last ? ` of ${formatNumber(last)}` : ""}`;
  if (typeof completed !== "number") return "";
  return `${formatNumber(completed)}${total ? ` of ${formatNumber(total)}` : ""} ${unit ?? ""}`.trim();
}

/** @param {Watch} watch */
function describeTime(watch) {
  if (watch.startedAt && watch.finishedAt) {
    return `took ${formatDuration((Date.parse(watch.finishedAt) - Date.parse(watch.startedAt)) / 1000)}`;
  }
  const newest = watch.latest.progress ?? watch.latest.stats;
  if (watch.status !== "running" || !newest) return "";
  // Counts on between two events, but not while nobody knows whether the task still runs.
  const age = watch.staleSince === null ? (performance.now() - newest.receivedAt) / 1000 : 0;
  const { eta_seconds: eta, elapsed_seconds: elapsed } = newest.data;
  return [
    typeof elapsed === "number" ? `${formatDuration(Math.floor(elapsed + age))} so far` : "",
    typeof eta === "number" ? `about ${formatDuration(Math.ceil(eta - age))} left` : "",
  ].filter(Boolean).join(" · ");
}

/**
 * @param {Watch} watch
 * @param {Record<string, any>} data
 */
function describeStage(watch, data) {
  if (watch.status === "pending") return describeQueue(watch.latest.queue?.data) || watch.message || "Waiting to start.";
  if (watch.isOver) {
    // The failure has a box of its own.
    const message = watch.message === watch.error?.error ? "" : watch.message;
    return [message, watch.resumable ? "It can be resumed." : ""].filter(Boolean).join(" ");
  }
  const stage = [data.stage, data.stage_description].filter(Boolean).join(": ");
  return [stage, data.message].filter(Boolean).join(" – ") || watch.message || "No progress reported yet.";
}

/** @param {Record<string, any> | undefined} queue */
function describeQueue(queue) {
  if (!queue) return "";
  const place = queue.position === 1 ? "Next in the queue" : `Number ${queue.position} in the queue`;
  if (typeof queue.eta_seconds !== "number") return `${place}.`;
  const range = typeof queue.eta_low === "number" && typeof queue.eta_high === "number"
    ? ` (${formatDuration(queue.eta_low)} to ${formatDuration(queue.eta_high)})` : "";
  return `${place}, starts in about ${formatDuration(queue.eta_seconds)}${range}.`;
}

/** @param {Watch} watch */
function renderFailure(watch) {
  const { error } = watch;
  part("failure").hidden = error === null || watch.status === "completed";
  if (error === null) return;
  setText(part("failure-title"), error.error_type ?? "Error");
  setText(part("failure-message"), error.error ?? "");
  const again = error.will_retry ? `It will be tried again${error.retry_at ? ` at ${formatTime(error.retry_at)}` : ""}.` : "";
  showText(part("failure-note"), [error.code ? `Code ${error.code}.` : "", again].filter(Boolean).join(" "));
}

/** @param {Watch | null} watch */
function renderTitle(watch) {
  const percent = watch?.status === "running" ? watch.latest.progress?.data.progress_percent : undefined;
  const start = typeof percent === "number" ? `${Math.floor(percent)} %` : capitalise(watch?.status ?? "");
  const title = watch?.status ? `${start} · ${nameOf(watch)} · taskpush` : "taskpush demo";
  if (document.title !== title) document.title = title;
}

let announced = "";

/** Speaks when the connection or the status changed and at every quarter of the way. */
function announce() {
  const { watch, connection } = state;
  const percent = watch?.status === "running" ? watch.latest.progress?.data.progress_percent : undefined;
  const quarter = typeof percent === "number" && percent >= 25 ? `, ${Math.floor(percent / 25) * 25} percent` : "";
  const task = watch?.status ? `Task ${nameOf(watch)} ${watch.status}${quarter}.` : "";
  const text = [`Connection ${connection.phase}.`, task].filter(Boolean).join(" ");
  if (text === announced) return;
  announced = text;
  setText(part("announcer"), text);
}

// Start

/** @param {SubmitEvent} event */
function onServerForm(event) {
  event.preventDefault();
  if (state.connection.phase !== "offline") {
    disconnect();
    return;
  }
  const input = byId("server-address", HTMLInputElement);
  try {
    const base = parseBase(input.value);
    input.value = base;
    connect(base);
    if (state.watch) history.replaceState(null, "", hashOf(state.watch.taskId));
  } catch (error) {
    setConnection("offline", messageOf(error));
  }
}

function tick() {
  if (state.watch?.status === "running") changed();
}

function pollRecent() {
  if (state.connection.phase === "live" && !document.hidden) loadRecent();
}

function start() {
  const { taskId, server } = readHash();
  const input = byId("server-address", HTMLInputElement);
  byId("server-form", HTMLFormElement).addEventListener("submit", onServerForm);
  part("cancel").addEventListener("click", cancelTask);
  part("recent-refresh").addEventListener("click", loadRecent);
  part("skip").addEventListener("click", (event) => {
    // Following the link would replace the watched task in the address.
    event.preventDefault();
    part("watched-heading").focus();
  });
  addEventListener("hashchange", onHashChange);
  setInterval(tick, TICK_MS);
  setInterval(pollRecent, RECENT_POLL_MS);
  input.value = server || OWN_BASE;
  if (server !== "" && server !== OWN_BASE) {
    // A link must not make the page talk to a stranger by itself.
    if (taskId !== "") state.watch = new Watch(taskId, server);
    setConnection("offline", `This link belongs to the server at ${server}. Press Connect to go there.`);
    return;
  }
  watchTask(taskId);
  connect(OWN_BASE);
}

start();
