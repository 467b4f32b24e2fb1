// The faults of a run, one after the other in a random order: each round has all of them.
import { setTimeout as pause } from 'node:timers/promises';

const PROBE_INTERVAL_MS = 50;
const READY_DEADLINE_MS = 60_000;
const SHORT_S = 120;
const MINUTE_MS = 60_000;
const WRITE = 'mutation ($key: String!) { createTodo(idempotencyKey: $key, input: { title: "probe" }) { __typename } }';

export class Faults {
  /** How long it took until all nodes were ready and a write was acknowledged again, by the name of the fault, in milliseconds. */
  recoveries = new Map();
  #probes = 0;

  constructor({ cluster, journal, random, prober, seconds }) {
    Object.assign(this, { cluster, journal, random, prober, seconds });
    // A short run has short faults, so that it has all of them.
    this.scale = Math.min(1, seconds / SHORT_S);
  }

  #between(fromMs, toMs) {
    return pause(this.random.between(fromMs * this.scale, toMs * this.scale));
  }

  /** The faults by their names; the node, where there is one, is drawn. */
  #all() {
    const { cluster, random } = this;
    const { clients, postgres } = cluster;
    const someNode = () => random.oneOf(cluster.nodes);
    return {
      // Always the same one, so that the memory of the other one is measured over the whole run.
      killed: async () => {
        const node = cluster.nodes.at(-1);
        await node.kill();
        await this.#between(200, 2000);
        await node.restart();
      },
      stopped: async () => {
        const node = someNode();
        node.signal('SIGSTOP');
        await this.#between(2000, 9000);
        node.signal('SIGCONT');
      },
      'clients dropped': async () => {
        for (let times = random.between(1, 4); times > 0; times -= 1) {
          clients.drop();
          await this.#between(200, 1500);
        }
      },
      'clients stalled': async () => {
        clients.stall();
        await this.#between(1000, 5000);
        clients.resume();
      },
      'database dropped': async () => {
        const { link } = someNode();
        link.cut();
        await this.#between(0, 3000);
        link.restore();
      },
      'database stalled': async () => {
        const { link } = someNode();
        link.stall();
        await this.#between(1000, 12_000);
        link.resume();
      },
      'database crash': () => postgres.crash(),
      ...(postgres.hasOwnDisk && {
        'disk full': async () => {
          postgres.fillDisk();
          await this.#between(1000, 5000);
          postgres.freeDisk();
          await postgres.revive();
        },
      }),
      'clock moved': async () => {
        const node = someNode();
        const minutes = random.oneOf([-20, -7, -1, 1, 7, 20]);
        node.moveClock(minutes * MINUTE_MS);
        await this.#between(1000, 6000);
        node.moveClock(0);
      },
    };
  }

  /** Causes faults for as long as the run is to last, and each at least once. */
  async work() {
    const faults = this.#all();
    const until = performance.now() + this.seconds * 1000;
    let round = Object.keys(faults);
    let isFirst = true;
    while (isFirst || performance.now() < until) {
      await this.#between(500, 4000);
      const [name] = round.splice(this.random.between(0, round.length - 1), 1);
      const end = this.journal.beginFault(name);
      await faults[name]();
      await this.#recover(name);
      end();
      if (round.length === 0) {
        round = Object.keys(faults);
        isFirst = false;
      }
    }
  }

  /** Waits until every node is ready, and a write through the proxy is acknowledged. */
  async #recover(name) {
    const since = performance.now();
    this.#probes += 1;
    const key = `probe ${this.#probes}`;
    const isServing = async () => {
      const ready = await Promise.all(this.cluster.nodes.map((node) => node.isReady()));
      return ready.every(Boolean) && (await this.prober.graphql(WRITE, { key })) !== null;
    };
    while (!(await isServing())) {
      if (performance.now() - since > READY_DEADLINE_MS) {
        this.journal.find('availability', `${name}: not every node was ready again after ${READY_DEADLINE_MS} ms.`);
        return;
      }
      await pause(PROBE_INTERVAL_MS);
    }
    const times = this.recoveries.get(name) ?? [];
    times.push(performance.now() - since);
    this.recoveries.set(name, times);
  }
}
