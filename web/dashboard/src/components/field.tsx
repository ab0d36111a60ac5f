/** One labelled control of the form. */

import type { TFunction } from "i18next";
import { type ChangeEvent, type ReactNode, useState } from "react";
import { useTranslation } from "react-i18next";
import type { TaskUpload } from "taskpush-client";
import type { Entry, FieldSpec } from "../data/params_form.ts";
import { formatBytes, formatValue } from "../format.ts";
import { FileField } from "./file_field.tsx";

interface Props {
  field: FieldSpec;
  entry: Entry;
  /** Empty when the field is right. */
  error: string;
  /** Files that another task was created with. */
  known: readonly TaskUpload[];
  onEnter(entry: Entry): void;
}

export function Field(props: Props): ReactNode {
  const { field, error } = props;
  const { t } = useTranslation();
  const id = `field-${field.name ?? "params"}`;
  const label = (
    <label htmlFor={id}>
      {field.label || t("create.params")}
      {field.isRequired && <small> {t("create.required")}</small>}
    </label>
  );
  const control = <Control {...props} id={id} />;
  return (
    <div className="field">
      {field.type === "boolean" ? (
        <div className="check">
          {control}
          {label}
        </div>
      ) : (
        <>
          {label}
          {control}
        </>
      )}
      <p className="hint" id={`${id}-help`}>
        {helpOf(field, t)}
      </p>
      {error && (
        <p className="problem" id={`${id}-error`}>
          {error}
        </p>
      )}
    </div>
  );
}

function Control({ field, id, entry, error, known, onEnter }: Props & { id: string }): ReactNode {
  const { t } = useTranslation();
  // A single line would drop what separates those that are in the text.
  const [isLong] = useState(field.isLong || (typeof entry === "string" && entry.includes("\n")));
  const shared = {
    id,
    name: field.loc,
    "aria-describedby": `${id}-help ${id}-error`,
    "aria-invalid": error !== "",
    "aria-required": field.isRequired,
    autoComplete: "off",
    spellCheck: false,
  };
  const enterText = (event: ChangeEvent<{ value: string }>): void => onEnter(event.target.value);
  switch (field.type) {
    case "boolean":
      return (
        <input
          {...shared}
          type="checkbox"
          checked={entry === true}
          onChange={(event) => onEnter(event.target.checked)}
        />
      );
    case "choice":
      return (
        <select {...shared} value={String(entry)} onChange={enterText}>
          {(field.isNullable || entry === "") && <option value="">–</option>}
          {field.choices.map((choice, index) => (
            <option key={formatValue(choice)} value={String(index)}>
              {typeof choice === "boolean"
                ? t(choice ? "task.yes_" : "task.no_")
                : formatValue(choice)}
            </option>
          ))}
        </select>
      );
    case "file":
      return (
        <FileField
          field={field}
          id={id}
          entry={String(entry)}
          error={error}
          known={known}
          onEnter={onEnter}
        />
      );
    case "json":
      return <textarea {...shared} rows={4} value={String(entry)} onChange={enterText} />;
    case "text":
      if (isLong)
        return <textarea {...shared} rows={4} value={String(entry)} onChange={enterText} />;
      return <input {...shared} type="text" value={String(entry)} onChange={enterText} />;
    default:
      return (
        <input
          {...shared}
          type="text"
          inputMode={field.type === "integer" ? "numeric" : "decimal"}
          value={String(entry)}
          onChange={enterText}
        />
      );
  }
}

function helpOf(field: FieldSpec, t: TFunction): string {
  const { description, files } = field;
  const sentence = /[^.!?:。]$/.test(description) ? `${description}.` : description;
  const taken = files.accept.length > 0 && t("files.types", { types: files.accept.join(", ") });
  const size = files.maxBytes !== null && t("files.atMost", { size: formatBytes(files.maxBytes) });
  return [sentence, ...rangeOf(field, t), taken, size].filter(Boolean).join(" ");
}

function rangeOf({ type, minimum, maximum, above, below }: FieldSpec, t: TFunction): string[] {
  if (type === "json") return [t("create.json")];
  if (minimum !== null && maximum !== null) return [t("create.range", { minimum, maximum })];
  return [
    minimum !== null ? t("create.atLeast", { minimum }) : "",
    above !== null ? t("create.above", { above }) : "",
    maximum !== null ? t("create.atMost", { maximum }) : "",
    below !== null ? t("create.below", { below }) : "",
  ];
}
