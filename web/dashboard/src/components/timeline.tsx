/** The states that the task was in, attempt by attempt. */

import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { Milestone } from "../data/task_log.ts";
import type { TaskRecord } from "../data/task_record.ts";
import { formatDuration, formatMoment } from "../format.ts";
import { reasonIn } from "../i18n/words.ts";

/** Older ones are left out: a task that is retried for weeks has many. */
const SHOWN = 30;

export function Timeline({ record }: { record: TaskRecord }): ReactNode {
  const { t } = useTranslation();
  const { milestones } = record;
  if (milestones.length === 0) return null;
  const attempts = milestones.at(-1)?.attempt ?? 1;
  return (
    <section className="card" aria-labelledby="timeline-heading">
      <h2 id="timeline-heading">{t("task.timeline")}</h2>
      <ol className="timeline">
        {milestones.slice(-SHOWN).map((milestone, index, shown) => (
          <li key={`${milestone.timestamp} ${milestone.status}`} data-status={milestone.status}>
            <span className="timeline-status">
              {t(`status.${milestone.status}`)}
              {milestone.reason && <span className="hint"> {reasonIn(milestone.reason, t)}</span>}
            </span>
            <span className="hint">
              {attempts > 1 && `${t("task.attempt", { attempt: milestone.attempt })} · `}
              {formatMoment(milestone.timestamp)}
            </span>
            <span className="hint timeline-for">{lasted(milestone, shown[index + 1])}</span>
          </li>
        ))}
      </ol>
    </section>
  );
}

/** How long a state lasted; empty for the present one. */
function lasted(milestone: Milestone, following: Milestone | undefined): string {
  if (!following) return "";
  return formatDuration((Date.parse(following.timestamp) - Date.parse(milestone.timestamp)) / 1000);
}
