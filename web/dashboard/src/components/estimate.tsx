/** When a task that is created now would start, and how long it would take. */

import { type ReactNode, useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import type { NextSubmission } from "taskpush-client";
import { formatEstimate } from "../format.ts";
import { useSession } from "../session.tsx";

/** Asked when somebody has stopped typing for so long. */
const TYPED_MS = 500;

interface Props {
  kind: string;
  /** Null while some are missing: then nothing is said of how long this task takes. */
  params: Record<string, unknown> | null;
}

export function Estimate({ kind, params }: Props): ReactNode {
  const { t } = useTranslation();
  const { client } = useSession();
  const [estimate, setEstimate] = useState<NextSubmission | null>(null);
  const written = JSON.stringify(params);

  useEffect(() => {
    let gone = false;
    const ask = async (): Promise<void> => {
      // Params that the server would refuse have no estimate; creating says what is wrong.
      const given = JSON.parse(written);
      const asked = { ...(given !== null && { params: given }), limit: 1 };
      const queues = await client.queue(kind, asked).catch(() => null);
      if (!gone) setEstimate(queues?.[0]?.next_submission ?? null);
    };
    const timer = setTimeout(() => void ask(), TYPED_MS);
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, [client, kind, written]);

  if (estimate === null) return null;
  const { ahead, eta_seconds: eta, eta_low: low, eta_high: high, run_seconds: run } = estimate;
  let start = t("create.startUnknown");
  if (ahead === 0 && eta === 0) start = t("create.startsNow");
  else if (typeof eta === "number")
    start = t("create.startsIn", {
      time: formatEstimate(eta),
      low: formatEstimate(low ?? eta),
      high: formatEstimate(high ?? eta),
    });
  return (
    <aside className="card" aria-labelledby="estimate-heading" id="estimate">
      <h2 id="estimate-heading">{t("create.estimate")}</h2>
      {ahead > 0 && <p>{t("create.ahead", { count: ahead })}</p>}
      <p>{start}</p>
      <p>
        {typeof run === "number"
          ? t("create.runs", { time: formatEstimate(run) })
          : t("create.runUnknown")}
      </p>
    </aside>
  );
}
