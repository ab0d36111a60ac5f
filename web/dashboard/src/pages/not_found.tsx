import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "wouter";
import { Blank } from "../components/blank.tsx";

export function NotFoundPage(): ReactNode {
  const { t } = useTranslation();
  return (
    <Blank title={t("notFound.title")}>
      <Link href="/">{t("notFound.back")}</Link>
    </Blank>
  );
}
