import type { ReactNode } from "react";
import type { Status } from "taskpush-client";

interface Props {
  /** From 0 to 100; null while nobody knows. */
  percent: number | null;
  status: Status;
  label: string;
}

/** How far a task is. Without a value it moves while the task runs, and is empty otherwise. */
export function Bar({ percent, status, label }: Props): ReactNode {
  const value = percent ?? (status === "running" ? undefined : 0);
  return <progress max={100} value={value} data-status={status} aria-label={label} />;
}
