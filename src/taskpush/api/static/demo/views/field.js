// @ts-check
/** One labelled control of the form. */

import { formatValue } from "../formats.js";
import { messageOf } from "../rest.js";
import { el, showText } from "./document.js";

/** @typedef {import("../schema-form.js").FieldSpec} FieldSpec */

/** A value that can't even be sent; everything else is for the server to judge. */
class InvalidInput extends Error {}

/** Marks a field that is left out of the params, so that the kind's own default applies. */
export const LEFT_OUT = Symbol("left out");

export class Field {
  /** @param {FieldSpec} spec */
  constructor(spec) {
    this.spec = spec;
    const id = `field-${spec.name ?? "params"}`;
    const isCheckbox = spec.type === "boolean";
    const help = el("p", { class: "hint", id: `${id}-help`, hidden: spec.help === "" }, spec.help);
    this.error = el("p", { class: "problem", id: `${id}-error`, hidden: true });
    this.control = createControl(spec);
    this.control.id = id;
    this.control.required = spec.isRequired && !isCheckbox;
    this.control.setAttribute("aria-describedby", `${help.id} ${this.error.id}`);
    const label = el("label", { for: id }, spec.label, spec.isRequired ? el("small", {}, " required") : "");
    const line = isCheckbox ? [el("div", { class: "check" }, this.control, label)] : [label, this.control];
    this.node = el("div", { class: "field" }, ...line, help, this.error);
  }

  /** @param {string} message Empty when the field is right. */
  showError(message) {
    showText(this.error, message);
    this.control.setAttribute("aria-invalid", String(message !== ""));
  }

  /** The value to send, or LEFT_OUT; throws InvalidInput. */
  read() {
    const { spec, control } = this;
    if (control instanceof HTMLInputElement && spec.type === "boolean") return control.checked;
    if (control.validity.badInput) throw new InvalidInput("This is not a number.");
    const text = control.value;
    if (text.trim() === "") return this.#readEmpty();
    if (spec.type === "choice") return spec.choices[Number(text)];
    if (spec.type === "json") return parseJson(text);
    return spec.type === "text" ? text : Number(text);
  }

  #readEmpty() {
    const { isNullable, type, fallback } = this.spec;
    if (isNullable) return null;
    // Emptied on purpose: leaving it out would bring the default back.
    return type === "text" && typeof fallback === "string" ? "" : LEFT_OUT;
  }
}

function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new InvalidInput(`This is not valid JSON: ${messageOf(error)}`);
  }
}

/** @returns {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement} */
function createControl(spec) {
  if (spec.type === "choice") return createChoice(spec);
  if (spec.type === "json") {
    const start = spec.fallback ?? (spec.name === null ? {} : undefined);
    const text = start === undefined ? "" : JSON.stringify(start, null, 2);
    return el("textarea", { class: "code", rows: "3", spellcheck: "false" }, text);
  }
  if (spec.type === "boolean") return el("input", { type: "checkbox", checked: spec.fallback === true });
  const value = String(spec.fallback ?? "");
  if (spec.type === "text") return el("input", { type: "text", value, autocomplete: "off", spellcheck: "false" });
  return el("input", { type: "number", value, step: spec.type === "integer" ? "1" : "any" });
}

function createChoice({ choices, fallback, isNullable }) {
  const select = el("select");
  const chosen = choices.indexOf(fallback);
  if (chosen < 0 || isNullable) select.append(new Option("–", "", true, chosen < 0));
  choices.forEach((choice, index) => select.append(new Option(formatValue(choice), String(index), false, index === chosen)));
  return select;
}
