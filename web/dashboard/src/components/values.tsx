/** Named values as people read them, and as JSON for whoever wants that. */

import { type ReactNode, useId, useState } from "react";
import { useTranslation } from "react-i18next";
import { formatValue } from "../format.ts";
import { Verbatim } from "./verbatim.tsx";

/** A longer text is no line of a list. */
export const BRIEF_CHARS = 300;

interface Props {
  title: string;
  values: Readonly<Record<string, unknown>>;
  /** The same for people, where that is another; as JSON they stay what they are. */
  shown?: Readonly<Record<string, unknown>>;
  /** Said when there are none. */
  empty?: string;
  /** As large figures, for what changes. */
  tiles?: boolean;
  id?: string;
}

export function Values(props: Props): ReactNode {
  const { title, values, shown = values, empty, tiles = false, id } = props;
  const heading = useId();
  const isEmpty = Object.keys(values).length === 0;
  return (
    <section className="card" aria-labelledby={heading} id={id}>
      <h2 id={heading}>{title}</h2>
      {isEmpty ? <p className="hint">{empty}</p> : <Pairs values={shown} tiles={tiles} />}
      {!isEmpty && !tiles && <AsJson title={title} value={values} />}
    </section>
  );
}

export function Pairs({ values, tiles = false }: Pick<Props, "values" | "tiles">): ReactNode {
  const { t } = useTranslation();
  return (
    <dl className={tiles ? "tiles" : "pairs"}>
      {Object.entries(values).map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{typeof value === "boolean" ? t(value ? "task.yes_" : "task.no_") : brief(value)}</dd>
        </div>
      ))}
    </dl>
  );
}

/** What is too long for a line is cut; the JSON has it. */
function brief(value: unknown): string {
  const text = formatValue(value);
  return text.length > BRIEF_CHARS ? `${text.slice(0, BRIEF_CHARS)} …` : text;
}

interface JsonProps {
  /** What it is. */
  title: string;
  value: unknown;
}

export function AsJson({ title, value }: JsonProps): ReactNode {
  const { t } = useTranslation();
  const [open, setOpen] = useState(false);
  return (
    <details onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{t("task.asJson")}</summary>
      {open && (
        <Verbatim label={`${title} – ${t("task.asJson")}`} text={JSON.stringify(value, null, 2)} />
      )}
    </details>
  );
}
