// Watches a task through one door, for the tests that every client and door has to pass.
// Usage: node watch.ts URL TASK_ID [--door DOOR] [--after POSITION]; without a door, or with `auto`,
// the client chooses.
// Prints one JSON line per item, and last how it ended.
import { parseArgs } from "node:util";
import { watchAsLines } from "./lines.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { door: { type: "string" }, after: { type: "string" } },
});
const [url = "", taskId = ""] = positionals;
for await (const line of watchAsLines(url, taskId, values.door, values.after)) console.log(line);
