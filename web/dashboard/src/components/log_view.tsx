/** What the job said, line by line; only what is in view is in the document. */

import { useVirtualizer } from "@tanstack/react-virtual";
import type { TFunction } from "i18next";
import { type ReactNode, useEffect, useMemo, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import {
  LEVELS,
  type Level,
  type LogFilter,
  type LogLine,
  logText,
  wantedLines,
} from "../data/log_lines.ts";
import { useObserved } from "../data/observable.ts";
import type { TaskRecord } from "../data/task_record.ts";
import { formatNumber, formatTime } from "../format.ts";
import { messageIn, reasonIn } from "../i18n/words.ts";
import { reasonOf } from "./connection.tsx";
import { Icon } from "./icons.tsx";
import { saveAs } from "./saving.ts";
import { Verbatim } from "./verbatim.tsx";

const LINE_PX = 22;
/** So close to the end counts as being there. */
const NEAR_PX = 24;

export function LogView({ record }: { record: TaskRecord }): ReactNode {
  const { t } = useTranslation();
  const [filter, setFilter] = useState<LogFilter>({ level: "debug", text: "" });
  const [follows, setFollows] = useState(true);
  const version = useObserved(record).version();
  // biome-ignore lint/correctness/useExhaustiveDependencies: the lines are added in place
  const lines = useMemo(() => wantedLines(record.lines, filter), [record.lines, version, filter]);
  const save = (): void =>
    saveAs(new Blob([logText(record.lines)], { type: "text/plain" }), `${record.taskId}.log`);
  const count = record.lines.length;
  return (
    <section className="card" aria-labelledby="log-heading">
      <div className="log-head">
        <h2 id="log-heading">{t("log.title")}</h2>
        <span className="hint" id="log-count">
          {lines.length === count
            ? t("log.count", { count })
            : t("log.countOf", { shown: formatNumber(lines.length), count })}
        </span>
        <Older record={record} />
        <span className="log-tools">
          <input
            type="search"
            aria-label={t("log.search")}
            placeholder={t("log.search")}
            value={filter.text}
            onChange={(event) => setFilter({ ...filter, text: event.target.value })}
          />
          <select
            aria-label={t("log.level")}
            value={filter.level}
            onChange={(event) => setFilter({ ...filter, level: event.target.value as Level })}
          >
            {LEVELS.map((level) => (
              <option key={level} value={level}>
                {t(`log.from.${level}`)}
              </option>
            ))}
          </select>
          <label className="check">
            <input
              type="checkbox"
              checked={follows}
              onChange={(event) => setFollows(event.target.checked)}
            />
            {t("log.follow")}
          </label>
          <button type="button" className="small" onClick={save} disabled={record.hasOlder}>
            <Icon name="download" />
            {t("log.save")}
          </button>
        </span>
      </div>
      <Lines
        lines={lines}
        version={version}
        follows={follows}
        onFollow={setFollows}
        empty={count === 0 ? t("log.empty") : t("log.none")}
      />
    </section>
  );
}

/** Says that more of the log is on its way, or why it does not come. */
function Older({ record }: { record: TaskRecord }): ReactNode {
  const { t } = useTranslation();
  if (!record.hasOlder) return null;
  if (record.pastFailure !== null)
    return (
      <span className="hint" role="alert">
        {t("log.olderFailed", { reason: reasonOf(record.pastFailure) })}
      </span>
    );
  return <span className="hint">{t("log.older")}</span>;
}

interface LinesProps {
  lines: readonly LogLine[];
  version: number;
  follows: boolean;
  onFollow(follows: boolean): void;
  /** Said when there are none. */
  empty: string;
}

function Lines({ lines, version, follows, onFollow, empty }: LinesProps): ReactNode {
  const { t } = useTranslation();
  const view = useRef<HTMLDivElement>(null);
  const lastTop = useRef(0);
  const rows = useVirtualizer({
    count: lines.length,
    getScrollElement: () => view.current,
    estimateSize: () => LINE_PX,
    getItemKey: (index) => lines[index]?.key ?? index,
    overscan: 12,
    // Older lines that are put in front leave what is read where it is.
    anchorTo: "end",
  });
  const total = rows.getTotalSize();

  // biome-ignore lint/correctness/useExhaustiveDependencies: lines are added in place
  useEffect(() => {
    const node = view.current;
    if (follows && node) node.scrollTop = node.scrollHeight;
  }, [follows, lines, version, total]);

  /** Scrolling up says: stay here. Scrolling to the end: go on. */
  const onScroll = (): void => {
    const node = view.current;
    if (!node) return;
    const isUp = node.scrollTop < lastTop.current - 1;
    lastTop.current = node.scrollTop;
    const atEnd = node.scrollHeight - node.scrollTop - node.clientHeight < NEAR_PX;
    if (atEnd && !follows) onFollow(true);
    if (isUp && !atEnd && follows) onFollow(false);
  };

  return (
    <div
      ref={view}
      id="log"
      className="log"
      role="log"
      aria-live="off"
      aria-labelledby="log-heading"
      tabIndex={0}
      onScroll={onScroll}
    >
      {lines.length === 0 && <p className="hint">{empty}</p>}
      <div className="log-lines" style={{ height: total }}>
        {rows.getVirtualItems().map(({ key, index, start }) => {
          const line = lines[index];
          return (
            line && (
              <div
                key={key}
                data-index={index}
                ref={rows.measureElement}
                className="log-line"
                data-tag={line.tag}
                data-level={line.level}
                data-status={line.status}
                style={{ transform: `translateY(${start}px)` }}
              >
                <time dateTime={line.timestamp}>{formatTime(line.timestamp)}</time>
                <span className="log-tag">{t(`log.tag.${line.tag}`)}</span>
                <span className="log-text">
                  {wordsOf(line, t)}
                  {line.details && (
                    <details>
                      <summary>{t("task.traceback")}</summary>
                      <Verbatim label={t("task.traceback")} text={line.details} />
                    </details>
                  )}
                </span>
              </div>
            )
          );
        })}
      </div>
    </div>
  );
}

function wordsOf({ tag, status, reason, text }: LogLine, t: TFunction): string {
  if (tag === "status" && status) {
    const why = reason && `(${reasonIn(reason, t)})`;
    const state = [t(`status.${status}`), why].filter(Boolean).join(" ");
    return text ? `${state} – ${messageIn(text, t)}` : state;
  }
  if (tag === "checkpoint" && !text) return t("log.saved");
  if (tag !== "page") return text;
  const [code, about] = text.split(" ", 2);
  return code === "resync"
    ? t("log.resync", { reason: about })
    : t("log.reconnected", { seq: about });
}
