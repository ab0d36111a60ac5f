/** The fields of a new task, and what the server says of them. */

import { type FormEvent, type ReactNode, useMemo, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { type Kind, RequestRefused, type Snapshot } from "taskpush-client";
import { useLocation } from "wouter";
import { notices } from "../data/notices.ts";
import { type Entry, entryFor, fieldsOf, paramsFrom } from "../data/params_form.ts";
import { problemIn } from "../i18n/problems.ts";
import { useSession } from "../session.tsx";
import { reasonOf } from "./connection.tsx";
import { Estimate } from "./estimate.tsx";
import { Field } from "./field.tsx";

interface Props {
  kind: Kind;
  /** The task whose params stand in the fields at first; null for the kind's own defaults. */
  original: Snapshot | null;
  /** What stands above the params. */
  children: ReactNode;
}

export function TaskForm({ kind, original, children }: Props): ReactNode {
  const { t } = useTranslation();
  const { client } = useSession();
  const [, go] = useLocation();
  const form = useRef<HTMLFormElement>(null);
  const fields = useMemo(() => fieldsOf(kind.params_schema), [kind]);
  const [entries, setEntries] = useState<Record<string, Entry>>(() =>
    Object.fromEntries(fields.map((one) => [one.loc, entryFor(one, original?.params ?? null)])),
  );
  const [extras, setExtras] = useState<Extras>({
    title: original?.title ?? "",
    tags: original?.tags.join(", ") ?? "",
    priority: String(original?.priority ?? 0),
  });
  const [errors, setErrors] = useState<Record<string, string>>({});
  /** What no field is to blame for alone; null when there is nothing. */
  const [refusal, setRefusal] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const { params, problems } = paramsFrom(fields, entries);
  const isWhole =
    Object.keys(problems).length === 0 &&
    fields.every(({ name, isRequired }) => !isRequired || name === null || name in params);

  /** A file that has come must not undo what was typed while it came. */
  const enter = (loc: string, entry: Entry): void => {
    setEntries((now) => ({ ...now, [loc]: entry }));
    setErrors((now) => ({ ...now, [loc]: "" }));
  };

  const enterExtra = (name: keyof Extras, text: string): void => {
    setExtras((now) => ({ ...now, [name]: text }));
    setErrors((now) => ({ ...now, [name]: "" }));
  };

  /** The first wrong field is where one goes on. */
  const show = (found: Record<string, string>): void => {
    setErrors(found);
    const first = [...fields.map((one) => one.loc), ...EXTRAS].find((loc) => found[loc]);
    // Where it stands may have to be opened first.
    if (first)
      requestAnimationFrame(() =>
        form.current?.querySelector<HTMLElement>(`[name="${CSS.escape(first)}"]`)?.focus(),
      );
  };

  const refuse = (error: unknown): void => {
    const said = error instanceof RequestRefused ? error.errors : [];
    const own = new Set([...fields.map((one) => one.loc), ...EXTRAS]);
    // What is wrong deeper inside a field is said beside that field.
    const placed = said.map((one) => [placeOf(one.loc, own), problemIn(one, t)] as const);
    show(Object.fromEntries(placed.filter(([loc]) => own.has(loc))));
    const others = placed.filter(([loc]) => !own.has(loc)).map(([, message]) => message);
    if (others.length > 0) setRefusal(others.join("; "));
    else setRefusal(placed.length > 0 ? null : reasonOf(error));
  };

  const submit = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    setRefusal(null);
    const unreadable = Object.entries(problems).map(([loc, { code, ...about }]) => [
      loc,
      t(`create.${code}`, about),
    ]);
    if (unreadable.length > 0) return show(Object.fromEntries(unreadable));
    setBusy(true);
    try {
      const task = await client.createTask(kind.name, params, optionsFrom(extras));
      notices.expect(task.task_id);
      go(`/tasks/${task.task_id}`);
    } catch (error) {
      refuse(error);
      setBusy(false);
    }
  };

  return (
    <form ref={form} className="create-page" id="task-form" noValidate onSubmit={submit}>
      <div className="card">
        {children}
        {fields.map((field) => (
          <Field
            key={field.loc}
            field={field}
            entry={entries[field.loc] ?? ""}
            error={errors[field.loc] ?? ""}
            known={original?.uploads ?? []}
            onEnter={(entry) => enter(field.loc, entry)}
          />
        ))}
        <ExtraFields extras={extras} errors={errors} onEnter={enterExtra} />
        {refusal !== null && (
          <p className="problem" role="alert" id="form-problem">
            {t("create.refused", { reason: refusal })}
          </p>
        )}
        <div className="form-foot">
          <button type="submit" className="primary" disabled={busy}>
            {t("create.submit")}
          </button>
        </div>
      </div>
      <Estimate kind={kind.name} params={isWhole ? params : null} />
    </form>
  );
}

interface Extras {
  title: string;
  tags: string;
  priority: string;
}

/** As the server names them in its errors, too. */
const EXTRAS = ["title", "tags", "priority"] as const;
const WORDS = {
  title: { label: "create.name", hint: "create.nameHint" },
  tags: { label: "create.tags", hint: "create.tagsHint" },
  priority: { label: "create.priority", hint: "create.priorityHint" },
} as const;

interface ExtraProps {
  extras: Extras;
  errors: Readonly<Record<string, string>>;
  onEnter(name: keyof Extras, text: string): void;
}

function ExtraFields({ extras, errors, onEnter }: ExtraProps): ReactNode {
  const { t } = useTranslation();
  const [isOpen] = useState(!!(extras.title || extras.tags));
  return (
    <details open={isOpen || EXTRAS.some((name) => errors[name])}>
      <summary>{t("create.more")}</summary>
      <div className="more">
        {EXTRAS.map((name) => (
          <div className="field" key={name}>
            <label htmlFor={`extra-${name}`}>{t(WORDS[name].label)}</label>
            <input
              id={`extra-${name}`}
              name={name}
              type={name === "priority" ? "number" : "text"}
              aria-describedby={`extra-${name}-help extra-${name}-error`}
              aria-invalid={!!errors[name]}
              value={extras[name]}
              onChange={(event) => onEnter(name, event.target.value)}
            />
            <p className="hint" id={`extra-${name}-help`}>
              {t(WORDS[name].hint)}
            </p>
            {errors[name] && (
              <p className="problem" id={`extra-${name}-error`}>
                {errors[name]}
              </p>
            )}
          </div>
        ))}
      </div>
    </details>
  );
}

function optionsFrom({ title, tags, priority }: Extras) {
  return {
    ...(title.trim() && { title: title.trim() }),
    tags: tags
      .split(/[,，]/)
      .map((tag) => tag.trim())
      .filter(Boolean),
    priority: Number(priority) || 0,
  };
}

function placeOf(loc: string, own: ReadonlySet<string>): string {
  const parts = loc.split(".");
  while (parts.length > 1 && !own.has(parts.join("."))) parts.pop();
  return parts.join(".");
}
