import { Component, type ReactNode } from "react";
import { useTranslation } from "react-i18next";

/** Shows that a page has stopped, and leaves the rest of the dashboard usable. */
export class ErrorBoundary extends Component<{ children: ReactNode }, { stopped: boolean }> {
  override state = { stopped: false };

  static getDerivedStateFromError(): { stopped: boolean } {
    return { stopped: true };
  }

  override render(): ReactNode {
    return this.state.stopped ? <Stopped /> : this.props.children;
  }
}

function Stopped(): ReactNode {
  const { t } = useTranslation();
  return (
    <div className="notice" role="alert">
      <p>{t("page.broken")}</p>
      <button type="button" onClick={() => location.reload()}>
        {t("page.reload")}
      </button>
    </div>
  );
}
