/** Why the last attempt failed. */

import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { Snapshot } from "taskpush-client";
import type { TaskRecord } from "../data/task_record.ts";
import { formatMoment } from "../format.ts";
import { BRIEF_CHARS } from "./values.tsx";
import { Verbatim } from "./verbatim.tsx";

interface Props {
  record: TaskRecord;
  task: Snapshot;
}

export function Failure({ record, task }: Props): ReactNode {
  const { t } = useTranslation();
  const report = record.error;
  const error = report ?? task.error;
  if (!error || task.status === "completed" || task.status === "running") return null;
  let next = "";
  if (report?.will_retry && task.status === "pending")
    next = report.retry_at
      ? t("task.retryAt", { time: formatMoment(report.retry_at) })
      : t("task.willRetry");
  return (
    <section className="card failure" role="alert">
      <h2 id="failure-title">{error.error_type || error.code}</h2>
      {/* So that a keyboard can scroll it. */}
      <p id="failure-message" tabIndex={error.error.length > BRIEF_CHARS ? 0 : undefined}>
        {error.error}
      </p>
      {next && <p className="hint">{next}</p>}
      {report?.traceback && (
        <details>
          <summary>{t("task.traceback")}</summary>
          <Verbatim label={t("task.traceback")} text={report.traceback} />
        </details>
      )}
    </section>
  );
}
