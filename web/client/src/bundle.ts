/** What a page gets from the single file: the client, and the element. */

export { TaskProgressElement } from "./element.ts";
export * from "./index.ts";
