// A TCP proxy between two parts of the cluster, which drops and stalls what goes through it.
import { once } from 'node:events';
import { connect, createServer } from 'node:net';

export class Link {
  #sockets = new Set();
  #server;
  #target;
  #isStalled = false;
  #isCut = false;

  constructor(target) {
    this.#target = target;
  }

  /** Opens a proxy on a free port, to a port of this machine. */
  static async open(target) {
    const link = new Link(target);
    link.#server = createServer({ allowHalfOpen: true }, (near) => link.#join(near));
    link.#server.listen(0, '127.0.0.1');
    await once(link.#server, 'listening');
    link.port = link.#server.address().port;
    return link;
  }

  /** Resets all connections. */
  drop() {
    for (const socket of this.#sockets) {
      socket.resetAndDestroy();
    }
  }

  /** Resets all connections, and new ones at once, until {@link restore}. */
  cut() {
    this.#isCut = true;
    this.drop();
  }

  restore() {
    this.#isCut = false;
  }

  /** Holds all bytes back, in both directions, until {@link resume}; connections stay open and new ones are accepted. */
  stall() {
    this.#isStalled = true;
    for (const socket of this.#sockets) {
      socket.pause();
    }
  }

  resume() {
    this.#isStalled = false;
    for (const socket of this.#sockets) {
      socket.resume();
    }
  }

  close() {
    this.#server.close();
    this.drop();
  }

  #join(near) {
    if (this.#isCut) {
      near.resetAndDestroy();
      return;
    }
    const far = connect({ port: this.#target, host: '127.0.0.1', allowHalfOpen: true });
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ]) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.on('data', (chunk) => {
        if (!other.write(chunk)) {
          socket.pause();
          other.once('drain', () => !this.#isStalled && socket.resume());
        }
      });
      socket.on('end', () => other.end());
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
      if (this.#isStalled) {
        socket.pause();
      }
    }
  }
}
