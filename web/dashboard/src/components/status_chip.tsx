import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { Status } from "taskpush-client";

interface Props {
  status: Status;
  id?: string;
}

export function StatusChip({ status, id }: Props): ReactNode {
  const { t } = useTranslation();
  return (
    <span className="chip" data-status={status} id={id}>
      {t(`status.${status}`)}
    </span>
  );
}
