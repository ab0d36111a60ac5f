/** The title and the picture of the tab. */

import { useEffect } from "react";
import type { Status } from "taskpush-client";
import { addressOf } from "./server.ts";

export function useTitle(...parts: (string | false | null | undefined)[]): void {
  const title = [...parts.filter(Boolean), "taskpush"].join(" · ");
  useEffect(() => {
    document.title = title;
  }, [title]);
}

/** Show the usual picture; its address must not change with the page's. */
export function showUsualIcon(): void {
  const link = document.querySelector<HTMLLinkElement>("link[rel=icon]");
  if (link && import.meta.env.PROD) link.href = addressOf("static/dashboard/icon.svg");
}

const SIZE = 32;
const COLOURS: Record<Status, string> = {
  pending: "#6b7880",
  running: "#0b8a86",
  completed: "#1c8a4a",
  failed: "#c8352b",
  cancelled: "#6b7880",
  interrupted: "#b57400",
};
/** The ring has so many steps: the tab is not repainted for less. */
const STEPS = 24;

/** Show progress as a ring in the colour of a state; the usual picture for null. */
export function useFavicon(status: Status | null, percent: number | null): void {
  const steps = status === "running" ? Math.round(((percent ?? 0) / 100) * STEPS) : STEPS;
  useEffect(() => {
    const link = document.querySelector<HTMLLinkElement>("link[rel=icon]");
    if (status === null) return showUsualIcon();
    if (link) link.href = drawRing(COLOURS[status], steps / STEPS).toDataURL();
  }, [status, steps]);
  useEffect(() => showUsualIcon, []);
}

function drawRing(colour: string, part: number): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = SIZE;
  canvas.height = SIZE;
  const pen = canvas.getContext("2d");
  if (!pen) return canvas;
  const ring = (style: string, share: number): void => {
    pen.beginPath();
    pen.strokeStyle = style;
    pen.lineWidth = 7;
    const top = -Math.PI / 2;
    pen.arc(SIZE / 2, SIZE / 2, SIZE / 2 - 5, top, top + 2 * Math.PI * share);
    pen.stroke();
  };
  ring("#8b969b66", 1);
  ring(colour, part);
  return canvas;
}
