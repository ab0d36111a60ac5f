/** Words of ours that come from the server, in the language of the page. */

import type { TFunction } from "i18next";
import { en } from "./en.ts";

type Said = keyof typeof en.said;
type Reason = keyof typeof en.task.reasons;

const SAID = new Map(Object.entries(en.said).map(([key, text]) => [text, key as Said]));
const REASONS: ReadonlySet<string> = new Set(Object.keys(en.task.reasons));

/** What the server says of a task's state; what a job or a person wrote stays as it is. */
export function messageIn(message: string, t: TFunction): string {
  const key = SAID.get(message);
  return key === undefined ? message : t(`said.${key}`);
}

/** Why a task is in its state; a reason that somebody gave stays as it is. */
export function reasonIn(reason: string, t: TFunction): string {
  return REASONS.has(reason) ? t(`task.reasons.${reason as Reason}`) : reason;
}

/** What is counted: many of it. */
export function unitsIn(unit: string | null | undefined, t: TFunction): string {
  return unit === "iteration" || unit === "step" ? t(`task.units.${unit}`) : (unit ?? "");
}

/** One of what is counted. */
export function unitIn(unit: string | null | undefined, t: TFunction): string {
  return unit === "iteration" ? t("task.unit.iteration") : unit || t("task.unit.step");
}
