/** What stands around each page: where to go, how the connection is, how it is shown. */

import { type ReactNode, useState } from "react";
import { useTranslation } from "react-i18next";
import { Link, useLocation } from "wouter";
import { useArrival } from "../arrival.ts";
import { useNotices } from "../data/notices.ts";
import { chooseLanguage, LANGUAGES, type Language } from "../i18n/index.ts";
import { SERVER_URL } from "../server.ts";
import { useSession } from "../session.tsx";
import { chooseTheme, chosenTheme, THEMES, type Theme } from "../theme.ts";
import { ConnectionIndicator, ConnectionNotice, ConnectionToast } from "./connection.tsx";
import { Icon } from "./icons.tsx";

const CONTENT = "content";

const PLACES = [
  { path: "/", name: "tasks" },
  { path: "/queue", name: "queue" },
  { path: "/history", name: "history" },
  { path: "/connections", name: "connections" },
] as const;

export function Shell({ children }: { children: ReactNode }): ReactNode {
  const { t } = useTranslation();
  useNotices(useSession().list);
  useArrival(CONTENT);
  return (
    <div className="shell">
      <a className="skip" href={`#${CONTENT}`}>
        {t("nav.skip")}
      </a>
      <header className="bar">
        <Link href="/" className="brand">
          taskpush
        </Link>
        <Navigation />
        <ConnectionIndicator />
        <Link href="/new" className="button primary create">
          <Icon name="plus" />
          <span>{t("nav.create")}</span>
        </Link>
      </header>
      <ConnectionNotice />
      <main id={CONTENT} tabIndex={-1}>
        {children}
      </main>
      <Footer />
      <ConnectionToast />
    </div>
  );
}

function Navigation(): ReactNode {
  const { t } = useTranslation();
  const [location] = useLocation();
  const { me } = useSession();
  const isHere = (path: string): boolean =>
    location === path || (path === "/" && location.startsWith("/tasks"));
  return (
    <nav aria-label={t("nav.label")}>
      <ul>
        {PLACES.filter(({ name }) => name !== "connections" || me?.sees_connections).map(
          ({ path, name }) => (
            <li key={path}>
              <Link href={path} aria-current={isHere(path) ? "page" : undefined}>
                <Icon name={name} />
                {t(`nav.${name}`)}
              </Link>
            </li>
          ),
        )}
      </ul>
    </nav>
  );
}

function Footer(): ReactNode {
  const { t } = useTranslation();
  const { hasToken, signOut } = useSession();
  return (
    <footer className="foot">
      <LanguageChoice />
      <ThemeChoice />
      <a href={`${SERVER_URL}docs`}>{t("nav.api")}</a>
      {hasToken && (
        <button type="button" className="plain" onClick={signOut}>
          {t("login.out")}
        </button>
      )}
    </footer>
  );
}

function LanguageChoice(): ReactNode {
  const { t, i18n } = useTranslation();
  return (
    <label>
      <span className="visually-hidden">{t("settings.language")}</span>
      <select
        value={i18n.language}
        onChange={(event) => chooseLanguage(event.target.value as Language)}
      >
        {Object.entries(LANGUAGES).map(([language, name]) => (
          <option key={language} value={language} lang={language}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

function ThemeChoice(): ReactNode {
  const { t } = useTranslation();
  const [theme, setTheme] = useState(chosenTheme);
  const choose = (chosen: Theme): void => {
    chooseTheme(chosen);
    setTheme(chosen);
  };
  return (
    <fieldset className="segments">
      <legend className="visually-hidden">{t("settings.theme")}</legend>
      {THEMES.map((name) => (
        <label key={name} title={t(`settings.${name}`)}>
          <input
            type="radio"
            name="theme"
            aria-label={t(`settings.${name}`)}
            checked={theme === name}
            onChange={() => choose(name)}
          />
          <Icon name={name} />
        </label>
      ))}
    </fieldset>
  );
}
