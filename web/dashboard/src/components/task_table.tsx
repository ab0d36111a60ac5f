/** Rows of tasks; only those in view are in the document, however many there are. */

import { useWindowVirtualizer } from "@tanstack/react-virtual";
import { memo, type ReactNode, useEffect, useLayoutEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import type { Summary } from "taskpush-client";
import { Link } from "wouter";
import { percentOf } from "../data/filters.ts";
import { formatDuration, formatEstimate, formatMoment } from "../format.ts";
import { Bar } from "./bar.tsx";
import { Elapsed } from "./elapsed.tsx";
import { StatusChip } from "./status_chip.tsx";

const COLUMNS = ["task", "status", "progress", "remaining", "owner", "created"] as const;
const ROW_PX = 60;
const NARROW_ROW_PX = 78;
const NARROW = matchMedia("(max-width: 47rem)");
/** So many rows before the last one, more are asked for. */
const AHEAD = 30;

interface Props {
  tasks: readonly Summary[];
  /** Called when somebody comes near the end. */
  onEnd(): void;
}

export function TaskTable({ tasks, onEnd }: Props): ReactNode {
  const { t } = useTranslation();
  const body = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  useLayoutEffect(() => setTop(body.current?.offsetTop ?? 0), []);
  const rows = useWindowVirtualizer({
    count: tasks.length,
    estimateSize: () => (NARROW.matches ? NARROW_ROW_PX : ROW_PX),
    getItemKey: (index) => tasks[index]?.task_id ?? index,
    overscan: 8,
    scrollMargin: top,
  });
  const items = rows.getVirtualItems();
  const last = items.at(-1)?.index ?? 0;
  useEffect(() => {
    if (last >= tasks.length - AHEAD) onEnd();
  }, [last, tasks.length, onEnd]);

  return (
    <div
      className="table card"
      role="table"
      aria-label={t("tasks.list")}
      aria-rowcount={tasks.length + 1}
    >
      <div className="row head" role="row" aria-rowindex={1}>
        {COLUMNS.map((name) => (
          <span key={name} role="columnheader">
            {t(`tasks.column.${name}`)}
          </span>
        ))}
      </div>
      <div ref={body} role="rowgroup" className="rows" style={{ height: rows.getTotalSize() }}>
        {items.map(({ key, index, start, size }) => {
          const task = tasks[index];
          return (
            task && (
              <div
                key={key}
                role="row"
                aria-rowindex={index + 2}
                className="row"
                style={{ height: size, transform: `translateY(${start - top}px)` }}
              >
                <TaskCells task={task} />
              </div>
            )
          );
        })}
      </div>
    </div>
  );
}

const TaskCells = memo(function TaskCells({ task }: { task: Summary }): ReactNode {
  const { t } = useTranslation();
  const percent = percentOf(task);
  const stage = task.latest.progress?.stage ?? task.latest.progress?.message;
  return (
    <>
      <span role="cell" className="cell-task">
        <Link href={`/tasks/${task.task_id}`} title={task.title ?? undefined}>
          {task.title ?? task.kind}
        </Link>
        <span className="hint">
          {task.title && <span>{task.kind}</span>}
          <span className="mono">{task.task_id.slice(-8)}</span>
          {task.tags.map((tag) => (
            <span key={tag} className="tag">
              {tag}
            </span>
          ))}
        </span>
      </span>
      <span role="cell" className="cell-status">
        <StatusChip status={task.status} />
      </span>
      <span role="cell" className="cell-progress">
        <span className="progress-line">
          <Bar percent={percent} status={task.status} label={t("task.progress")} />
          <span className="percent" data-status={task.status}>
            {percent === null ? "" : `${Math.floor(percent)} %`}
          </span>
        </span>
        <span className="hint">
          {task.status === "failed" ? task.error?.error : task.final ? "" : stage}
        </span>
      </span>
      <span role="cell" className="cell-remaining">
        <TaskTime task={task} />
      </span>
      <span role="cell" className="cell-owner">
        {task.owner}
      </span>
      <span role="cell" className="cell-created">
        {formatMoment(task.created_at)}
      </span>
    </>
  );
});

/** What is left, what it took, or what it waits for. */
function TaskTime({ task }: { task: Summary }): ReactNode {
  const { t } = useTranslation();
  const { progress, queue } = task.latest;
  if (task.status === "pending" && queue) {
    return typeof queue.eta_seconds === "number"
      ? t("tasks.startsIn", { time: formatEstimate(queue.eta_seconds) })
      : t("tasks.position", { position: queue.position });
  }
  if (task.status === "running" && typeof progress?.eta_seconds === "number")
    return t("task.left", { time: formatEstimate(progress.eta_seconds) });
  if (task.status === "running" && task.started_at) return <Elapsed since={task.started_at} />;
  if (task.started_at && task.finished_at) {
    const took = Date.parse(task.finished_at) - Date.parse(task.started_at);
    return t("task.took", { time: formatDuration(took / 1000) });
  }
  return null;
}
