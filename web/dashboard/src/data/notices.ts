/** Tells, outside of the page, when tasks end that somebody asked about. */

import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import type { Summary } from "taskpush-client";
import { useLocation } from "wouter";
import { Observable } from "./observable.ts";
import type { TaskList } from "./task_list.ts";

const KEY = "taskpush notices";

/** The tasks that are asked about; kept for the tab, over reloads. */
export class Notices extends Observable {
  readonly #wanted = new Set<string>(JSON.parse(sessionStorage.getItem(KEY) ?? "[]"));

  has(taskId: string): boolean {
    return this.#wanted.has(taskId);
  }

  /** Ask for a task's end; the browser asks whether it may tell. False when it may not. */
  async want(taskId: string): Promise<boolean> {
    if ((await Notification.requestPermission()) !== "granted") return false;
    this.#wanted.add(taskId);
    this.#keep();
    return true;
  }

  /** Ask for the end of a task that was just created here, where the browser has allowed it. */
  expect(taskId: string): void {
    if (!canNotify() || Notification.permission !== "granted") return;
    this.#wanted.add(taskId);
    this.#keep();
  }

  forget(taskId: string): void {
    this.#wanted.delete(taskId);
    this.#keep();
  }

  /** Those that have ended are told once. */
  takeEnded(list: TaskList): Summary[] {
    const known = [...this.#wanted].map((taskId) => list.get(taskId));
    const ended = known.filter((task) => task !== undefined).filter(isOver);
    for (const task of ended) this.forget(task.task_id);
    return ended;
  }

  #keep(): void {
    sessionStorage.setItem(KEY, JSON.stringify([...this.#wanted]));
    this.changed();
  }
}

/** Those of this tab. */
export const notices = new Notices();

/** Whether the browser lets pages like this one tell anything. */
export function canNotify(): boolean {
  return "Notification" in window && isSecureContext && Notification.permission !== "denied";
}

/** Tell whenever a task ends that was asked about. */
export function useNotices(list: TaskList): void {
  const { t } = useTranslation();
  const [, go] = useLocation();
  useEffect(
    () =>
      list.observe(() => {
        for (const task of notices.takeEnded(list)) {
          const title = `${task.title ?? task.kind}: ${t(`status.${task.status}`)}`;
          const body = task.error?.error ?? task.message ?? "";
          const notice = new Notification(title, { body, tag: task.task_id });
          notice.onclick = () => {
            focus();
            go(`/tasks/${task.task_id}`);
            notice.close();
          };
        }
      }),
    [list, t, go],
  );
}

function isOver({ final, status }: Summary): boolean {
  return final || status === "interrupted";
}
