import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const client = fileURLToPath(new URL("../client/src/index.ts", import.meta.url));
/** Where `npm run dev` finds a server: `TASKPUSH_URL=http://127.0.0.1:8000 npm run dev`. */
const server = process.env.TASKPUSH_URL ?? "http://127.0.0.1:8000";
// A server takes requests of its own pages only, so that it must not see where this one is from.
const proxied = {
  target: server,
  changeOrigin: true,
  ws: true,
  headers: { origin: new URL(server).origin },
};

export default defineConfig({
  // The server puts in front of it where the page lies; see api/dashboard.py.
  base: "./",
  resolve: {
    alias: { "taskpush-client": client },
    // The client is read as source, and has its dependencies from here.
    dedupe: ["socket.io-client"],
  },
  build: {
    outDir: process.env.DASHBOARD_OUT ?? "dist",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    // A file of its own for each: `data:` addresses are not what the page's policy allows.
    assetsInlineLimit: 0,
  },
  server: { proxy: { "/api": proxied, "/socket.io": proxied, "/docs": proxied } },
});
