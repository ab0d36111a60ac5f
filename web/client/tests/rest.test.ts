import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { createClient } from "../src/client.ts";
import type { Json } from "../src/wire.ts";
import { logged, snapshot, TASK } from "./envelopes.ts";

type Answer = (request: IncomingMessage, response: ServerResponse, body: string) => void;

/** A server that gives these answers, one after the other; and what it was asked. */
async function serving(
  answers: Answer[],
  use: (url: string, asked: { line: string; authorization?: string; body: string }[]) => unknown,
): Promise<void> {
  const asked: { line: string; authorization?: string; body: string }[] = [];
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const part of request) body += part;
    const { method, url, headers } = request;
    asked.push({ line: `${method} ${url}`, authorization: headers.authorization ?? "", body });
    answers.shift()?.(request, response, body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked);
    assert.equal(answers.length, 0);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

function json(status: number, body: Json): Answer {
  return (_, response) => {
    response.writeHead(status, { "Content-Type": "application/json" });
    response.end(JSON.stringify(body));
  };
}

const loses: Answer = (request) => request.socket.destroy();

test("a task whose creation lost its answer is created once, and given", () =>
  serving(
    [
      loses,
      json(409, { code: "task_id_taken", detail: "taken" }),
      json(200, { ...snapshot(3), kind: "layout" }),
    ],
    async (url, asked) => {
      const client = createClient(url);
      const task = await client.createTask("layout", {}, { taskId: TASK });
      assert.equal(task.task_id, TASK);
      assert.deepEqual(
        asked.map(({ line }) => line),
        ["POST /api/tasks", "POST /api/tasks", `GET /api/tasks/${TASK}`],
      );
      assert.equal(asked[0]?.body, asked[1]?.body);
      client.close();
    },
  ));

test("somebody else's task of the same id is not taken for one's own", () =>
  serving(
    [
      loses,
      json(409, { code: "task_id_taken", detail: "taken" }),
      json(200, { ...snapshot(3), kind: "another" }),
      json(409, { code: "task_id_taken", detail: "taken" }),
    ],
    async (url) => {
      const client = createClient(url);
      const refused = { code: "task_id_taken" };
      await assert.rejects(client.createTask("layout", {}, { taskId: TASK }), refused);
      await assert.rejects(client.createTask("layout", {}, { taskId: TASK }), refused);
      client.close();
    },
  ));

test("the token's function is asked for each request, and each try of it", () =>
  serving(
    [
      json(200, snapshot(1)),
      json(503, { code: "shutting_down" }),
      json(200, snapshot(1)),
      json(401, { code: "access_ended", detail: "ended" }),
    ],
    async (url, asked) => {
      let count = 0;
      const client = createClient(url, { token: async () => `token-${++count}` });
      await client.getTask(TASK);
      await client.getTask(TASK);
      await assert.rejects(client.getTask(TASK), { code: "access_ended" });
      assert.deepEqual(
        asked.map(({ authorization }) => authorization),
        ["Bearer token-1", "Bearer token-2", "Bearer token-3", "Bearer token-4"],
      );
      client.close();
    },
  ));

test("so many events are read as were asked for, and no page more", () =>
  serving(
    [
      json(200, {
        items: [1, 2].map((seq) => logged(seq)),
        next: `/api/tasks/${TASK}/events?after=x:2&limit=3`,
      }),
      json(200, { items: [logged(3)], next: "/api/never" }),
    ],
    async (url, asked) => {
      const client = createClient(url);
      const seqs: unknown[] = [];
      for await (const event of client.events(TASK, { after: 0, limit: 3 })) seqs.push(event.seq);
      assert.deepEqual(seqs, [1, 2, 3]);
      assert.deepEqual(
        asked.map(({ line }) => line),
        [
          `GET /api/tasks/${TASK}/events?after=0&limit=3`,
          `GET /api/tasks/${TASK}/events?after=x:2&limit=3`,
        ],
      );
      client.close();
    },
  ));

const upload = { upload_id: TASK, name: "a.csv", size_bytes: 3 };

test("a file is sent as it is, under its name, with the token", () =>
  serving([json(201, upload)], async (url, asked) => {
    const client = createClient(url, { token: "secret" });
    const seen: number[] = [];
    const sent = await client.upload(new File(["a,b"], "零 a.csv", { type: "text/csv" }), {
      onProgress: ({ sentBytes, totalBytes }) => seen.push(sentBytes, totalBytes),
    });
    assert.equal(sent.upload_id, TASK);
    assert.deepEqual(asked, [
      {
        line: "POST /api/uploads?name=%E9%9B%B6+a.csv",
        authorization: "Bearer secret",
        body: "a,b",
      },
    ]);
    assert.deepEqual(seen, [3, 3]);
    client.close();
  }));

test("a file that is refused is not sent again, and one that is given up ends with an AbortError", () => {
  const stop = new AbortController();
  return serving(
    [json(413, { code: "payload_too_large", detail: "at most 2 bytes" }), () => stop.abort()],
    async (url) => {
      const client = createClient(url);
      await assert.rejects(client.upload(new Blob(["abc"]), { name: "a" }), {
        code: "payload_too_large",
      });
      const sending = client.upload(new Blob(["abc"]), { name: "a", signal: stop.signal });
      await assert.rejects(sending, { name: "AbortError" });
      client.close();
    },
  );
});
