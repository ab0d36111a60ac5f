/** What the task returned. */

import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { Snapshot } from "taskpush-client";
import type { TaskRecord } from "../data/task_record.ts";
import { formatValue } from "../format.ts";
import { reasonOf } from "./connection.tsx";
import { AsJson, BRIEF_CHARS, Pairs } from "./values.tsx";
import { Verbatim } from "./verbatim.tsx";

interface Props {
  record: TaskRecord;
  task: Snapshot;
}

export function ResultView({ record, task }: Props): ReactNode {
  const { t } = useTranslation();
  if (task.status !== "completed") return null;
  const { result } = record;
  return (
    <section className="card" aria-labelledby="result-heading">
      <h2 id="result-heading">{t("task.result")}</h2>
      <div id="result">
        {result.phase === "ready" ? (
          <Result value={result.value} />
        ) : result.phase === "failed" ? (
          <p className="problem">{t("task.resultFailed", { reason: reasonOf(result.error) })}</p>
        ) : (
          <p className="hint">{t("task.resultLoading")}</p>
        )}
      </div>
    </section>
  );
}

function Result({ value }: { value: unknown }): ReactNode {
  const { t } = useTranslation();
  if (value === null || value === undefined) return <p className="hint">{t("task.noResult")}</p>;
  if (typeof value === "string" && value.length > BRIEF_CHARS)
    return <Verbatim label={t("task.result")} text={value} />;
  if (typeof value !== "object") return <p className="figure">{formatValue(value)}</p>;
  return (
    <>
      {!Array.isArray(value) && <Pairs values={value as Record<string, unknown>} />}
      <AsJson title={t("task.result")} value={value} />
    </>
  );
}
