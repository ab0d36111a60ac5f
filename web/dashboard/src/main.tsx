import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app.tsx";
import "./i18n/index.ts";
import "./styles/index.css";
import { applyTheme } from "./theme.ts";
import { showUsualIcon } from "./title.ts";

applyTheme();
showUsualIcon();
const root = document.getElementById("root");
if (!root) throw new Error("the page has no place for the dashboard");
createRoot(root).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
