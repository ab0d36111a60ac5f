/** The answer of `GET /api/stats`, and what is drawn of it. Pure. */

export interface KindDay {
  day: string;
  kind: string;
  completed: number;
  failed: number;
  cancelled: number;
  interrupted: number;
  median_seconds: number | null;
  p95_seconds: number | null;
  median_wait_seconds: number | null;
}

export interface History {
  days: KindDay[];
  /** Null for those who may see their own tasks only. */
  store: { tasks: number; events: number; bytes: number } | null;
}

/** All kinds of one day together. */
export interface DayTotal {
  day: string;
  completed: number;
  failed: number;
  other: number;
}

const DAY_MS = 86_400_000;

/** One total for each of the `count` days up to `today`, also where no task ended. */
export function totals(days: readonly KindDay[], count: number, today: Date): DayTotal[] {
  const found = new Map<string, DayTotal>();
  for (let back = count - 1; back >= 0; back -= 1) {
    const day = new Date(today.getTime() - back * DAY_MS).toISOString().slice(0, 10);
    found.set(day, { day, completed: 0, failed: 0, other: 0 });
  }
  for (const { day, completed, failed, cancelled, interrupted } of days) {
    const total = found.get(day);
    if (!total) continue;
    total.completed += completed;
    total.failed += failed;
    total.other += cancelled + interrupted;
  }
  return [...found.values()];
}
