/** What stands where there is nothing to show: why, and what to do about it. */

import type { ReactNode } from "react";

interface Props {
  title: string;
  hint?: string;
  tone?: "calm" | "problem";
  children?: ReactNode;
}

export function Blank({ title, hint, tone = "calm", children }: Props): ReactNode {
  return (
    <div className="blank" data-tone={tone} role={tone === "problem" ? "alert" : undefined}>
      <p className="blank-title">{title}</p>
      {hint && <p className="hint">{hint}</p>}
      {children}
    </div>
  );
}
