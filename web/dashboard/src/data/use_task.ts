import { useEffect, useMemo } from "react";
import { useSession } from "../session.tsx";
import { followTask } from "./follow_task.ts";
import { useObserved } from "./observable.ts";
import { TaskRecord } from "./task_record.ts";

/** The task, followed as long as the component is shown. */
export function useTaskRecord(taskId: string): TaskRecord {
  const { client, list } = useSession();
  // biome-ignore lint/correctness/useExhaustiveDependencies: another client begins anew
  const record = useMemo(() => new TaskRecord(taskId), [taskId, client]);
  useEffect(() => {
    const stop = new AbortController();
    void followTask(client, list, record, stop.signal);
    return () => stop.abort();
  }, [client, list, record]);
  return useObserved(record);
}
