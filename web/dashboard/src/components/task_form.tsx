/** The fields of a new task, and what the server says of them. */

import { type FormEvent, type ReactNode, useMemo, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { type Kind, RequestRefused, type Snapshot } from "taskpush-client";
import { useLocation } from "wouter";
import { notices } from "../data/notices.ts";
import { type Entry, entryFor, fieldsOf, paramsFrom } from "../data/params_form.ts";
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

  /** The first wrong field is where one goes on. */
  const show = (found: Record<string, string>): void => {
    setErrors(found);
    const first = fields.find((one) => found[one.loc]);
    if (first)
      form.current?.querySelector<HTMLElement>(`[name="${CSS.escape(first.loc)}"]`)?.focus();
  };

  const refuse = (error: unknown): void => {
    const said = error instanceof RequestRefused ? error.errors : [];
    const own = new Set(fields.map((one) => one.loc));
    // What is wrong deeper inside a field is said beside that field.
    const placed = said.map(({ loc, message }) => [placeOf(loc, own), message] as const);
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
        <ExtraFields extras={extras} onEnter={setExtras} />
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

function ExtraFields(props: { extras: Extras; onEnter(extras: Extras): void }): ReactNode {
  const { t } = useTranslation();
  const { extras, onEnter } = props;
  const [isOpen] = useState(!!(extras.title || extras.tags));
  const enter = (name: keyof Extras) => (event: { target: HTMLInputElement }) =>
    onEnter({ ...extras, [name]: event.target.value });
  return (
    <details open={isOpen}>
      <summary>{t("create.more")}</summary>
      <div className="more">
        <div className="field">
          <label htmlFor="extra-title">{t("create.name")}</label>
          <input
            id="extra-title"
            aria-describedby="extra-title-help"
            value={extras.title}
            onChange={enter("title")}
          />
          <p className="hint" id="extra-title-help">
            {t("create.nameHint")}
          </p>
        </div>
        <div className="field">
          <label htmlFor="extra-tags">{t("create.tags")}</label>
          <input
            id="extra-tags"
            aria-describedby="extra-tags-help"
            value={extras.tags}
            onChange={enter("tags")}
          />
          <p className="hint" id="extra-tags-help">
            {t("create.tagsHint")}
          </p>
        </div>
        <div className="field">
          <label htmlFor="extra-priority">{t("create.priority")}</label>
          <input
            id="extra-priority"
            type="number"
            aria-describedby="extra-priority-help"
            value={extras.priority}
            onChange={enter("priority")}
          />
          <p className="hint" id="extra-priority-help">
            {t("create.priorityHint")}
          </p>
        </div>
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
