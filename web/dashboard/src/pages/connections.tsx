/** Who watches what, and how the server is: for those who look after it. */

import { type ReactNode, useDeferredValue, useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "wouter";
import { Blank } from "../components/blank.tsx";
import { reasonOf, useStale } from "../components/connection.tsx";
import { Values } from "../components/values.tsx";
import {
  comparedWith,
  ratesBetween,
  type ServerFigures,
  tasksOf,
  type Watched,
  type WatchingConnection,
} from "../data/connections.ts";
import { formatBytes, formatDuration, formatMoment, formatNumber } from "../format.ts";
import { fetchFrom } from "../server.ts";
import { useSession } from "../session.tsx";
import { useTitle } from "../title.ts";

/**
 * Nobody is told when somebody else connects, and telling it would cost each connection something:
 * so the page asks, as long as somebody looks at it.
 */
const EVERY_MS = 5000;
/** Rates want a second reading soon. */
const FIRST_MS = 1500;
const SHOWN = 100;

export default function ConnectionsPage(): ReactNode {
  const { t } = useTranslation();
  const { me } = useSession();
  useTitle(t("connections.title"));
  if (me === null) return <Blank title={t("connections.loading")} />;
  if (!me.sees_connections)
    return <Blank title={t("connections.forbidden")} hint={t("connections.forbiddenHint")} />;
  return <ConnectionsOf seesServer={me.sees_server} />;
}

function ConnectionsOf({ seesServer }: { seesServer: boolean }): ReactNode {
  const { t } = useTranslation();
  const [owner, setOwner] = useState("");
  const stale = useStale();
  const { reading, problem } = useReadings(useDeferredValue(owner.trim()), seesServer);
  if (reading === null && problem !== null)
    return <Blank tone="problem" title={t("connections.problem", { reason: reasonOf(problem) })} />;
  if (reading === null) return <Blank title={t("connections.loading")} />;
  return (
    <div className="page history" data-stale={stale || problem !== null}>
      <div className="page-head">
        <h1>{t("connections.title")}</h1>
        <input
          type="search"
          aria-label={t("connections.owner")}
          placeholder={t("connections.owner")}
          value={owner}
          onChange={(event) => setOwner(event.target.value)}
        />
      </div>
      {reading.figures && <Figures figures={reading.figures} before={reading.before} />}
      {reading.connections.length === 0 ? (
        <Blank title={t("connections.nobody")} />
      ) : (
        <section className="card scroll" aria-label={t("connections.table")} tabIndex={0}>
          <ConnectionTable connections={reading.connections} />
        </section>
      )}
      {reading.more && <p className="hint">{t("connections.more", { count: SHOWN })}</p>}
    </div>
  );
}

interface Reading {
  connections: WatchingConnection[];
  /** Whether there are others that are not shown. */
  more: boolean;
  /** Null for those who see their tenant only. */
  figures: ServerFigures | null;
  /** The figures before those; null at first. */
  before: ServerFigures | null;
}

/** Reads while the page is seen and the server is there; of an owner unless the name is empty. */
function useReadings(
  owner: string,
  seesServer: boolean,
): { reading: Reading | null; problem: unknown } {
  const isLive = useSession().standing.state === "live";
  const [reading, setReading] = useState<Reading | null>(null);
  const [problem, setProblem] = useState<unknown>(null);
  const isSeen = useSeen();
  const readings = useRef(0);
  useEffect(() => {
    if (!isSeen || !isLive) return;
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const read = async (): Promise<void> => {
      try {
        const [found, figures] = await Promise.all([
          readConnections(owner, stop.signal),
          seesServer ? readJson<ServerFigures>("/api/server", stop.signal) : null,
        ]);
        setReading((last) => ({ ...found, figures, before: comparedWith(last, figures) }));
        setProblem(null);
        readings.current += 1;
      } catch (error) {
        if (!stop.signal.aborted) setProblem(error);
      }
      if (stop.signal.aborted) return;
      timer = setTimeout(() => void read(), readings.current < 2 ? FIRST_MS : EVERY_MS);
    };
    void read();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [owner, seesServer, isSeen, isLive]);
  return { reading, problem };
}

/** The newest connections. A page of a filter may hold few, and not be the last. */
async function readConnections(
  owner: string,
  signal: AbortSignal,
): Promise<Pick<Reading, "connections" | "more">> {
  const connections: WatchingConnection[] = [];
  const filter = owner === "" ? "" : `&owner=${encodeURIComponent(owner)}`;
  let next: string | null = `/api/connections?limit=${SHOWN}${filter}`;
  while (next !== null && connections.length < SHOWN) {
    const page: ConnectionPage = await readJson<ConnectionPage>(next, signal);
    connections.push(...page.items);
    next = page.next;
  }
  return { connections: connections.slice(0, SHOWN), more: next !== null };
}

interface ConnectionPage {
  items: WatchingConnection[];
  next: string | null;
}

async function readJson<T>(path: string, signal: AbortSignal): Promise<T> {
  const response = await fetchFrom(path, signal);
  return response.json();
}

function useSeen(): boolean {
  const [isSeen, setIsSeen] = useState(!document.hidden);
  useEffect(() => {
    const look = (): void => setIsSeen(!document.hidden);
    document.addEventListener("visibilitychange", look);
    return () => document.removeEventListener("visibilitychange", look);
  }, []);
  return isSeen;
}

interface FiguresProps {
  figures: ServerFigures;
  before: ServerFigures | null;
}

function Figures({ figures, before }: FiguresProps): ReactNode {
  const { t } = useTranslation();
  const { connections, outboxes, store } = figures;
  const rates = ratesBetween(before, figures);
  const tasks = tasksOf(figures);
  const perSecond = (rate: number | undefined): string =>
    rate === undefined ? "–" : t("connections.perSecond", { rate: formatNumber(Math.round(rate)) });
  const values = {
    [t("connections.open")]: t("connections.of", {
      part: formatNumber(connections.inside),
      whole: formatNumber(connections.limit),
    }),
    [t("connections.backlog")]: t("connections.of", {
      part: formatBytes(outboxes.waiting_bytes),
      whole: formatBytes(outboxes.limit_bytes),
    }),
    [t("connections.running")]: tasks.running,
    [t("connections.waitingTasks")]: tasks.waiting,
    [t("connections.events")]: perSecond(rates?.events),
    [t("connections.pushes")]: perSecond(rates?.pushes),
    [t("connections.lag")]: t("connections.ms", {
      ms: formatNumber(Math.round(figures.loop.worst_lag_seconds * 10_000) / 10),
    }),
    [t("connections.memory")]: formatBytes(figures.rss_bytes),
    ...(store && { [t("connections.store")]: formatBytes(store.bytes) }),
    [t("connections.uptime")]: formatDuration(Math.round(figures.uptime_seconds)),
  };
  return <Values title={t("connections.figures")} values={values} tiles id="server-figures" />;
}

function ConnectionTable({ connections }: { connections: WatchingConnection[] }): ReactNode {
  const { t } = useTranslation();
  return (
    <table id="connections">
      <thead>
        <tr>
          {(["who", "watches", "since", "way"] as const).map((name) => (
            <th key={name} scope="col">
              {t(`connections.${name}`)}
            </th>
          ))}
          <th scope="col" className="number">
            {t("connections.backlog")}
          </th>
        </tr>
      </thead>
      <tbody>
        {connections.map((connection) => (
          <tr key={connection.connection_id} data-connection={connection.connection_id}>
            <td>
              {connection.owner}{" "}
              {connection.credential !== "none" && (
                <span className="hint">{connection.credential}</span>
              )}
            </td>
            <td>
              <Watches connection={connection} />
            </td>
            <td>{formatMoment(connection.since)}</td>
            <td>
              {t(`connections.door.${wayOf(connection)}`)}{" "}
              <span className="hint">{connection.address}</span>
            </td>
            <td className="number">
              <Backlog connection={connection} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function wayOf({ door, transport }: WatchingConnection): "socketio" | "polling" | "sse" | "poll" {
  if (door === "socketio") return transport === "websocket" ? "socketio" : "polling";
  return door === "sse" ? "sse" : "poll";
}

function Watches({ connection }: { connection: WatchingConnection }): ReactNode {
  const { t } = useTranslation();
  const left = connection.subscriptions - connection.watches.length;
  if (connection.subscriptions === 0)
    return <span className="hint">{t("connections.nothing")}</span>;
  return (
    <ul className="watches">
      {connection.watches.map((watched) => (
        <li key={watched.task_id ?? `feed ${watched.feed}`}>
          <What watched={watched} />
        </li>
      ))}
      {left > 0 && <li className="hint">{t("connections.others", { count: left })}</li>}
    </ul>
  );
}

function What({ watched }: { watched: Watched }): ReactNode {
  const { t } = useTranslation();
  const { list } = useSession();
  const { task_id, feed, state, lag_events } = watched;
  const note =
    state === "behind" && lag_events
      ? t("connections.behindBy", { count: lag_events })
      : state === "live" || state === "waiting"
        ? null
        : t(`connections.${state}`);
  return (
    <>
      {task_id ? (
        <Link href={`/tasks/${task_id}`}>
          {list.tasks.get(task_id)?.title ?? task_id.slice(-8)}
        </Link>
      ) : (
        t("connections.feed", { feed })
      )}
      {watched.previews && <span className="tag">{t("connections.previews")}</span>}
      {note && <span className="hint"> {note}</span>}
    </>
  );
}

function Backlog({ connection }: { connection: WatchingConnection }): ReactNode {
  const { t } = useTranslation();
  const { backlog_bytes, stalled_seconds } = connection;
  return (
    <>
      {backlog_bytes > 0 && formatBytes(backlog_bytes)}
      {stalled_seconds !== null && stalled_seconds >= 1 && (
        <span className="problem">
          {" "}
          {t("connections.stalled", { time: formatDuration(Math.round(stalled_seconds)) })}
        </span>
      )}
    </>
  );
}
