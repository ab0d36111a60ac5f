/** What a page gets from the single file. */

export * from "./index.ts";
