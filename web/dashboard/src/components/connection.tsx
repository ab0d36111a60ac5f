/** How the page hears of the server: never better than it is. */

import { type ReactNode, useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import type { Setback } from "taskpush-client";
import { formatTime } from "../format.ts";
import { SERVER_URL } from "../server.ts";
import { useSession } from "../session.tsx";

/** One word, a dot, and the door where that is not the best one. */
export function ConnectionIndicator(): ReactNode {
  const { t } = useTranslation();
  const { standing, ending } = useSession();
  const { state, door, since } = standing;
  const shown = ending === null ? state : "offline";
  const time = since === null ? "" : formatTime(since);
  let text = t(`connection.${shown}`, { time });
  if (shown === "live" && door !== null && door !== "socketio")
    text = t("connection.liveBy", { door: t(`connection.door.${door}`) });
  if (shown === "offline" && time) text = t("connection.offlineSince", { time });
  const title = door ? t(`connection.door.${door}`) : undefined;
  return (
    <p className="connection" data-state={shown} title={title}>
      <span className="dot" aria-hidden="true" />
      <span id="connection-text">{text}</span>
    </p>
  );
}

/** Says above the page what is wrong with the connection, and what can be done. */
export function ConnectionNotice(): ReactNode {
  const { t } = useTranslation();
  const { standing, ending, restart } = useSession();
  const { state, since, setback } = standing;
  if (ending !== null)
    return (
      <div className="notice" role="alert">
        <p>{t("connection.refused", { reason: reasonOf(ending) })}</p>
        <button type="button" onClick={restart}>
          {t("connection.retry")}
        </button>
      </div>
    );
  if (setback !== null && setback.retryAt !== null) return <Waiting {...setback} />;
  if (since !== null && (state === "stale" || state === "offline"))
    return (
      <div className="notice" role="alert">
        <p>{t("connection.staleNote", { time: formatTime(since) })}</p>
      </div>
    );
  if (state === "stale")
    return (
      <div className="notice" role="alert">
        <p>{t("connection.unreachable", { server: SERVER_URL })}</p>
      </div>
    );
  return null;
}

/** The server has no room for the moment, and said when to come again. */
function Waiting({ message, retryAt }: Setback): ReactNode {
  const { t } = useTranslation();
  const time = formatTime(retryAt ?? 0);
  return (
    <div className="notice" role="alert">
      <p>{t("connection.waiting", { reason: message, time })}</p>
    </div>
  );
}

/** Whether what is shown may be out of date. */
export function useStale(): boolean {
  const { standing, ending } = useSession();
  const { state } = standing;
  return ending !== null || state === "stale" || state === "recovering" || state === "offline";
}

const SHOWN_MS = 4000;

/** A word in the corner when the connection is lost, and when it is restored. */
export function ConnectionToast(): ReactNode {
  const { t } = useTranslation();
  const { state } = useSession().standing;
  const [word, setWord] = useState<"lost" | "restored" | null>(null);
  const before = useRef(state);
  useEffect(() => {
    const was = before.current;
    before.current = state;
    if (was === "live" && state === "recovering") setWord("lost");
    else if (state === "live" && was !== "connecting" && was !== "live") setWord("restored");
    else return;
    const timer = setTimeout(() => setWord(null), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [state]);
  return (
    <div className="toasts" role="status">
      {word && <p className="toast">{t(`connection.${word}`)}</p>}
    </div>
  );
}

/** An error as a sentence. */
export function reasonOf(error: unknown): string {
  if (error instanceof Error) return "detail" in error ? String(error.detail) : error.message;
  return String(error);
}
