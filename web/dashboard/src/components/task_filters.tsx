/** Which tasks the list shows, and in which order. */

import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { Status, Summary } from "taskpush-client";
import { type Filters, ORDERS, type Order } from "../data/filters.ts";

const STATUSES: readonly Status[] = [
  "pending",
  "running",
  "completed",
  "failed",
  "cancelled",
  "interrupted",
];

interface Props {
  filters: Filters;
  order: Order;
  /** Those whose kinds and tags can be chosen. */
  tasks: ReadonlyMap<string, Summary>;
  onFilter(filters: Filters): void;
  onOrder(order: Order): void;
}

export function TaskFilters({ filters, order, tasks, onFilter, onOrder }: Props): ReactNode {
  const { t } = useTranslation();
  const known = [...tasks.values()];
  const kinds = distinct([filters.kind, ...known.map((task) => task.kind)]);
  const tags = distinct([filters.tag, ...known.flatMap((task) => task.tags)]);
  return (
    <search className="filters">
      <input
        type="search"
        aria-label={t("tasks.search")}
        placeholder={t("tasks.search")}
        value={filters.text}
        onChange={(event) => onFilter({ ...filters, text: event.target.value })}
      />
      <select
        aria-label={t("tasks.status")}
        value={filters.status}
        onChange={(event) => onFilter({ ...filters, status: event.target.value as Status | "" })}
      >
        <option value="">{t("tasks.anyStatus")}</option>
        {STATUSES.map((status) => (
          <option key={status} value={status}>
            {t(`status.${status}`)}
          </option>
        ))}
      </select>
      <Names
        label={t("tasks.kind")}
        any={t("tasks.anyKind")}
        names={kinds}
        chosen={filters.kind}
        onChoose={(kind) => onFilter({ ...filters, kind })}
      />
      {tags.length > 0 && (
        <Names
          label={t("tasks.tag")}
          any={t("tasks.anyTag")}
          names={tags}
          chosen={filters.tag}
          onChoose={(tag) => onFilter({ ...filters, tag })}
        />
      )}
      <select
        aria-label={t("tasks.order")}
        value={order}
        onChange={(event) => onOrder(event.target.value as Order)}
      >
        {ORDERS.map((name) => (
          <option key={name} value={name}>
            {t(`tasks.by.${name}`)}
          </option>
        ))}
      </select>
    </search>
  );
}

interface NamesProps {
  label: string;
  any: string;
  names: readonly string[];
  chosen: string;
  onChoose(name: string): void;
}

function Names({ label, any, names, chosen, onChoose }: NamesProps): ReactNode {
  return (
    <select aria-label={label} value={chosen} onChange={(event) => onChoose(event.target.value)}>
      <option value="">{any}</option>
      {names.map((name) => (
        <option key={name}>{name}</option>
      ))}
    </select>
  );
}

function distinct(names: readonly string[]): string[] {
  return [...new Set(names.filter(Boolean))].sort();
}
