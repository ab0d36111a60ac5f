/** What the task returned. */

import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { Snapshot } from "taskpush-client";
import type { TaskRecord } from "../data/task_record.ts";
import { formatValue } from "../format.ts";
import { reasonOf } from "./connection.tsx";
import { AsJson, Pairs } from "./values.tsx";

interface Props {
  record: TaskRecord;
  task: Snapshot;
}

/** A longer text is shown as a text. */
const SHORT = 300;

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
  if (typeof value === "string" && value.length > SHORT) return <pre>{value}</pre>;
  if (typeof value !== "object") return <p className="figure">{formatValue(value)}</p>;
  return (
    <>
      {!Array.isArray(value) && <Pairs values={brief(value)} />}
      <AsJson value={value} />
    </>
  );
}

/** Without what is too long for a line; the JSON has it. */
function brief(value: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => {
      const text = formatValue(one);
      return [name, text.length > SHORT ? `${text.slice(0, SHORT)} …` : one];
    }),
  );
}
