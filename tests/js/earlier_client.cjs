// The JavaScript example of the earlier protocol: create flat, subscribe without acknowledgement.
// Usage: node earlier_client.cjs PACKAGE SERVER_URL TRANSPORT MODE PARAMS
// Prints what it saw as one JSON object, when the task has ended.
const [package_, url, transport, mode, params] = process.argv.slice(2);
const { io } = require(package_);

const seen = { task_id: null, greetings: [], updates: [] };
const options = transport === "default" ? {} : { transports: [transport] };
const socket = io(`${url}/tasks`, options);

for (const name of ["connected", "subscribed", "error"]) {
  socket.on(name, (data) => seen.greetings.push([name, data]));
}
socket.on("task_update", (update) => {
  seen.updates.push(update);
  const { event_type, data } = update;
  if (event_type === "status_change" && ["completed", "failed"].includes(data.status)) {
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

async function post(body) {
  const response = await fetch(`${url}/api/tasks`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  return response.json();
}

async function ended(taskId) {
  for (;;) {
    const task = await (await fetch(`${url}/api/tasks/${taskId}`)).json();
    if (task.final) return;
    const after = `${task.position.epoch}:${task.position.seq}`;
    await fetch(`${url}/api/tasks/${taskId}/events?wait_s=5&after=${after}`);
  }
}

async function main() {
  const failing = { kind: "fail", params: {} };
  const task = await post(mode === "failure" ? failing : JSON.parse(params));
  seen.task_id = task.task_id;
  if (mode === "after the end") await ended(task.task_id);
  socket.emit("subscribe", { task_id: task.task_id });
}

main().catch((error) => fail(error.stack));
setTimeout(() => fail("nothing ended within 50 s"), 50_000);
