/** How far the task is, in large figures. */

import type { TFunction } from "i18next";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { Progress, Snapshot } from "taskpush-client";
import { percentOf } from "../data/filters.ts";
import type { TaskRecord } from "../data/task_record.ts";
import { formatDuration, formatNumber } from "../format.ts";
import { Bar } from "./bar.tsx";

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
        <strong id="progress-percent" className="figure">
          {percent === null ? "–" : `${Math.floor(percent)} %`}
        </strong>
        <span id="progress-steps">{progress && steps(progress, t)}</span>
        <span id="progress-time" className="progress-time">
          {times(task, progress, t)}
        </span>
      </div>
      <Bar percent={percent} status={task.status} label={t("task.progress")} />
      <p id="progress-stage" className="hint">
        {[stage, progress?.message].filter(Boolean).join(" – ") || task.message}
      </p>
    </section>
  );
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
              time: formatDuration(eta),
              low: formatDuration(low ?? eta),
              high: formatDuration(high ?? eta),
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
  const unit = progress.unit ?? "";
  if (typeof progress.completed !== "number") return "";
  const completed = formatNumber(progress.completed);
  if (typeof progress.total !== "number") return t("task.done", { done: completed, unit });
  return t("task.doneOf", { done: completed, total: formatNumber(progress.total), unit });
}

function times(task: Snapshot, progress: Progress | null, t: TFunction): string {
  if (task.started_at && task.finished_at) {
    const took = (Date.parse(task.finished_at) - Date.parse(task.started_at)) / 1000;
    return t("task.took", { time: formatDuration(took) });
  }
  if (progress === null) return "";
  const { elapsed_seconds: elapsed, eta_seconds: left, rate_per_s: rate, unit } = progress;
  return [
    t("task.soFar", { time: formatDuration(elapsed) }),
    typeof rate === "number" &&
      t("task.rate", {
        rate: formatNumber(Number(rate.toPrecision(3))),
        unit: unit ?? t("task.step"),
      }),
    typeof left === "number" && t("task.left", { time: formatDuration(left) }),
  ]
    .filter(Boolean)
    .join(" · ");
}
