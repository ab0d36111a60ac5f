import { type ReactNode, useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { formatDuration } from "../format.ts";
import { useStale } from "./connection.tsx";

interface Props {
  since: string;
  /** The time alone. */
  bare?: boolean;
}

/** How long it has been since a moment; it stands still while nobody knows whether it goes on. */
export function Elapsed({ since, bare = false }: Props): ReactNode {
  const { t } = useTranslation();
  const now = useNow(!useStale());
  const seconds = Math.max(0, Math.floor((now - Date.parse(since)) / 1000));
  const time = formatDuration(seconds);
  return bare ? time : t("task.soFar", { time });
}

/** The time, second by second. */
function useNow(passes: boolean): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    if (!passes) return;
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, [passes]);
  return now;
}
