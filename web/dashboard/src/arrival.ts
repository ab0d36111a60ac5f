/** What a page that is gone to begins with: its top in view, and the keyboard in it. */

import { useEffect, useRef } from "react";
import { useLocation } from "wouter";

/** `content` is the id of what holds the page. After "back" the browser scrolls to where it was. */
export function useArrival(content: string): void {
  const [path] = useLocation();
  const shown = useRef(path);
  const isReturn = useRef(false);

  useEffect(() => {
    const note = (): void => {
      isReturn.current = true;
    };
    addEventListener("popstate", note, { capture: true });
    return () => removeEventListener("popstate", note, { capture: true });
  }, []);

  useEffect(() => {
    if (shown.current === path) return;
    shown.current = path;
    if (!isReturn.current) scrollTo(0, 0);
    isReturn.current = false;
    // What was followed is gone, and with it the place that the keyboard was at.
    if (document.activeElement === document.body) focusOn(content);
    else if (!document.getElementById(content)?.contains(document.activeElement)) focusOn(content);
  }, [path, content]);
}

function focusOn(id: string): void {
  document.getElementById(id)?.focus({ preventScroll: true });
}
