/** The page's language: the browser's, unless somebody chose another. */

import i18next from "i18next";
import { initReactI18next } from "react-i18next";
import { formatIn } from "../format.ts";
import { en } from "./en.ts";
import { zh } from "./zh.ts";

export const LANGUAGES = { en: "English", zh: "中文" } as const;
export type Language = keyof typeof LANGUAGES;

declare module "i18next" {
  interface CustomTypeOptions {
    resources: { translation: typeof en };
  }
}

const KEY = "taskpush language";

/** The first of the wanted languages that there is a catalogue for. */
export function languageFor(wanted: readonly string[]): Language {
  const known = wanted.map((tag) => tag.split("-")[0]);
  return known.find((name): name is Language => name === "en" || name === "zh") ?? "en";
}

export function chooseLanguage(language: Language): void {
  localStorage.setItem(KEY, language);
  void i18next.changeLanguage(language);
}

const kept = localStorage.getItem(KEY);
i18next.on("languageChanged", (language) => {
  document.documentElement.lang = language === "zh" ? "zh-Hans" : language;
  formatIn(language);
});
void i18next.use(initReactI18next).init({
  resources: { en: { translation: en }, zh: { translation: zh } },
  lng: languageFor(kept ? [kept] : navigator.languages),
  fallbackLng: "en",
  // React escapes.
  interpolation: { escapeValue: false },
});
