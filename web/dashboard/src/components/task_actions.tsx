/** What can be done with a task in its present state. */

import { type ReactNode, useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import type { Snapshot } from "taskpush-client";
import { Link, useLocation } from "wouter";
import { canNotify, notices } from "../data/notices.ts";
import { useObserved } from "../data/observable.ts";
import type { TaskRecord } from "../data/task_record.ts";
import { useSession } from "../session.tsx";
import { reasonOf } from "./connection.tsx";
import { Icon } from "./icons.tsx";

interface Props {
  record: TaskRecord;
  task: Snapshot;
}

export function TaskActions({ record, task }: Props): ReactNode {
  const { t } = useTranslation();
  const { client } = useSession();
  const [, go] = useLocation();
  const [asked, setAsked] = useState<string | null>(null);
  const [problem, setProblem] = useState<unknown>(null);
  const { task_id: taskId, attempt } = task;
  // What was asked for is over when the task has moved on.
  const state = `${attempt} ${task.status}`;
  const isBusy = asked === state;
  const row = useRef<HTMLDivElement>(null);

  // The button that was pressed may be gone by now, and with it the place of the keyboard.
  // biome-ignore lint/correctness/useExhaustiveDependencies: another state has other buttons
  useEffect(() => {
    if (asked !== null && document.activeElement === document.body) row.current?.focus();
  }, [asked, state]);

  const act = async (action: () => Promise<unknown>): Promise<void> => {
    setAsked(state);
    setProblem(null);
    try {
      await action();
    } catch (error) {
      setProblem(error);
      setAsked(null);
    }
  };

  const isActive = task.status === "pending" || task.status === "running";
  // What a program outside the server has begun is begun again there.
  const isOurs = !task.created_by_producer;
  const canRetry = isOurs && !isActive && task.status !== "completed";
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset is for forms
    <div ref={row} className="actions" role="group" aria-label={t("task.actions")} tabIndex={-1}>
      {isActive && (
        <button
          type="button"
          disabled={isBusy}
          onClick={() => act(() => client.cancel(taskId, { attempt }))}
        >
          {isBusy ? t("task.cancelling") : t("task.cancel")}
        </button>
      )}
      {task.status === "running" && record.checkpoints > 0 && (
        <button
          type="button"
          disabled={isBusy}
          onClick={() => act(() => client.cancel(taskId, { attempt, keep: true }))}
        >
          {t("task.keep")}
        </button>
      )}
      {canRetry && (
        <button
          type="button"
          className="primary"
          disabled={isBusy}
          onClick={() => act(() => client.retry(taskId, { attempt }))}
        >
          {task.resumable ? t("task.resume") : t("task.retry")}
        </button>
      )}
      {canRetry && task.resumable && (
        <button
          type="button"
          disabled={isBusy}
          onClick={() => act(() => client.retry(taskId, { attempt, fromStart: true }))}
        >
          {t("task.fromStart")}
        </button>
      )}
      {isActive && <TellMe taskId={taskId} />}
      {isOurs && (
        <Link href={`/new?from=${taskId}`} className="button">
          {t("task.duplicate")}
        </Link>
      )}
      <CopyLink />
      {task.final && (
        <Remove onRemove={() => act(() => client.delete(taskId).then(() => go("/")))} />
      )}
      {problem !== null && (
        <p className="problem" role="alert">
          {t("task.actionFailed", { reason: reasonOf(problem) })}
        </p>
      )}
    </div>
  );
}

/** Asks the browser to tell when the task ends, wherever one looks then. */
function TellMe({ taskId }: { taskId: string }): ReactNode {
  const { t } = useTranslation();
  const isWanted = useObserved(notices).has(taskId);
  const [refused, setRefused] = useState(false);
  if (!canNotify() || refused) return null;
  const toggle = async (): Promise<void> => {
    if (isWanted) notices.forget(taskId);
    else setRefused(!(await notices.want(taskId)));
  };
  return (
    <button type="button" aria-pressed={isWanted} onClick={toggle}>
      {isWanted ? t("task.willTell") : t("task.tellMe")}
    </button>
  );
}

function CopyLink(): ReactNode {
  const { t } = useTranslation();
  const [copied, setCopied] = useState(false);
  // Pages that are not served by HTTPS have no clipboard; the address is in the browser's bar.
  if (!navigator.clipboard) return null;
  const copy = (): void => {
    void navigator.clipboard.writeText(location.href).then(() => setCopied(true));
  };
  return (
    <button type="button" onClick={copy} onBlur={() => setCopied(false)}>
      <Icon name="link" />
      {copied ? t("task.copied") : t("task.copyLink")}
    </button>
  );
}

/** Asks before it does what cannot be undone. */
function Remove({ onRemove }: { onRemove(): void }): ReactNode {
  const { t } = useTranslation();
  const [asking, setAsking] = useState(false);
  const asked = useRef(false);
  const ask = (): void => {
    asked.current = true;
    setAsking(true);
  };
  if (!asking)
    return (
      // After "no" the keyboard is where it was before the question.
      <button
        type="button"
        ref={(button) => (asked.current ? button?.focus() : undefined)}
        className="plain"
        onClick={ask}
      >
        {t("task.remove")}
      </button>
    );
  return (
    <span className="ask" role="alert">
      {t("task.removeAsk")}
      <button type="button" className="danger" onClick={onRemove}>
        {t("task.yes")}
      </button>
      {/* biome-ignore lint/a11y/noAutofocus: the harmless answer to the question just asked */}
      <button type="button" autoFocus onClick={() => setAsking(false)}>
        {t("task.no")}
      </button>
    </span>
  );
}
