import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** A TCP proxy in front of a server, by which a test cuts the connections of a client. */
export interface Gate {
  readonly url: string;
  /** Cuts all connections. */
  readonly cut: () => void;
  /** Refuses connections until it is opened again. */
  readonly shut: () => void;
  /** Accepts connections, to this server from now on. */
  readonly open: (target?: string) => void;
  /** How many connections were accepted so far. */
  readonly accepted: () => number;
  readonly close: () => Promise<void>;
}

export async function startGate(target: string): Promise<Gate> {
  let { hostname, port } = new URL(target);
  let isShut = false;
  let accepted = 0;
  const sockets = new Set<Socket>();
  const server: Server = createServer((client) => {
    accepted += 1;
    if (isShut) {
      client.destroy();
      return;
    }
    const upstream = connect(Number(port), hostname);
    for (const [socket, peer] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        peer.destroy();
      });
      socket.pipe(peer);
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = (): void => {
    for (const socket of sockets) {
      socket.destroy();
    }
  };
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut,
    shut: () => {
      isShut = true;
      cut();
    },
    open: (next = target) => {
      ({ hostname, port } = new URL(next));
      isShut = false;
    },
    accepted: () => accepted,
    close: async () => {
      cut();
      server.close();
      await once(server, 'close');
    },
  };
}
