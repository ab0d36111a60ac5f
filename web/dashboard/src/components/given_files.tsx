/** The files that a task was created with. */

import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { TaskUpload } from "taskpush-client";
import { formatBytes } from "../format.ts";
import { FileLink } from "./artifacts.tsx";

export function GivenFiles({ files }: { files: readonly TaskUpload[] }): ReactNode {
  const { t } = useTranslation();
  if (files.length === 0) return null;
  return (
    <section className="card" aria-labelledby="given-files-heading">
      <h2 id="given-files-heading">{t("files.title")}</h2>
      <ul className="artifacts" id="given-files">
        {files.map((file) => (
          <li key={file.upload_id}>
            <div className="artifact-head">
              <div>
                <FileLink artifact={file} />
                <p className="hint">
                  {file.media_type} · {formatBytes(file.size_bytes)}
                </p>
              </div>
            </div>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** Params with the names and sizes of files in the place of their ids. */
export function namingFiles(
  params: Readonly<Record<string, unknown>>,
  files: readonly TaskUpload[],
): Record<string, unknown> {
  const names = new Map(
    files.map((file) => [file.upload_id, `${file.name} (${formatBytes(file.size_bytes)})`]),
  );
  const named = (value: unknown): unknown =>
    typeof value === "string" ? (names.get(value) ?? value) : value;
  return Object.fromEntries(
    Object.entries(params).map(([name, value]) => {
      if (!Array.isArray(value) || !value.some((one) => names.has(one)))
        return [name, named(value)];
      return [name, value.map(named).join(", ")];
    }),
  );
}
