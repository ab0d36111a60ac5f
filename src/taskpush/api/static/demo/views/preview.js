// @ts-check
/** What a running task shows of its work: the newest picture or text. */

import { byId, part, showText } from "./document.js";

/** @typedef {{media_type: string, content: ArrayBuffer | string}} Preview */

const PICTURES = new Set(["image/png", "image/jpeg", "image/webp", "image/gif", "image/svg+xml"]);

export class PreviewView {
  /** @type {Preview | null} */
  #drawn = null;
  /** Of the picture that is drawn; to be given back. */
  #address = "";

  /** @param {Preview | null} preview Null when there is none. */
  render(preview) {
    if (preview === this.#drawn) return;
    this.#drawn = preview;
    const isPicture = preview !== null && PICTURES.has(preview.media_type);
    this.#draw(isPicture ? new Blob([preview.content], { type: preview.media_type }) : null);
    const isText = !isPicture && typeof preview?.content === "string";
    showText(part("preview-text"), isText ? String(preview.content) : "");
    part("preview").hidden = !isPicture && !isText;
  }

  /** An `img` runs no script, whatever an SVG holds. @param {Blob | null} picture */
  #draw(picture) {
    const image = byId("preview-picture", HTMLImageElement);
    const old = this.#address;
    this.#address = picture ? URL.createObjectURL(picture) : "";
    if (picture) image.src = this.#address;
    else image.removeAttribute("src");
    image.hidden = picture === null;
    if (old) URL.revokeObjectURL(old);
  }
}
