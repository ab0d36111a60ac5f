/** What all pages share: the client, how its connection stands, and the list of tasks. */

import {
  createContext,
  type ReactNode,
  useCallback,
  useContext,
  useEffect,
  useMemo,
  useRef,
  useState,
} from "react";
import {
  type Client,
  type ConnectionState,
  type ConnectionStatus,
  createClient,
  RequestRefused,
} from "taskpush-client";
import type { Me } from "./data/connections.ts";
import { TaskList } from "./data/task_list.ts";
import { fetchFrom, keepToken, keptToken, SERVER_URL } from "./server.ts";

/** Why nobody is let in: the code of the refusal; `wrong` for a token that was just entered. */
export type Denial = "unauthenticated" | "access_ended" | "wrong";

/** How the page hears of the server. */
export interface Standing {
  state: ConnectionState | "connecting";
  door: ConnectionStatus["door"];
  /** When it was last live; null while it is, and before it was. */
  since: number | null;
  /** Why the last try to connect came to nothing; null when none did. */
  setback: ConnectionStatus["setback"];
}

export interface Session {
  client: Client;
  list: TaskList;
  standing: Standing;
  /** What ended the connection for good; null unless something did. */
  ending: unknown;
  /** Whether a token is shown to the server. */
  hasToken: boolean;
  /** Who looks at the page; null until the server said so. */
  me: Me | null;
  signOut(): void;
  /** Start anew after the connection was ended. */
  restart(): void;
}

const SessionContext = createContext<Session | null>(null);

/** The session of the page. */
export function useSession(): Session {
  const session = useContext(SessionContext);
  if (session === null) throw new Error("a page is shown outside of a session");
  return session;
}

interface Props {
  children: ReactNode;
  /** What is shown instead while the server wants a token. */
  login: (denial: Denial, signIn: (token: string) => void) => ReactNode;
}

/** Connects with the kept token, and asks for another when that is refused. */
export function SessionProvider({ children, login }: Props): ReactNode {
  const [token, setToken] = useState(keptToken);
  const [turn, setTurn] = useState(0);
  const [denial, setDenial] = useState<Denial | null>(null);
  const [ending, setEnding] = useState<unknown>(null);
  const [standing, setStanding] = useState<Standing>(CONNECTING);
  /** Whether the token was just entered, so that a refusal means that it is wrong. */
  const entered = useRef(false);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another turn wants another client
  const { client, list } = useMemo(() => connect(token), [token, turn]);
  useClosing(client);

  useEffect(() => {
    const stop = new AbortController();
    let wasLive = false;
    setStanding(CONNECTING);
    setEnding(null);
    const off = client.on("connection", (status) => {
      if (status.state === "live") {
        wasLive = true;
        entered.current = false;
      }
      setStanding((last) => next(last, status, wasLive));
    });
    list.follow(client, stop.signal).catch((error: unknown) => {
      if (stop.signal.aborted) return;
      const code = denialOf(error);
      if (code === null) return setEnding(error);
      keepToken(null);
      setDenial(entered.current && code === "unauthenticated" ? "wrong" : code);
    });
    return () => {
      stop.abort();
      off();
    };
  }, [client, list]);

  const start = useCallback((given: string | null, isNew: boolean) => {
    keepToken(given);
    entered.current = isNew;
    setDenial(null);
    setToken(given);
    setTurn((number) => number + 1);
  }, []);

  const me = useMe(client, standing.state === "live");

  if (denial !== null) return login(denial, (given) => start(given, true));
  const session = {
    client,
    list,
    standing,
    ending,
    hasToken: token !== null,
    me,
    signOut: () => start(null, false),
    restart: () => start(token, false),
  };
  return <SessionContext value={session}>{children}</SessionContext>;
}

/** Closes a client in whose place there is another one. */
function useClosing(client: Client): void {
  const last = useRef(client);
  useEffect(() => {
    if (last.current !== client) last.current.close();
    last.current = client;
  }, [client]);
}

/** Asked once for each client, when it is live. */
function useMe(client: Client, isLive: boolean): Me | null {
  const [known, setKnown] = useState<{ client: Client; me: Me } | null>(null);
  const isKnown = known?.client === client;
  useEffect(() => {
    if (isKnown || !isLive) return;
    const stop = new AbortController();
    fetchFrom("/api/me", stop.signal)
      .then((response) => response.json())
      // It is asked again when the connection was lost and is back.
      .then(
        (me: Me) => setKnown({ client, me }),
        () => {},
      );
    return () => stop.abort();
  }, [client, isKnown, isLive]);
  return isKnown ? known.me : null;
}

const CONNECTING: Standing = { state: "connecting", door: null, since: null, setback: null };

function connect(token: string | null): { client: Client; list: TaskList } {
  const client = createClient(SERVER_URL, {
    ...(token !== null && { token }),
    // A page may be opened before its server.
    patience: { firstContactMs: Number.POSITIVE_INFINITY },
  });
  return { client, list: new TaskList() };
}

function next(last: Standing, status: ConnectionStatus, wasLive: boolean): Standing {
  if (status.state === "live") return { ...status, since: null };
  if (!wasLive && status.state === "recovering") return { ...CONNECTING, setback: status.setback };
  return { ...status, since: last.since ?? (wasLive ? Date.now() : null) };
}

function denialOf(error: unknown): "unauthenticated" | "access_ended" | null {
  const code = error instanceof RequestRefused ? error.code : null;
  return code === "unauthenticated" || code === "access_ended" ? code : null;
}
