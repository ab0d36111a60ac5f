// What the watch programs print, in Node and in a page.
import {
  ClientError,
  createClient,
  type DoorName,
  positionOf,
  positionText,
} from "../src/index.ts";

/** One JSON line per item, and last how it ended. */
export async function* watchAsLines(
  url: string,
  taskId: string,
  door: string | undefined,
  after: string | undefined,
): AsyncGenerator<string, void, undefined> {
  const chooses = door === undefined || door === "auto";
  const client = createClient(url, chooses ? {} : { doors: [door as DoorName] });
  let attempt = 0;
  let status = "";
  try {
    for await (const item of client.watch(taskId, after === undefined ? {} : { after })) {
      const { event_type } = item;
      const position = positionOf(item);
      const data = item.event_type === "resync" ? item.snapshot : item.data;
      if (item.event_type === "resync") status = item.snapshot.status;
      if (item.event_type === "status_change") status = item.data.status;
      attempt = item.event_type === "resync" ? item.snapshot.attempt : item.attempt;
      yield JSON.stringify({
        event_type,
        data,
        position: position && positionText(position),
        attempt,
      });
    }
    yield JSON.stringify({ ended: status || (await client.getTask(taskId)).status });
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    const { name, code, message } = error;
    yield JSON.stringify({ failed: { class: name, code, message } });
  } finally {
    client.close();
  }
}
