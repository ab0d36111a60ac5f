// Node's socket.io, as its documentation shows it.
"use strict";

const http = require("node:http");
const { Server } = require("socket.io");

const NAMESPACE = "/tasks";
const NAME = "task_update";
const PADDING = "min_clearance_";
const BARE_BYTES = 274;

const nowUs = () => Number(process.hrtime.bigint() / 1000n);

// As bench.event.
function envelope(channel, number, sizeBytes) {
  const length = Math.max(1, sizeBytes - BARE_BYTES);
  const padding = PADDING.repeat(length / PADDING.length + 1).slice(0, length);
  return {
    task_id: channel,
    event_type: "iteration_complete",
    data: { iteration: number, metrics: { sent_us: nowUs(), max_temp: 45.5, [padding]: 0 } },
    timestamp: new Date().toISOString().replace("Z", "000+00:00"),
    attempt: 1,
    seq: number,
    epoch: "k3v9x7q2",
  };
}

function emit(flow, channel, startUs) {
  let sent = 0;
  const next = () => {
    sent += 1;
    tasks.to(channel).emit(NAME, envelope(channel, sent, flow.size_bytes));
    if (sent >= flow.events) return;
    if (!flow.rate_hz) return void setImmediate(next);
    const dueUs = startUs + (sent * 1e6) / flow.rate_hz;
    setTimeout(next, Math.max(0, (dueUs - nowUs()) / 1000));
  };
  if (flow.events) setTimeout(next, Math.max(0, (startUs - nowUs()) / 1000));
}

const server = http.createServer((request, response) => {
  if (request.method !== "POST") return void response.end("ok");
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    const flow = JSON.parse(Buffer.concat(parts).toString());
    flow.channels.forEach((channel, i) =>
      emit(flow, channel, flow.start_us + i * (flow.stagger_us || 0)),
    );
    response.end("{}");
  });
});
const io = new Server(server);
const tasks = io.of(NAMESPACE);
tasks.on("connection", (socket) => {
  socket.on("subscribe", (command, acknowledge) => {
    socket.join(command.task_id);
    acknowledge({ ok: true, task_id: command.task_id });
  });
});
server.listen({ port: Number(process.argv[2]), host: "127.0.0.1", backlog: 4096 });
