/** The files that a task has made: to be looked at, and to be taken away. */

import { type ReactNode, useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import type { Artifact } from "taskpush-client";
import type { TaskRecord } from "../data/task_record.ts";
import { formatBytes } from "../format.ts";
import { addressOf, fetchFrom, keptToken } from "../server.ts";
import { reasonOf } from "./connection.tsx";
import { Picture } from "./picture.tsx";
import { saveAs } from "./saving.ts";
import { Verbatim } from "./verbatim.tsx";

/** More of a text is not shown. */
const TEXT_BYTES = 64 * 1024;
/** A larger picture is shown when somebody asks for it. */
const PICTURE_BYTES = 4 * 1024 * 1024;
/** What a browser draws without running anything. */
const PICTURES = new Set(["image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"]);

export function Artifacts({ record }: { record: TaskRecord }): ReactNode {
  const { t } = useTranslation();
  const artifacts = [...record.artifacts.values()];
  if (artifacts.length === 0) return null;
  return (
    <section className="card" aria-labelledby="artifacts-heading">
      <h2 id="artifacts-heading">{t("artifacts.title")}</h2>
      <ul className="artifacts" id="artifact-list">
        {artifacts.map((artifact) => (
          <ArtifactItem key={artifact.name} artifact={artifact} />
        ))}
      </ul>
    </section>
  );
}

function ArtifactItem({ artifact }: { artifact: Artifact }): ReactNode {
  const { t } = useTranslation();
  const isPicture = PICTURES.has(artifact.media_type);
  const [open, setOpen] = useState(isPicture && artifact.size_bytes <= PICTURE_BYTES);
  const canShow = isPicture || isText(artifact.media_type);
  return (
    <li>
      <div className="artifact-head">
        <div>
          <FileLink artifact={artifact} />
          <p className="hint">
            {artifact.media_type} · {formatBytes(artifact.size_bytes)}
            {artifact.partial && ` · ${t("artifacts.partial")}`}
          </p>
        </div>
        {canShow && (
          <button type="button" aria-expanded={open} onClick={() => setOpen(!open)}>
            {open ? t("artifacts.hide") : t("artifacts.show")}
          </button>
        )}
      </div>
      {open && canShow && <Contents artifact={artifact} isPicture={isPicture} />}
    </li>
  );
}

/** What is said of a file that can be taken. */
type Taken = Pick<Artifact, "name" | "url" | "title">;

/** Takes the file away; where a token has to be shown for it, by way of a copy. */
export function FileLink({ artifact }: { artifact: Taken }): ReactNode {
  const { t } = useTranslation();
  const [problem, setProblem] = useState<unknown>(null);
  const take = async (): Promise<void> => {
    setProblem(null);
    try {
      const response = await fetchFrom(artifact.url);
      saveAs(await response.blob(), artifact.name);
    } catch (error) {
      setProblem(error);
    }
  };
  return (
    <>
      <a
        href={addressOf(artifact.url)}
        download={artifact.name}
        title={t("artifacts.download")}
        onClick={(event) => {
          if (keptToken() === null) return;
          event.preventDefault();
          void take();
        }}
      >
        {artifact.title ?? artifact.name}
      </a>
      {problem !== null && (
        <p className="problem" role="alert">
          {t("artifacts.failed", { reason: reasonOf(problem) })}
        </p>
      )}
    </>
  );
}

type Loaded = { address: string } | { text: string; isCut: boolean } | { problem: unknown };

function Contents({ artifact, isPicture }: { artifact: Artifact; isPicture: boolean }): ReactNode {
  const { t } = useTranslation();
  const [loaded, setLoaded] = useState<Loaded | null>(null);
  const { url, media_type: type, size_bytes: sizeBytes } = artifact;
  useEffect(() => {
    const stop = new AbortController();
    let address = "";
    const load = async (): Promise<void> => {
      const isCut = !isPicture && sizeBytes > TEXT_BYTES;
      const response = await fetchFrom(url, stop.signal, isCut ? TEXT_BYTES : undefined);
      if (!isPicture) {
        setLoaded({ text: readable(await response.text(), type), isCut });
        return;
      }
      address = URL.createObjectURL(await response.blob());
      setLoaded({ address });
    };
    load().catch((problem: unknown) => {
      if (!stop.signal.aborted) setLoaded({ problem });
    });
    return () => {
      stop.abort();
      if (address) URL.revokeObjectURL(address);
    };
  }, [url, type, sizeBytes, isPicture]);

  const label = t("artifacts.contents", { name: artifact.name });
  if (loaded === null) return <div className="picture loading" />;
  if ("problem" in loaded)
    return (
      <p className="problem" role="alert">
        {t("artifacts.failed", { reason: reasonOf(loaded.problem) })}
      </p>
    );
  if ("address" in loaded) return <Picture src={loaded.address} alt={label} />;
  return (
    <>
      <Verbatim label={label} text={loaded.text} />
      {loaded.isCut && (
        <p className="hint">{t("artifacts.cut", { size: formatBytes(TEXT_BYTES) })}</p>
      )}
    </>
  );
}

function isText(type: string): boolean {
  return type.startsWith("text/") || /\b(json|xml|yaml|csv|javascript)\b/.test(type);
}

/** JSON in lines; what is none, or not all of it, as it is. */
function readable(text: string, type: string): string {
  if (!type.includes("json")) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
