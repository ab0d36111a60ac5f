/** How many tasks ended on each day, and how; the highest bar says how many. */

import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { type DayTotal, type KindDay, totals } from "../data/history.ts";
import { formatDay, formatNumber } from "../format.ts";

const HEIGHT = 100;
const PARTS = ["completed", "failed", "other"] as const;

export function DayBars({ days, count }: { days: readonly KindDay[]; count: number }): ReactNode {
  const { t } = useTranslation();
  const shown = totals(days, count, new Date());
  const most = Math.max(1, ...shown.map(sumOf));
  return (
    <figure>
      <p className="hint days-most">{formatNumber(most)}</p>
      <svg
        className="days"
        viewBox={`0 0 ${count * 10} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-labelledby="days-heading"
      >
        <title>{t("history.ended")}</title>
        {shown.map((total, index) => (
          <g key={total.day} transform={`translate(${index * 10 + 1} 0)`}>
            <title>{t("history.chart", { ...total })}</title>
            <rect className="ground" width={8} height={HEIGHT} />
            <Stack total={total} most={most} />
          </g>
        ))}
      </svg>
      <p className="hint days-ends">
        <span>{formatDay(shown[0]?.day ?? "")}</span>
        <span>{t("history.today")}</span>
      </p>
    </figure>
  );
}

function Stack({ total, most }: { total: DayTotal; most: number }): ReactNode {
  let top = HEIGHT;
  return PARTS.map((part) => {
    const height = (total[part] / most) * HEIGHT;
    top -= height;
    return <rect key={part} className={part} y={top} width={8} height={height} />;
  });
}

function sumOf({ completed, failed, other }: DayTotal): number {
  return completed + failed + other;
}
