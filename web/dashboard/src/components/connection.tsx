/** How the page hears of the server: never better than it is. */

import { type ReactNode, useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import type { Setback } from "taskpush-client";
import { formatTime } from "../format.ts";
import { SERVER_URL } from "../server.ts";
import { type Standing, useSession } from "../session.tsx";

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
  const { client, standing, ending } = useSession();
  const { state, since, setback } = standing;
  // A toast says what ended it.
  if (ending !== null) return null;
  if (setback !== null && setback.retryAt !== null) return <Waiting {...setback} />;
  if (state !== "stale" && (state !== "offline" || since === null)) return null;
  return (
    <div className="notice" role="alert">
      <p>
        {since === null
          ? t("connection.unreachable", { server: SERVER_URL })
          : t("connection.staleNote", { time: formatTime(since) })}
      </p>
      {state === "stale" && (
        <button type="button" className="small" onClick={() => client.reconnect()}>
          {t("connection.now")}
        </button>
      )}
    </div>
  );
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

/** How often the connection has come back: what was read in between may have failed, or be old. */
export function useReturns(): number {
  const stale = useStale();
  const [returns, setReturns] = useState(0);
  const wasStale = useRef(stale);
  useEffect(() => {
    if (wasStale.current && !stale) setReturns((count) => count + 1);
    wasStale.current = stale;
  }, [stale]);
  return returns;
}

const SHOWN_MS = { connected: 2000, lost: 4000, restored: 4000 };

type Word = "connected" | "lost" | "restored";

/** A word in the corner when the connection is made, lost or restored, and when it is given up. */
export function ConnectionToast(): ReactNode {
  const { t } = useTranslation();
  const { standing, ending, restart } = useSession();
  const word = usePassingWord(standing.state);
  return (
    <div className="toasts" role="status">
      {ending !== null ? (
        <div className="toast" data-word="givenUp">
          <p>{t("connection.refused", { reason: reasonOf(ending) })}</p>
          <button type="button" className="small" onClick={restart}>
            {t("connection.retry")}
          </button>
        </div>
      ) : (
        word && (
          <p className="toast" data-word={word}>
            {t(`connection.${word}`)}
          </p>
        )
      )}
    </div>
  );
}

/** What the last change of the connection was, for as long as it takes to read that. */
function usePassingWord(state: Standing["state"]): Word | null {
  const [word, setWord] = useState<Word | null>(null);
  const before = useRef<Standing["state"]>("connecting");
  useEffect(() => {
    const was = before.current;
    before.current = state;
    if (was === state) return;
    let said: Word;
    if (was === "live" && state === "recovering") said = "lost";
    else if (state === "live") said = was === "connecting" ? "connected" : "restored";
    else return;
    setWord(said);
    const timer = setTimeout(() => setWord(null), SHOWN_MS[said]);
    return () => clearTimeout(timer);
  }, [state]);
  return word;
}

/** An error as a sentence. */
export function reasonOf(error: unknown): string {
  if (error instanceof Error) return "detail" in error ? String(error.detail) : error.message;
  return String(error);
}
