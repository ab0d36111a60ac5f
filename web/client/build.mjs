// Makes dist: ES modules with types for Node and bundlers, and single files for pages.
import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const at = (path) => fileURLToPath(new URL(path, import.meta.url));

rmSync(at("dist"), { recursive: true, force: true });
execFileSync(
  process.execPath,
  [at("node_modules/typescript/bin/tsc"), "-p", at("tsconfig.build.json")],
  {
    stdio: "inherit",
  },
);
const page = {
  entryPoints: [at("src/bundle.ts")],
  bundle: true,
  minify: true,
  target: "es2022",
  legalComments: "linked",
  logLevel: "warning",
};
await build({ ...page, format: "esm", outfile: at("dist/bundle/taskpush-client.js") });
await build({
  ...page,
  format: "iife",
  globalName: "taskpush",
  outfile: at("dist/bundle/taskpush-client.iife.js"),
});

// What tests run in a page, on the very file that is shipped.
await build({
  entryPoints: [at("programs/page.ts")],
  bundle: true,
  format: "esm",
  target: "es2022",
  outfile: at("dist/tests/page.js"),
  plugins: [
    {
      name: "shipped",
      setup: ({ onResolve }) =>
        onResolve({ filter: /src\/index\.ts$/ }, () => ({
          path: "./taskpush-client.js",
          external: true,
        })),
    },
  ],
});
await build({
  entryPoints: [at("programs/react_page.ts")],
  bundle: true,
  format: "esm",
  target: "es2022",
  define: { "process.env.NODE_ENV": '"development"' },
  outfile: at("dist/tests/react_page.js"),
});
