/** Who waits for what, and how long. */

import type { TFunction } from "i18next";
import { type ReactNode, useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import type { KindQueue, NextSubmission, QueueEntry, Summary } from "taskpush-client";
import { Link } from "wouter";
import { Bar } from "../components/bar.tsx";
import { Blank } from "../components/blank.tsx";
import { reasonOf, useStale } from "../components/connection.tsx";
import { percentOf, remainingOf } from "../data/filters.ts";
import { useObserved } from "../data/observable.ts";
import { formatEstimate } from "../format.ts";
import { useSession } from "../session.tsx";
import { useTitle } from "../title.ts";

export default function QueuePage(): ReactNode {
  const { t } = useTranslation();
  const { list } = useSession();
  useObserved(list);
  useTitle(t("queue.title"));
  const stale = useStale();
  const running = [...list.tasks.values()].filter((task) => task.status === "running");
  const { queues, problem } = useQueues();
  // What was read stays; the connection says how old it is.
  if (problem !== null && queues === null)
    return <Blank tone="problem" title={t("queue.problem", { reason: reasonOf(problem) })} />;
  if (queues === null) return <Blank title={t("queue.loading")} />;
  const busy = queues.filter((queue) => queue.running > 0 || queue.waiting > 0);
  return (
    <div className="page" data-stale={stale}>
      <div className="page-head">
        <h1>{t("queue.title")}</h1>
      </div>
      {busy.length === 0 && <Blank title={t("queue.empty")} hint={t("queue.emptyHint")} />}
      <div className="kinds">
        {busy.map((queue) => (
          <KindSection
            key={queue.kind}
            queue={queue}
            running={running.filter((task) => task.kind === queue.kind)}
          />
        ))}
      </div>
    </div>
  );
}

/** The queues as they are; null until they were told, or why they cannot be. */
function useQueues(): { queues: KindQueue[] | null; problem: unknown } {
  const { client } = useSession();
  const [queues, setQueues] = useState<KindQueue[] | null>(null);
  const [problem, setProblem] = useState<unknown>(null);
  useEffect(() => {
    const stop = new AbortController();
    const follow = async (): Promise<void> => {
      for await (const told of client.watchQueue({ signal: stop.signal })) {
        setQueues(told);
        setProblem(null);
      }
    };
    follow().catch((error: unknown) => {
      if (!stop.signal.aborted) setProblem(error);
    });
    return () => stop.abort();
  }, [client]);
  return { queues, problem };
}

interface KindProps {
  queue: KindQueue;
  running: readonly Summary[];
}

function KindSection({ queue, running }: KindProps): ReactNode {
  const { t } = useTranslation();
  const heading = `queue-${queue.kind}`;
  return (
    <section className="card" aria-labelledby={heading}>
      <div className="kind-head">
        <h2 id={heading}>{queue.kind}</h2>
        <span>
          {queue.slots > 0
            ? t("queue.slots", { running: queue.running, slots: queue.slots })
            : t("queue.runningNow", { running: queue.running })}
          {" · "}
          {t("queue.waiting", { count: queue.waiting })}
          {typeof queue.queue_limit === "number" &&
            ` (${t("queue.limit", { limit: queue.queue_limit })})`}
        </span>
        <span className="hint">
          <NextStart next={queue.next_submission} />
        </span>
      </div>
      <RunningTasks tasks={running} />
      {queue.entries.length > 0 && <Entries entries={queue.entries} />}
    </section>
  );
}

function NextStart({ next }: { next: NextSubmission }): ReactNode {
  const { t } = useTranslation();
  if (typeof next.eta_seconds !== "number") return t("queue.nextUnknown");
  if (next.eta_seconds === 0) return t("queue.nextNow");
  return t("queue.next", { time: formatEstimate(next.eta_seconds) });
}

/** More than so many at once are only counted. */
const SHOWN = 24;

function RunningTasks({ tasks }: { tasks: readonly Summary[] }): ReactNode {
  const { t } = useTranslation();
  if (tasks.length === 0) return null;
  return (
    <ul className="running-list" aria-label={t("queue.running")}>
      {tasks.slice(0, SHOWN).map((task) => (
        <li key={task.task_id}>
          <span className="running-head">
            <Link href={`/tasks/${task.task_id}`}>{task.title ?? task.task_id.slice(-8)}</Link>
            <span className="hint">{howFar(task, t)}</span>
          </span>
          <Bar percent={percentOf(task)} status={task.status} label={t("task.progress")} />
        </li>
      ))}
    </ul>
  );
}

/** `61 % · about 34 s left`, as much of it as is known. */
function howFar(task: Summary, t: TFunction): string {
  const percent = percentOf(task);
  const left = remainingOf(task);
  return [
    percent !== null && `${Math.floor(percent)} %`,
    left !== null && t("task.left", { time: formatEstimate(left) }),
  ]
    .filter(Boolean)
    .join(" · ");
}

function Entries({ entries }: { entries: readonly QueueEntry[] }): ReactNode {
  const { t } = useTranslation();
  return (
    <section className="scroll" aria-label={t("queue.order")} tabIndex={0}>
      <table>
        <thead>
          <tr>
            <th scope="col">{t("queue.position")}</th>
            <th scope="col">{t("queue.task")}</th>
            <th scope="col">{t("queue.starts")}</th>
          </tr>
        </thead>
        <tbody>
          {entries.map((entry) => (
            <tr key={entry.position}>
              <td>{entry.position}</td>
              <td className={entry.own ? "own" : ""}>
                {entry.task_id ? (
                  <Link href={`/tasks/${entry.task_id}`}>
                    {entry.title ?? entry.task_id.slice(-8)}
                  </Link>
                ) : (
                  <span className="hint">{entry.title ?? t("queue.other")}</span>
                )}
              </td>
              <td>
                {typeof entry.eta_seconds === "number" ? formatEstimate(entry.eta_seconds) : "–"}{" "}
                {typeof entry.eta_low === "number" && typeof entry.eta_high === "number" && (
                  <span className="hint">
                    {t("queue.between", {
                      low: formatEstimate(entry.eta_low),
                      high: formatEstimate(entry.eta_high),
                    })}
                  </span>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
