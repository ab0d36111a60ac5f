/** A form for a new task, from what its kind says that it takes. */

import { type ReactNode, useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import type { Kind, Snapshot } from "taskpush-client";
import { Link, useSearch } from "wouter";
import { Blank } from "../components/blank.tsx";
import { reasonOf, useReturns } from "../components/connection.tsx";
import { TaskForm } from "../components/task_form.tsx";
import { useSession } from "../session.tsx";
import { useTitle } from "../title.ts";

interface Offer {
  /** The id of the task in the address; null without one. */
  from: string | null;
  kinds: readonly Kind[];
  /** The task that is done again with other params; null without one. */
  original: Snapshot | null;
}

export default function CreatePage(): ReactNode {
  const { t } = useTranslation();
  const { client } = useSession();
  const query = new URLSearchParams(useSearch());
  const from = query.get("from");
  const [offer, setOffer] = useState<Offer | null>(null);
  const [problem, setProblem] = useState<unknown>(null);
  /** Why the task in the address cannot be read; null when it can. */
  const [missing, setMissing] = useState<unknown>(null);
  useTitle(t("create.title"));

  const returns = useReturns();

  // biome-ignore lint/correctness/useExhaustiveDependencies: tried again after a lost connection
  useEffect(() => {
    let gone = false;
    setMissing(null);
    const original = from === null ? null : client.getTask(from);
    original?.catch((error: unknown) => gone || setMissing(error));
    Promise.all([client.kinds(), original]).then(
      ([kinds, task]) => {
        if (gone) return;
        // What is being filled in stays.
        const ours = kinds.filter((one) => !one.created_by_producer);
        setOffer((known) => (known?.from === from ? known : { from, kinds: ours, original: task }));
        setProblem(null);
      },
      (error: unknown) => gone || setProblem(error),
    );
    return () => {
      gone = true;
    };
  }, [client, from, returns]);

  // What is being filled in stays, whatever becomes of the task it came from.
  if (missing !== null && offer?.from !== from)
    return (
      <Blank tone="problem" title={t("create.noOriginal", { reason: reasonOf(missing) })}>
        <Link href="/new">{t("create.anew")}</Link>
      </Blank>
    );
  if (problem !== null && offer?.from !== from)
    return <Blank tone="problem" title={t("create.problem", { reason: reasonOf(problem) })} />;
  if (offer?.from !== from) return <Blank title={t("create.kinds")} />;
  if (offer.kinds.length === 0)
    return <Blank title={t("create.noKinds")} hint={t("create.noKindsHint")} />;
  return <ChosenKind key={from} offer={offer} wanted={query.get("kind")} />;
}

function ChosenKind({ offer, wanted }: { offer: Offer; wanted: string | null }): ReactNode {
  const { t } = useTranslation();
  const { kinds, original } = offer;
  const asked = wanted ?? original?.kind ?? null;
  const [name, setName] = useState(asked);
  const kind =
    kinds.find((one) => one.name === name) ?? kinds.find((one) => one.default) ?? kinds[0];
  if (!kind) return null;
  const isOther = name !== null && name === asked && kind.name !== name;
  return (
    <div className="page">
      <div className="page-head">
        <h1>{t("create.title")}</h1>
        {isOther && (
          <p className="problem" role="alert">
            {t("create.noSuchKind", { kind: name })}
          </p>
        )}
      </div>
      <TaskForm
        key={kind.name}
        kind={kind}
        original={original?.kind === kind.name ? original : null}
      >
        <div className="field">
          <label htmlFor="kind">{t("create.kind")}</label>
          <select
            id="kind"
            value={kind.name}
            aria-describedby="kind-description"
            onChange={(event) => setName(event.target.value)}
          >
            {kinds.map((one) => (
              <option key={one.name}>{one.name}</option>
            ))}
          </select>
          <p className="hint" id="kind-description">
            {[kind.description, kind.external && t("create.external")].filter(Boolean).join(" ")}
          </p>
        </div>
      </TaskForm>
    </div>
  );
}
