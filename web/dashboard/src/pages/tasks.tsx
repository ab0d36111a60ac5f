/** All tasks, as they are at this moment. */

import { type ReactNode, useDeferredValue, useEffect, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { Link, useLocation, useSearch } from "wouter";
import { Blank } from "../components/blank.tsx";
import { reasonOf, useStale } from "../components/connection.tsx";
import { TaskFilters } from "../components/task_filters.tsx";
import { TaskTable } from "../components/task_table.tsx";
import {
  arranged,
  type Filters,
  meanPercentOf,
  NO_FILTERS,
  type Order,
  readFilters,
  writeFilters,
} from "../data/filters.ts";
import { useObserved } from "../data/observable.ts";
import { useSession } from "../session.tsx";
import { useFavicon, useTitle } from "../title.ts";

/** A search begins when somebody has stopped typing for so long. */
const TYPED_MS = 250;

export function TasksPage(): ReactNode {
  const { t } = useTranslation();
  const { client, list } = useSession();
  const { query, filters, order, show } = useFilters();
  const version = useDeferredValue(useObserved(list).version());
  const stale = useStale();

  const { text, status, kind, tag } = filters;
  useEffect(() => {
    const look = (): void => list.look(client, { text, status, kind, tag });
    const timer = setTimeout(look, text ? TYPED_MS : 0);
    return () => clearTimeout(timer);
  }, [client, list, text, status, kind, tag]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: the list is changed in place
  const tasks = useMemo(
    () => arranged(list.tasks.values(), filters, order),
    [list, version, filters, order],
  );
  const running = [...list.tasks.values()].filter((task) => task.status === "running");
  useTitle(running.length > 0 && `(${running.length})`, t("tasks.title"));
  useFavicon(running.length > 0 ? "running" : null, meanPercentOf(running));

  const isFiltered = Object.values(filters).some(Boolean);
  return (
    <div className="page" data-stale={stale}>
      <div className="page-head">
        <h1>{t("tasks.title")}</h1>
        <p className="hint">
          {t("tasks.count", { count: tasks.length })}
          {!list.complete && tasks.length > 0 && ` · ${t("tasks.more")}`}
        </p>
        <Found count={tasks.length} asked={query} isKnown={!list.loading} />
      </div>
      <TaskFilters
        filters={filters}
        order={order}
        tasks={list.tasks}
        onFilter={(wanted) => show(wanted, order)}
        onOrder={(wanted) => show(filters, wanted)}
      />
      {list.problem !== null && (
        <p className="problem" role="alert">
          {t("tasks.problem", { reason: reasonOf(list.problem) })}
        </p>
      )}
      {tasks.length > 0 ? (
        <TaskTable tasks={tasks} onEnd={() => void list.loadMore()} />
      ) : !list.listed || list.loading ? (
        <Blank title={t("tasks.loading")} />
      ) : isFiltered ? (
        <Blank title={t("tasks.none")}>
          <button type="button" onClick={() => show(NO_FILTERS, order)}>
            {t("tasks.reset")}
          </button>
        </Blank>
      ) : (
        <Blank title={t("tasks.empty")} hint={t("tasks.emptyHint")}>
          <Link href="/new" className="button">
            {t("nav.create")}
          </Link>
        </Blank>
      )}
    </div>
  );
}

/** Says to whoever cannot see it how many there are, once per question: tasks come and go. */
function Found({ count, asked, isKnown }: FoundProps): ReactNode {
  const { t } = useTranslation();
  const [said, setSaid] = useState({ asked, text: "" });
  useEffect(() => {
    if (isKnown && said.asked !== asked) setSaid({ asked, text: t("tasks.count", { count }) });
  }, [asked, isKnown, said.asked, count, t]);
  return (
    <p className="visually-hidden" role="status">
      {said.text}
    </p>
  );
}

interface FoundProps {
  count: number;
  /** The question: the filters as the address has them. */
  asked: string;
  isKnown: boolean;
}

/** Which tasks are shown, and how: kept in the address, so that it is there again after "back". */
function useFilters(): {
  query: string;
  filters: Filters;
  order: Order;
  show(filters: Filters, order: Order): void;
} {
  const query = useSearch();
  const [path, go] = useLocation();
  const read = useMemo(() => readFilters(new URLSearchParams(query)), [query]);
  const show = (filters: Filters, order: Order): void => {
    const written = writeFilters(filters, order);
    go(written ? `${path}?${written}` : path, { replace: true });
  };
  return { query, ...read, show };
}
