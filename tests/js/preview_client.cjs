// Creates a task and watches it with previews.
// Usage: node preview_client.cjs PACKAGE SERVER_URL TRANSPORT KIND PARAMS PREVIEWS
// Prints what it saw as one JSON object, when the task has ended.
const { createHash } = require("node:crypto");
const [package_, url, transport, kind, params, previews] = process.argv.slice(2);
const { io } = require(package_);

const seen = { task_id: null, pictures: [], seqs: [], extensions: "" };
const socket = io(`${url}/tasks`, { transports: [transport] });

socket.on("task_update", ({ event_type, seq, data }) => {
  if (seq !== null) seen.seqs.push(seq);
  if (event_type === "preview") {
    const sha256 = createHash("sha256").update(data.content).digest("hex");
    seen.pictures.push({ media_type: data.media_type, bytes: data.content.length, sha256 });
  }
  if (event_type === "status_change" && data.final) {
    seen.extensions = Object.keys(socket.io.engine.transport.ws?._extensions ?? {}).join();
    socket.disconnect();
    console.log(JSON.stringify(seen));
    process.exit(0);
  }
});
socket.on("connect_error", (error) => fail(`connect_error: ${error.message}`));
socket.on("disconnect", (reason) => {
  if (reason !== "io client disconnect") fail(`disconnect: ${reason}`);
});

function fail(why) {
  console.error(why);
  process.exit(1);
}

async function main() {
  const response = await fetch(`${url}/api/tasks`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ kind, params: JSON.parse(params) }),
  });
  seen.task_id = (await response.json()).task_id;
  socket.emit("subscribe", { task_id: seen.task_id, previews: JSON.parse(previews) });
}

main().catch((error) => fail(error.stack));
setTimeout(() => fail("nothing ended within 50 s"), 50_000);
