/** Makes a client's connection of its options. */

import { type Connecting, Connection, type ConnectionStatus } from "./connection.ts";
import { DOORS, type Door, type DoorName } from "./doors/door.ts";
import { HttpDoor } from "./doors/http_link.ts";
import { pollReader, WAIT_S } from "./doors/polling.ts";
import { SocketIoDoor } from "./doors/socketio.ts";
import { streamReader } from "./doors/sse.ts";
import type { Http } from "./http.ts";
import type { ClientOptions } from "./options.ts";
import { groupOf, sharedBy, thisBrowser } from "./tabs/group.ts";
import { SharedConnection } from "./tabs/shared_connection.ts";
import { isOnline } from "./wakeup.ts";

type Told = (status: ConnectionStatus) => void;

const FOR_EVER = {
  firstContactMs: Number.POSITIVE_INFINITY,
  reconnectMs: Number.POSITIVE_INFINITY,
};

/** This tab's own connection, or the one that it shares with other tabs where that can be. */
export function connectionOf(http: Http, options: ClientOptions, onStatus: Told): Connecting {
  const names = options.doors ?? DOORS;
  const own = (told: Told): Connection =>
    new Connection({
      doors: openable(http, names),
      patience: { ...FOR_EVER, firstContactMs: 10_000, ...options.patience },
      renewable: http.renewable,
      online: isOnline,
      onStatus: told,
    });
  const by = sharedBy(options);
  const browser = thisBrowser();
  if (by === null || browser === null) return own(onStatus);
  const common = [http.serverUrl, options.credentials ?? "", names.join(), by];
  return new SharedConnection({
    group: groupOf(browser, common),
    own,
    // How long a server is waited for, the tab with the connection decides.
    through: (door, told) =>
      new Connection({
        doors: [door],
        patience: FOR_EVER,
        renewable: false,
        online: isOnline,
        onStatus: told,
      }),
    onStatus,
  });
}

function openable(http: Http, names: readonly DoorName[]): Door[] {
  if (names.length === 0) throw new TypeError("a client needs a door");
  return names.map((name) => {
    switch (name) {
      case "socketio":
        return new SocketIoDoor(http, names.length === 1);
      case "sse":
        return new HttpDoor(name, http, streamReader);
      case "long_poll":
        return new HttpDoor(name, http, pollReader(WAIT_S));
      case "poll":
        return new HttpDoor(name, http, pollReader(0));
      default:
        throw new TypeError(`there is no door ${name satisfies never}`);
    }
  });
}
