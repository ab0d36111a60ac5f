/** Asks for the token that the server wants. */

import { type FormEvent, type ReactNode, useState } from "react";
import { useTranslation } from "react-i18next";
import type { Denial } from "../session.tsx";

interface Props {
  denial: Denial;
  signIn(token: string): void;
}

export function Login({ denial, signIn }: Props): ReactNode {
  const { t } = useTranslation();
  const [token, setToken] = useState("");
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    if (token.trim()) signIn(token.trim());
  };
  return (
    <main className="login">
      <form className="card login-card" onSubmit={submit}>
        <h1>{t("login.title")}</h1>
        <p role="alert" className={denial === "unauthenticated" ? "hint" : "problem"}>
          {t(`login.${denial}`)}
        </p>
        <div className="field">
          <label htmlFor="token">{t("login.token")}</label>
          <input
            id="token"
            type="password"
            autoComplete="off"
            spellCheck={false}
            // biome-ignore lint/a11y/noAutofocus: the page has nothing else
            autoFocus
            aria-describedby="token-note"
            aria-invalid={denial === "wrong"}
            value={token}
            onChange={(event) => setToken(event.target.value)}
          />
          <p id="token-note" className="hint">
            {t("login.note")}
          </p>
        </div>
        <button type="submit" className="primary">
          {t("login.submit")}
        </button>
      </form>
    </main>
  );
}
