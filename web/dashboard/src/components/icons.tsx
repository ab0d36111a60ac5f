/** Line drawings of 20 × 20; what they mean is said in words beside them, or by a label. */

import type { ReactNode } from "react";

const PATHS = {
  tasks: "M3 5h2M8 5h9M3 10h2M8 10h9M3 15h2M8 15h9",
  queue: "M10 3a7 7 0 1 0 0 14 7 7 0 0 0 0-14M10 6v4l3 2",
  history: "M3 17h14M5 14v-4M9 14V5M13 14V8M17 14v-2",
  connections:
    "M7.5 9.5a3 3 0 1 0 0-6 3 3 0 0 0 0 6M2.5 16.5c0-3 2-4.5 5-4.5s5 1.5 5 4.5M13 3.8a3 3 0 0 1 0 5.4M14.5 12.2c2 .6 3 2 3 4.3",
  plus: "M10 4v12M4 10h12",
  link: "M8 12l4-4M9 6l2-2a3.5 3.5 0 0 1 5 5l-2 2M11 14l-2 2a3.5 3.5 0 0 1-5-5l2-2",
  download: "M10 3v10M6 9l4 4 4-4M4 17h12",
  copy: "M7 7V4h9v9h-3M4 7h9v9H4z",
  light:
    "M10 6.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7M10 2v2M10 16v2M2 10h2M16 10h2M4.5 4.5l1.4 1.4M14.1 14.1l1.4 1.4M4.5 15.5l1.4-1.4M14.1 5.9l1.4-1.4",
  dark: "M16 12A7 7 0 0 1 8 4a6.5 6.5 0 1 0 8 8",
  system: "M3 4h14v9H3zM7 17h6M10 13v4",
} as const;

export function Icon({ name }: { name: keyof typeof PATHS }): ReactNode {
  return (
    <svg className="icon" viewBox="0 0 20 20" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
