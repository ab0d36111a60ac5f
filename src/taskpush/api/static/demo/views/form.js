// @ts-check
/** The form that creates a task of a chosen kind. */

import { messageOf } from "../rest.js";
import { describeFields } from "../schema-form.js";
import { byId, part, setText, showText } from "./document.js";
import { Field, LEFT_OUT } from "./field.js";

/**
 * @typedef {import("../wire.js").Kind} Kind
 * @typedef {import("../wire.js").FieldError} FieldError
 * @typedef {import("../remote-list.js").RemoteList<Kind>} Kinds
 */

export class FormView {
  #drawnKinds = "";
  #isSending = false;
  /** @type {Kind[]} */
  #kinds = [];
  /** @type {Field[]} */
  #fields = [];

  /** @param {(kind: string, params: any) => Promise<void>} onSubmit */
  constructor(onSubmit) {
    this.onSubmit = onSubmit;
    this.select = byId("kind", HTMLSelectElement);
    this.select.addEventListener("change", () => this.#buildFields());
    part("task-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
  }

  /** @param {Kinds} kinds @param {boolean} isConnected */
  render(kinds, isConnected) {
    showText(part("kinds-state"), describeKinds(kinds));
    part("task-form").hidden = kinds.items.length === 0;
    byId("create", HTMLButtonElement).disabled = this.#isSending || !isConnected;
    // Built again only for other kinds: a reconnect must not wipe what somebody typed.
    const key = JSON.stringify(kinds.items);
    if (key === this.#drawnKinds) return;
    this.#drawnKinds = key;
    this.#kinds = kinds.items;
    const chosen = kinds.items.find((kind) => kind.default) ?? kinds.items[0];
    this.select.replaceChildren(...kinds.items.map(({ name }) => new Option(name, name, false, name === chosen.name)));
    this.#buildFields();
  }

  #buildFields() {
    const kind = this.#kinds.find(({ name }) => name === this.select.value);
    this.#fields = kind ? describeFields(kind.params_schema).map((spec) => new Field(spec)) : [];
    part("fields").replaceChildren(...this.#fields.map((field) => field.node));
    showText(part("kind-description"), kind?.description ?? "");
    showText(part("form-problem"), "");
  }

  async #submit() {
    const { params, errors } = this.#read();
    this.showErrors("", errors);
    if (errors.length > 0 || this.#isSending) return;
    this.#setSending(true);
    await this.onSubmit(this.select.value, params);
    this.#setSending(false);
  }

  /** @param {boolean} isSending Two clicks must not create two tasks. */
  #setSending(isSending) {
    this.#isSending = isSending;
    byId("create", HTMLButtonElement).disabled = isSending;
    setText(part("create"), isSending ? "Creating…" : "Create task");
  }

  #read() {
    /** @type {FieldError[]} */
    const errors = [];
    /** @type {any} */
    let params = {};
    for (const field of this.#fields) {
      const { name, loc } = field.spec;
      try {
        const value = field.read();
        if (name === null) params = value === LEFT_OUT ? {} : value;
        else if (value !== LEFT_OUT) params[name] = value;
      } catch (error) {
        errors.push({ loc, message: messageOf(error) });
      }
    }
    return { params, errors };
  }

  /**
   * Puts each error beside its field, and the rest under the form.
   * @param {string} message
   * @param {FieldError[]} errors
   */
  showErrors(message, errors) {
    const others = new Set(errors);
    /** @type {Field[]} */
    const wrong = [];
    for (const field of this.#fields) {
      const own = errors.filter(({ loc }) => `${loc}.`.startsWith(`${field.spec.loc}.`));
      own.forEach((error) => others.delete(error));
      field.showError(own.map((error) => describeError(field, error)).join(" "));
      if (own.length > 0) wrong.push(field);
    }
    const summary = wrong.length > 0 ? "Please correct the marked fields." : message;
    const rest = [...others].map((error) => `${error.loc}: ${error.message}`);
    showText(part("form-problem"), [summary, ...rest].filter(Boolean).join(" "));
    wrong[0]?.control.focus();
  }
}

/** An error may lie deeper than the field. */
function describeError(field, { loc, message }) {
  const deeper = loc.slice(field.spec.loc.length + 1);
  return deeper === "" ? message : `${deeper}: ${message}`;
}

function describeKinds({ phase, items, problem }) {
  if (phase === "idle") return "Connect to a server to create tasks.";
  if (phase === "failed") return problem;
  if (items.length > 0) return "";
  if (phase === "loading") return "Asking the server what it can run…";
  return "This server has no kinds of tasks yet. Register a handler with @push.task(\"name\") and restart it.";
}
