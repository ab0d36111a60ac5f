// Reads an AsyncAPI document from standard input, prints what the official parser finds wrong
// with it as a JSON list of [severity, code, message, path], worst first.
const { Parser } = require("@asyncapi/parser");

const chunks = [];
process.stdin.on("data", (chunk) => chunks.push(chunk));
process.stdin.on("end", async () => {
  const { document, diagnostics } = await new Parser().parse(Buffer.concat(chunks).toString());
  const found = diagnostics.map((it) => [it.severity, it.code, it.message, it.path.join(".")]);
  const operations = document ? document.operations().all().map((it) => it.id()) : [];
  console.log(JSON.stringify({ found: found.sort((a, b) => a[0] - b[0]), operations }));
});
