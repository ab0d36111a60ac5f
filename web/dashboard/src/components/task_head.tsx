/** Which task it is, and where it stands. */

import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { Snapshot } from "taskpush-client";
import type { TaskRecord } from "../data/task_record.ts";
import { formatMoment } from "../format.ts";
import { StatusChip } from "./status_chip.tsx";

interface Props {
  record: TaskRecord;
  task: Snapshot;
  children: ReactNode;
}

export function TaskHead({ task, children }: Props): ReactNode {
  const { t } = useTranslation();
  const facts = [
    task.title && task.kind,
    t("task.by", { owner: task.owner }),
    t("task.created", { time: formatMoment(task.created_at) }),
    task.attempt > 1 && t("task.attempt", { attempt: task.attempt }),
  ];
  return (
    <header className="task-head">
      <div>
        <h1>
          <span id="task-title">{task.title ?? task.kind}</span>
          <StatusChip status={task.status} id="task-status" />
        </h1>
        <p className="hint facts">
          {facts.filter(Boolean).join(" · ")} · <span className="mono">{task.task_id}</span>
          {task.tags.map((tag) => (
            <span key={tag} className="tag">
              {tag}
            </span>
          ))}
        </p>
      </div>
      {children}
    </header>
  );
}
