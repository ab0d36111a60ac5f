/** A text as it is. What does not fit is scrolled, by keyboard too. */

import type { ReactNode } from "react";

interface Props {
  /** What it is, to those who do not see it. */
  label: string;
  text: string;
}

export function Verbatim({ label, text }: Props): ReactNode {
  return (
    <section className="verbatim" aria-label={label} tabIndex={0}>
      <pre>{text}</pre>
    </section>
  );
}
