/** Light or dark: as the system has it, unless somebody said otherwise. */

export const THEMES = ["system", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

const KEY = "taskpush theme";

/** What was chosen on this device. */
export function chosenTheme(): Theme {
  const kept = localStorage.getItem(KEY);
  return THEMES.find((theme) => theme === kept) ?? "system";
}

export function chooseTheme(theme: Theme): void {
  localStorage.setItem(KEY, theme);
  applyTheme();
}

/** Show the page as chosen. */
export function applyTheme(): void {
  document.documentElement.dataset.theme = chosenTheme();
}
