/** What became of tasks, day by day. */

import { type ReactNode, useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { Blank } from "../components/blank.tsx";
import { reasonOf, useReturns } from "../components/connection.tsx";
import { DayBars } from "../components/day_bars.tsx";
import type { History, KindDay } from "../data/history.ts";
import { formatBytes, formatDuration, formatNumber } from "../format.ts";
import { fetchFrom } from "../server.ts";
import { useTitle } from "../title.ts";

const SPANS = [7, 30, 90] as const;

export default function HistoryPage(): ReactNode {
  const { t } = useTranslation();
  const [days, setDays] = useState<number>(30);
  const [history, setHistory] = useState<History | null>(null);
  const [problem, setProblem] = useState<unknown>(null);
  useTitle(t("history.title"));
  const returns = useReturns();
  // biome-ignore lint/correctness/useExhaustiveDependencies: read again after a lost connection
  useEffect(() => {
    const stop = new AbortController();
    fetchFrom(`/api/stats?days=${days}`, stop.signal)
      .then((response) => response.json())
      .then(
        (found) => {
          setHistory(found);
          setProblem(null);
        },
        (error: unknown) => stop.signal.aborted || setProblem(error),
      );
    return () => stop.abort();
  }, [days, returns]);
  if (problem !== null)
    return <Blank tone="problem" title={t("history.problem", { reason: reasonOf(problem) })} />;
  if (history === null) return <Blank title={t("history.loading")} />;
  return (
    <div className="page history">
      <div className="page-head">
        <h1>{t("history.title")}</h1>
        <select
          aria-label={t("history.days")}
          value={days}
          onChange={(event) => setDays(Number(event.target.value))}
        >
          {SPANS.map((count) => (
            <option key={count} value={count}>
              {t("history.lastDays", { count })}
            </option>
          ))}
        </select>
      </div>
      {history.days.length === 0 ? (
        <Blank title={t("history.empty")} />
      ) : (
        <>
          <section className="card" aria-labelledby="days-heading">
            <h2 id="days-heading">{t("history.ended")}</h2>
            <DayBars days={history.days} count={days} />
            <p className="legend hint">
              {(["completed", "failed", "other"] as const).map((part) => (
                <span key={part} data-part={part}>
                  {t(`history.${part}`)}
                </span>
              ))}
            </p>
          </section>
          <section className="card scroll" aria-label={t("history.table")} tabIndex={0}>
            <DayTable days={history.days} />
          </section>
        </>
      )}
      {history.store && (
        <p className="hint">
          {t("history.store", {
            tasks: formatNumber(history.store.tasks),
            events: formatNumber(history.store.events),
            bytes: formatBytes(history.store.bytes),
          })}
        </p>
      )}
    </div>
  );
}

const COUNTS = ["completed", "failed", "cancelled", "interrupted"] as const;

function DayTable({ days }: { days: readonly KindDay[] }): ReactNode {
  const { t } = useTranslation();
  return (
    <table>
      <thead>
        <tr>
          <th scope="col">{t("history.day")}</th>
          <th scope="col">{t("history.kind")}</th>
          {COUNTS.map((name) => (
            <th key={name} scope="col" className="number">
              {t(`history.${name}`)}
            </th>
          ))}
          {(["median", "p95", "wait"] as const).map((name) => (
            <th key={name} scope="col" className="number">
              {t(`history.${name}`)}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {days.toReversed().map((day) => (
          <tr key={`${day.day} ${day.kind}`}>
            <td className="day">{day.day}</td>
            <td>{day.kind}</td>
            {COUNTS.map((name) => (
              <td key={name} className="number">
                {day[name] || ""}
              </td>
            ))}
            {[day.median_seconds, day.p95_seconds, day.median_wait_seconds].map(
              (seconds, index) => (
                <td key={index} className="number">
                  {seconds === null ? "–" : formatDuration(seconds)}
                </td>
              ),
            )}
          </tr>
        ))}
      </tbody>
    </table>
  );
}
