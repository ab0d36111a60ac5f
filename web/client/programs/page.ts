// Gives a page the function that prints what a watch gives: see tests/web/watch_in_chromium.py.
import { watchAsLines } from "./lines.ts";

Object.assign(globalThis, { watchAsLines });
