/** One task: how far it is, what it said, what it made. */

import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { Snapshot } from "taskpush-client";
import { Link } from "wouter";
import { Artifacts } from "../components/artifacts.tsx";
import { Blank } from "../components/blank.tsx";
import { reasonOf, useStale } from "../components/connection.tsx";
import { Failure } from "../components/failure.tsx";
import { GivenFiles, namingFiles } from "../components/given_files.tsx";
import { LogView } from "../components/log_view.tsx";
import { MetricsView } from "../components/metrics_view.tsx";
import { PreviewView } from "../components/preview_view.tsx";
import { ResultView } from "../components/result_view.tsx";
import { TaskActions } from "../components/task_actions.tsx";
import { TaskHead } from "../components/task_head.tsx";
import { TaskProgress } from "../components/task_progress.tsx";
import { Timeline } from "../components/timeline.tsx";
import { Values } from "../components/values.tsx";
import type { TaskRecord } from "../data/task_record.ts";
import { useTaskRecord } from "../data/use_task.ts";
import { useSession } from "../session.tsx";
import { useFavicon, useTitle } from "../title.ts";

export default function TaskPage({ taskId }: { taskId: string }): ReactNode {
  const { t } = useTranslation();
  const record = useTaskRecord(taskId);
  const stale = useStale();
  // What ended the connection is said for all pages.
  const { ending } = useSession();
  const { task, phase, failure } = record;
  const percent = task?.status === "running" ? record.latest.progress?.progress_percent : null;
  useTitle(
    typeof percent === "number" && `${Math.floor(percent)} %`,
    task && (task.title ?? task.kind),
    task && t(`status.${task.status}`),
  );
  useFavicon(task?.status ?? null, percent ?? null);

  if (failure !== null && task === null)
    return <Blank tone="problem" title={t("task.failure", { reason: reasonOf(failure) })} />;
  if (phase === "loading") return <Blank title={t("task.loading")} />;
  if (phase === "missing")
    return (
      <Blank title={t("task.missing")} hint={t("task.missingHint")}>
        <Link href="/">{t("notFound.back")}</Link>
      </Blank>
    );
  if (task === null)
    return (
      <Blank title={t("task.unborn")} hint={t("task.unbornHint")}>
        <Link href="/">{t("notFound.back")}</Link>
      </Blank>
    );
  return (
    <article className="page task" data-stale={stale}>
      {phase === "deleted" && <Note text={t("task.deleted")} />}
      {failure !== null && ending === null && (
        <Note text={t("task.failure", { reason: reasonOf(failure) })} />
      )}
      <TaskHead record={record} task={task}>
        {phase !== "deleted" && <TaskActions record={record} task={task} />}
      </TaskHead>
      <Spoken task={task} percent={percent ?? null} />
      <div className="task-columns">
        <Course record={record} task={task} />
        <Sidelights record={record} task={task} />
      </div>
    </article>
  );
}

interface Props {
  record: TaskRecord;
  task: Snapshot;
}

/** What happens: progress, figures, the log. */
function Course({ record, task }: Props): ReactNode {
  return (
    <div className="column">
      <TaskProgress record={record} task={task} />
      <Failure record={record} task={task} />
      <ResultView record={record} task={task} />
      <MetricsView record={record} />
      <LogView record={record} />
    </div>
  );
}

/** What belongs to it: pictures, files, figures, times, params. */
function Sidelights({ record, task }: Props): ReactNode {
  const { t } = useTranslation();
  return (
    <div className="column">
      <PreviewView record={record} />
      <Artifacts record={record} />
      <GivenFiles files={task.uploads} />
      <Statistics record={record} />
      <Values
        title={t("task.params")}
        values={task.params}
        shown={namingFiles(task.params, task.uploads)}
        empty={t("task.noParams")}
        id="params"
      />
      {Object.keys(task.metadata).length > 0 && (
        <Values title={t("task.metadata")} values={task.metadata} />
      )}
      <Timeline record={record} />
    </div>
  );
}

function Statistics({ record }: { record: TaskRecord }): ReactNode {
  const { t } = useTranslation();
  const { elapsed_seconds: _, ...stats } = record.latest.stats ?? { elapsed_seconds: 0 };
  if (Object.keys(stats).length === 0) return null;
  return <Values title={t("task.stats")} values={stats} tiles />;
}

/** What is said to those who cannot see it: each state, and each quarter of the way. */
function Spoken({ task, percent }: { task: Snapshot; percent: number | null }): ReactNode {
  const { t } = useTranslation();
  const quarter = Math.floor((percent ?? 0) / 25) * 25;
  return (
    <p className="visually-hidden" role="status" id="spoken">
      {t(`status.${task.status}`)}
      {quarter > 0 && ` ${quarter} %`}
    </p>
  );
}

function Note({ text }: { text: string }): ReactNode {
  return (
    <p className="notice" role="alert">
      {text}
    </p>
  );
}
