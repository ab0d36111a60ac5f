/** A picture in the space there is; a click shows it as large as the window. */

import { type ReactNode, useRef, useState } from "react";
import { useTranslation } from "react-i18next";

export function Picture({ src, alt }: { src: string; alt: string }): ReactNode {
  const { t } = useTranslation();
  const dialog = useRef<HTMLDialogElement>(null);
  const [open, setOpen] = useState(false);
  const enlarge = (): void => {
    setOpen(true);
    dialog.current?.showModal();
  };
  return (
    <>
      <button type="button" className="enlarge" title={t("picture.enlarge")} onClick={enlarge}>
        <img className="picture" src={src} alt={alt} />
      </button>
      <dialog ref={dialog} className="large" aria-label={alt} onClose={() => setOpen(false)}>
        {open && (
          <button type="button" title={t("picture.close")} onClick={() => dialog.current?.close()}>
            <img src={src} alt="" />
            <span className="visually-hidden">{t("picture.close")}</span>
          </button>
        )}
      </dialog>
    </>
  );
}
