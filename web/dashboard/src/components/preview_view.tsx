/** The newest picture or text that a running task shows of its work. */

import { type ReactNode, useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import type { Preview } from "taskpush-client";
import type { TaskRecord } from "../data/task_record.ts";
import { Picture } from "./picture.tsx";
import { Verbatim } from "./verbatim.tsx";

/** A picture that a newer one has replaced may be on its way into the page for so long. */
const LOADED_WITHIN_MS = 10_000;

export function PreviewView({ record }: { record: TaskRecord }): ReactNode {
  const { t } = useTranslation();
  const { preview } = record;
  const address = usePicture(preview);
  if (preview === null || record.over) return null;
  return (
    <section className="card" id="preview" aria-labelledby="preview-heading">
      <h2 id="preview-heading">{t("task.preview")}</h2>
      {address ? (
        <Picture src={address} alt={t("task.previewAlt")} />
      ) : (
        <Verbatim label={t("task.previewAlt")} text={String(preview.content)} />
      )}
    </section>
  );
}

/** The address of a picture's bytes, as long as it is the newest; null for a text. */
function usePicture(preview: Preview | null): string | null {
  const [address, setAddress] = useState<string | null>(null);
  useEffect(() => {
    const bytes = preview?.content;
    if (!(bytes instanceof ArrayBuffer || bytes instanceof Uint8Array)) {
      setAddress(null);
      return;
    }
    const made = URL.createObjectURL(
      new Blob([bytes as BlobPart], { type: preview?.media_type ?? "" }),
    );
    setAddress(made);
    return () => {
      setTimeout(() => URL.revokeObjectURL(made), LOADED_WITHIN_MS);
    };
  }, [preview]);
  return address;
}
