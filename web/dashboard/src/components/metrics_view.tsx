/** The metrics of all iterations: the newest as tiles, one of them as a chart. */

import { type ReactNode, useState } from "react";
import { useTranslation } from "react-i18next";
import type { TaskRecord } from "../data/task_record.ts";
import { formatNumber } from "../format.ts";
import { Chart } from "./chart.tsx";

/** A long name may be broken after each underscore. */
function breakable(name: string): string {
  return name.replaceAll("_", "_\u200b");
}

export function MetricsView({ record }: { record: TaskRecord }): ReactNode {
  const { t } = useTranslation();
  const { metrics } = record;
  const [wanted, setWanted] = useState<string | null>(null);
  const { names } = metrics;
  const chosen = wanted !== null && names.includes(wanted) ? wanted : names[0];
  if (chosen === undefined) return null;
  return (
    <section className="card" aria-labelledby="metrics-heading">
      <h2 id="metrics-heading">{t("chart.title")}</h2>
      <fieldset className="tiles">
        <legend className="visually-hidden">{t("chart.metric")}</legend>
        {names.map((name) => {
          const value = metrics.newest(name);
          return (
            <label key={name} className="tile">
              <input
                type="radio"
                name="metric"
                checked={name === chosen}
                onChange={() => setWanted(name)}
              />
              <span className="tile-name">{breakable(name)}</span>
              <span className="tile-value">{value === null ? "–" : formatNumber(value)}</span>
            </label>
          );
        })}
      </fieldset>
      <Chart key={chosen} metric={chosen} record={record} />
    </section>
  );
}
