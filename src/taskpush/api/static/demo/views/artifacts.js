// @ts-check
/** Links to what the task made, with pictures shown. */

import { formatBytes } from "../formats.js";
import { shownUrl } from "../rest.js";
import { tokenFor } from "../token.js";
import { el, outsideLink, part, showText } from "./document.js";

/** @typedef {import("../watched-task.js").Artifact} Artifact */

const SHOWN = 50;
const PICTURES = new Set(["image/png", "image/jpeg", "image/webp", "image/gif"]);

export class ArtifactsView {
  #drawn = "";

  /** @param {Map<string, Artifact>} artifacts @param {string} base */
  render(artifacts, base) {
    const shown = [...artifacts.values()].reverse().slice(0, SHOWN);
    const key = JSON.stringify(shown);
    if (key === this.#drawn) return;
    this.#drawn = key;
    part("artifacts").hidden = shown.length === 0;
    part("artifact-list").replaceChildren(...shown.map((artifact) => createItem(artifact, base)));
    const left = artifacts.size - shown.length;
    showText(part("artifacts-more"), left > 0 ? `${left} older ones are in the log.` : "");
  }
}

function createItem({ name, title, media_type: mediaType, size_bytes: size, url, partial }, base) {
  const label = title ?? name;
  const facts = [mediaType, formatBytes(size), partial ? "partial" : ""].filter(Boolean).join(" · ");
  const link = outsideLink(url, label);
  if (tokenFor(base) !== "") link.addEventListener("click", (event) => openCopy(event, base, url, name));
  const item = el("li", {}, link, el("small", {}, facts));
  if (PICTURES.has(mediaType)) item.append(createPicture(base, url, label));
  return item;
}

function createPicture(base, url, label) {
  const picture = el("img", { alt: label, loading: "lazy", decoding: "async" });
  shownUrl(base, url).then((shown) => { picture.src = shown; }, () => picture.remove());
  return picture;
}

/** A link can show no token: the page fetches the file, and has it saved. */
async function openCopy(event, base, url, name) {
  event.preventDefault();
  el("a", { href: await shownUrl(base, url), download: name }).click();
}
