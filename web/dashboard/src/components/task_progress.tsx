/** How far the task is, in large figures. */

import type { TFunction } from "i18next";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { Progress, Snapshot } from "taskpush-client";
import { percentOf } from "../data/filters.ts";
import type { TaskRecord } from "../data/task_record.ts";
import { formatDuration, formatEstimate, formatNumber } from "../format.ts";
import { messageIn, unitIn, unitsIn } from "../i18n/words.ts";
import { Bar } from "./bar.tsx";
import { Elapsed } from "./elapsed.tsx";

interface Props {
  record: TaskRecord;
  task: Snapshot;
}

export function TaskProgress({ record, task }: Props): ReactNode {
  const { t } = useTranslation();
  const progress = record.latest.progress ?? null;
  if (task.status === "pending") return <Waiting record={record} />;
  const percent = percentOf({ ...task, latest: record.latest });
  const stage = [progress?.stage, progress?.stage_description].filter(Boolean).join(" – ");
  return (
    <section className="card progress" aria-label={t("task.progress")}>
      <div className="progress-head">
        <strong id="progress-percent" className="figure" data-status={task.status}>
          {percent === null ? <Unknown task={task} /> : `${Math.floor(percent)} %`}
        </strong>
        <span id="progress-steps">{progress && steps(progress, t)}</span>
        <span id="progress-time" className="progress-time">
          {(percent !== null || task.finished_at) && <Times task={task} progress={progress} />}
        </span>
      </div>
      <Bar percent={percent} status={task.status} label={t("task.progress")} />
      <p id="progress-stage" className="hint">
        {[stage, progress?.message].filter(Boolean).join(" – ") || stateOf(task, t)}
      </p>
    </section>
  );
}

/** Of a task that does not say how far it is, the time it has taken so far. */
function Unknown({ task }: { task: Snapshot }): ReactNode {
  if (task.status !== "running" || !task.started_at) return "–";
  return <Elapsed since={task.started_at} bare />;
}

/** What is known of an end besides the error, which has a place of its own. */
function stateOf({ status, message }: Snapshot, t: TFunction): string {
  return message && status !== "failed" ? messageIn(message, t) : "";
}

/** A task that waits: where it stands, and until when. */
function Waiting({ record }: { record: TaskRecord }): ReactNode {
  const { t } = useTranslation();
  const queue = record.latest.queue;
  const { eta_seconds: eta, eta_low: low, eta_high: high } = queue ?? {};
  return (
    <section className="card progress" aria-label={t("task.progress")}>
      <div className="progress-head">
        <strong className="figure">{queue ? `#${queue.position}` : "–"}</strong>
        <span>
          {queue
            ? t("task.queued", { position: queue.position, kind: queue.kind })
            : t("task.waits")}
        </span>
        {queue && <span className="progress-time">{t("task.ahead", { count: queue.ahead })}</span>}
      </div>
      <Bar percent={0} status="pending" label={t("task.progress")} />
      <p className="hint">
        {typeof eta === "number"
          ? t("task.startsIn", {
              time: formatEstimate(eta),
              low: formatEstimate(low ?? eta),
              high: formatEstimate(high ?? eta),
            })
          : queue && t("task.startUnknown")}
      </p>
    </section>
  );
}

function steps(progress: Progress, t: TFunction): string {
  const { current_iteration: done, max_iterations: total } = progress;
  if (typeof done === "number" && typeof total === "number")
    return t("task.iteration", { done: formatNumber(done), total: formatNumber(total) });
  const unit = unitsIn(progress.unit, t);
  if (typeof progress.completed !== "number") return "";
  const completed = formatNumber(progress.completed);
  if (typeof progress.total !== "number") return t("task.done", { done: completed, unit });
  return t("task.doneOf", { done: completed, total: formatNumber(progress.total), unit });
}

/** How long it took; or how long it has run, how fast it is, and how long it still takes. */
function Times({ task, progress }: { task: Snapshot; progress: Progress | null }): ReactNode {
  const { t } = useTranslation();
  const { started_at: started, finished_at: finished } = task;
  if (!started) return null;
  if (finished) {
    const took = (Date.parse(finished) - Date.parse(started)) / 1000;
    return t("task.took", { time: formatDuration(took) });
  }
  const { eta_seconds: left, rate_per_s: rate, unit } = progress ?? {};
  return (
    <>
      <Elapsed since={started} />
      {rate ? ` · ${pace(rate, unit, t)}` : ""}
      {typeof left === "number" ? ` · ${t("task.left", { time: formatEstimate(left) })}` : ""}
    </>
  );
}

/** So many in a second; of slow ones, how long one takes. */
function pace(rate: number, unit: string | null | undefined, t: TFunction): string {
  if (rate < 1) return t("task.each", { time: formatDuration(1 / rate), unit: unitIn(unit, t) });
  const shown = formatNumber(Number(rate.toPrecision(3)));
  return t("task.rate", { rate: shown, unit: unitsIn(unit || "step", t) });
}
