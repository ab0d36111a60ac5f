import assert from "node:assert/strict";
import { test } from "node:test";
import { createElement } from "react";
import { renderToString } from "react-dom/server";
import { createClient } from "../src/client.ts";
import { useConnection, useQueue, useTask, useTasks } from "../src/react.ts";
import { TASK } from "./envelopes.ts";

test("on a server the hooks render what is not known yet, and ask nobody", () => {
  const client = createClient("http://127.0.0.1:1/");
  function Page() {
    const { status } = useTask(client, TASK);
    const { tasks, ready } = useTasks(client);
    const { kinds } = useQueue(client);
    const { state } = useConnection(client);
    return createElement("p", null, JSON.stringify({ status, tasks, ready, kinds, state }));
  }
  const html = renderToString(createElement(Page)).replaceAll("&quot;", '"');
  const shown = { status: null, tasks: [], ready: false, kinds: null, state: "offline" };
  assert.equal(html, `<p>${JSON.stringify(shown)}</p>`);
  assert.equal(client.connection.state, "offline");
  client.close();
});

test("the element and the client can be loaded where there is no window", async () => {
  assert.equal(typeof window, "undefined");
  const { TaskProgressElement } = await import("../src/element.ts");
  assert.equal(typeof TaskProgressElement, "function");
});
