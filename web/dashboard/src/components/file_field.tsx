/** A param that is a file, or several: chosen or dropped, and sent at once. */

import { type DragEvent, type ReactNode, useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import type { TaskUpload } from "taskpush-client";
import { entryOf, idsIn, misfit } from "../data/files_form.ts";
import type { FieldSpec } from "../data/params_form.ts";
import { formatBytes } from "../format.ts";
import { useSession } from "../session.tsx";
import { reasonOf } from "./connection.tsx";

interface Props {
  field: FieldSpec;
  id: string;
  entry: string;
  /** Empty when the field is right. */
  error: string;
  /** Files that another task was created with, whose ids may stand in the entry at first. */
  known: readonly TaskUpload[];
  onEnter(entry: string): void;
}

interface Item {
  key: string;
  name: string;
  sizeBytes: number | null;
  /** Null while it is not (wholly) sent. */
  uploadId: string | null;
  sentBytes: number;
  /** Empty unless it is not taken, or could not be sent. */
  problem: string;
  /** Ends the sending; null for a file that another task has. */
  stop: AbortController | null;
}

export function FileField({ field, id, entry, error, known, onEnter }: Props): ReactNode {
  const { t } = useTranslation();
  const { client } = useSession();
  const input = useRef<HTMLInputElement>(null);
  const [items, setItems] = useState<readonly Item[]>(() => itemsOf(entry, known));
  const [isOver, setOver] = useState(false);
  const [said, setSaid] = useState("");
  /** As they are now, for what ends later. */
  const present = useRef(items);
  const { isMany, accept } = field.files;

  const change = (next: readonly Item[]): void => {
    const entered = entryOf(next);
    const isNews = entered !== entryOf(present.current);
    present.current = next;
    setItems(next);
    // How far a file is says nothing new of the field, nor takes back what was said of it.
    if (isNews) onEnter(entered);
  };
  const update = (key: string, news: Partial<Item>): void => {
    if (present.current.some((item) => item.key === key))
      change(present.current.map((item) => (item.key === key ? { ...item, ...news } : item)));
  };

  // What is on its way when the form is left need not come.
  useEffect(() => () => present.current.forEach((item) => void item.stop?.abort()), []);

  const forget = (item: Item): void => {
    item.stop?.abort();
    // Of its own accord it would go a day later.
    if (item.stop && item.uploadId) client.discardUpload(item.uploadId).catch(() => undefined);
  };

  const send = async (file: File, key: string, { signal }: AbortController): Promise<void> => {
    try {
      const upload = await client.upload(file, {
        signal,
        onProgress: ({ sentBytes }) => update(key, { sentBytes }),
      });
      update(key, { uploadId: upload.upload_id, sentBytes: file.size });
      setSaid(t("files.sent", { name: file.name }));
    } catch (problem) {
      if (!signal.aborted)
        update(key, { problem: t("files.failed", { reason: reasonOf(problem) }) });
    }
  };

  const add = (files: readonly File[]): void => {
    const chosen = isMany ? files : files.slice(0, 1);
    if (chosen.length === 0) return;
    const added = chosen.map((file) => {
      const wrong = misfit(file, field.files);
      const about = { ...wrong, types: accept.join(", "), size: formatBytes(wrong?.bytes ?? 0) };
      const stop = new AbortController();
      const problem = wrong ? t(`files.${wrong.code}`, about) : "";
      return { file, stop, item: itemFor(file, problem, stop) };
    });
    const kept = isMany ? present.current : [];
    if (!isMany) present.current.forEach(forget);
    change([...kept, ...added.map(({ item }) => item)]);
    for (const { file, item, stop } of added) if (!item.problem) void send(file, item.key, stop);
  };

  const remove = (item: Item): void => {
    forget(item);
    change(present.current.filter(({ key }) => key !== item.key));
    setSaid(t("files.removed", { name: item.name }));
    input.current?.focus();
  };

  const drop = (event: DragEvent): void => {
    event.preventDefault();
    setOver(false);
    add([...event.dataTransfer.files]);
  };

  return (
    <div className="file-field" data-over={isOver} data-invalid={error !== ""}>
      {items.length > 0 && (
        <ul className="files" aria-label={t("files.chosen", { field: field.label })}>
          {items.map((item) => (
            <FileItem key={item.key} item={item} onRemove={() => remove(item)} />
          ))}
        </ul>
      )}
      {/* biome-ignore lint/a11y/noStaticElementInteractions: the control in it does the same */}
      <div
        className="drop"
        onDragOver={(event) => {
          event.preventDefault();
          setOver(true);
        }}
        onDragLeave={() => setOver(false)}
        onDrop={drop}
      >
        <input
          ref={input}
          id={id}
          name={field.loc}
          type="file"
          className="visually-hidden"
          multiple={isMany}
          accept={accept.join(",")}
          required={field.isRequired && items.length === 0}
          aria-describedby={`${id}-help ${id}-error`}
          aria-invalid={error !== ""}
          onChange={(event) => {
            add([...(event.target.files ?? [])]);
            // So that the same file can be chosen again.
            event.target.value = "";
          }}
        />
        <label htmlFor={id} className="button">
          {t(isMany ? "files.chooseMany" : items.length > 0 ? "files.another" : "files.choose")}
        </label>
        <span aria-hidden="true">{t(isMany ? "files.dropMany" : "files.drop")}</span>
      </div>
      <p className="visually-hidden" role="status">
        {said}
      </p>
    </div>
  );
}

function FileItem({ item, onRemove }: { item: Item; onRemove(): void }): ReactNode {
  const { t } = useTranslation();
  const { name, sizeBytes, sentBytes, uploadId, problem } = item;
  const isSending = uploadId === null && !problem;
  const percent = sizeBytes ? (100 * sentBytes) / sizeBytes : 0;
  return (
    <li>
      <div className="file-head">
        <div>
          <bdi>{name}</bdi>
          {sizeBytes !== null && <p className="hint">{formatBytes(sizeBytes)}</p>}
        </div>
        <button type="button" className="small" onClick={onRemove}>
          {t(isSending ? "files.cancel" : "files.remove")}
          <span className="visually-hidden"> {name}</span>
        </button>
      </div>
      {isSending && (
        <progress
          max={100}
          value={percent}
          data-status="running"
          aria-label={t("files.sending", { name })}
        />
      )}
      {problem && (
        <p className="problem" role="alert">
          {problem}
        </p>
      )}
    </li>
  );
}

let made = 0;

function itemFor(file: File, problem: string, stop: AbortController): Item {
  made += 1;
  return {
    key: `file-${made}`,
    name: file.name,
    sizeBytes: file.size,
    uploadId: null,
    sentBytes: 0,
    problem,
    stop,
  };
}

function itemsOf(entry: string, known: readonly TaskUpload[]): Item[] {
  return idsIn(entry).map((uploadId) => {
    const upload = known.find(({ upload_id }) => upload_id === uploadId);
    return {
      key: uploadId,
      name: upload?.name ?? uploadId,
      sizeBytes: upload?.size_bytes ?? null,
      uploadId,
      sentBytes: 0,
      problem: "",
      stop: null,
    };
  });
}
