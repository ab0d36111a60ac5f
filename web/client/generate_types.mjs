// Reads the JSON Schema that schema.py prints from standard input, and prints TypeScript.
import { text } from "node:stream/consumers";
import { compile } from "json-schema-to-typescript";

const schema = JSON.parse(await text(process.stdin));
const bannerComment =
  "// Made of the server's Pydantic models by scripts/client-types: change those, not this.";
const source = await compile(schema, "Wire", {
  bannerComment,
  additionalProperties: false,
  ignoreMinAndMaxItems: true,
  unreachableDefinitions: false,
  style: { printWidth: 100 },
});
process.stdout.write(source);
