/** Server-Sent Events out of text. Source: the HTML standard, "Interpreting an event stream". */

/** One event. */
export interface Message {
  event: string;
  data: string;
}

/** Takes text in pieces of any size; no I/O. */
export class SseParser {
  #rest = "";
  #event = "";
  #data: string[] = [];

  /** The events that are complete now. */
  push(text: string): Message[] {
    // A carriage return at the end may belong to a line feed that is still to come.
    const whole = (this.#rest + text).replace(/\r\n|\r(?=[^\n])/g, "\n");
    const lines = whole.split("\n");
    this.#rest = lines.pop() ?? "";
    const messages: Message[] = [];
    for (const line of lines) {
      if (line !== "") this.#take(line);
      else if (this.#data.length > 0) messages.push(this.#complete());
      else this.#event = "";
    }
    return messages;
  }

  #take(line: string): void {
    const colon = line.indexOf(":");
    if (colon === 0) return;
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "event") this.#event = value;
    else if (name === "data") this.#data.push(value);
  }

  #complete(): Message {
    const message = { event: this.#event || "message", data: this.#data.join("\n") };
    this.#event = "";
    this.#data = [];
    return message;
  }
}
