// A server that speaks the protocol, rudely: a test says what it says.
import { once } from "node:events";
import { createServer } from "node:http";
import WebSocket, { WebSocketServer } from "ws";
import { Client } from "../dist/index.js";

/** How long anything may take before a test fails. Only failures wait so long. */
const PATIENCE_MS = 20_000;

export async function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error(`not in time: ${what}`)), PATIENCE_MS)));
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Values that come one by one to whoever waits for them. */
export class Queue {
  #values = [];
  #waiting = [];

  put(value) {
    const waiting = this.#waiting.shift();
    if (waiting) waiting(value);
    else this.#values.push(value);
  }

  take(what) {
    if (this.#values.length > 0) return Promise.resolve(this.#values.shift());
    return within(new Promise((resolve) => this.#waiting.push(resolve)), what);
  }
}

export class RudeServer {
  #peers = new Queue();
  #http = createServer((request, response) => this.onRequest(request, response));
  #sockets = new WebSocketServer({
    server: this.#http,
    path: "/v1/ws",
    handleProtocols: (offered) => [...offered].find((name) => !name.startsWith("tickwire.token.")),
  });
  onRequest = (_request, response) => response.writeHead(404).end();

  static async start(t, port = 0) {
    const server = new RudeServer();
    server.#sockets.on("connection", (socket, request) => server.#peers.put(new Peer(socket, request)));
    server.#http.listen(port, "127.0.0.1");
    await once(server.#http, "listening");
    t.after(() => server.stop());
    return server;
  }

  get port() {
    return this.#http.address().port;
  }

  accept() {
    return this.#peers.take("a connection");
  }

  /** Another who takes upgrades, or refuses them. */
  onUpgrade(listener) {
    this.#http.removeAllListeners("upgrade");
    this.#http.on("upgrade", listener);
  }

  stop() {
    for (const socket of this.#sockets.clients) socket.terminate();
    this.#http.closeAllConnections();
    this.#http.close();
  }
}

/** One connection of a client, from the server's side. */
class Peer {
  #requests = new Queue();

  constructor(socket, request) {
    this.socket = socket;
    this.offered = request.headers["sec-websocket-protocol"];
    socket.on("message", (text) => this.#requests.put(JSON.parse(text)));
  }

  request() {
    return this.#requests.take("a request");
  }

  say(...messages) {
    this.socket.send(JSON.stringify(messages));
  }

  records(hex) {
    this.socket.send(Buffer.from(hex, "hex"));
  }

  /** Answers the next request, which asks for these topics. */
  async grant(channel, symbols, more = {}) {
    const { method, params, req_id } = await this.request();
    const topics = symbols.map((symbol, index) => ({ symbol, topic: 4 * index, price_exponent: -2, size_exponent: 0, seq: 1 }));
    const { symbols: _symbols, resume: _resume, symbol: _symbol, seq: _seq, ...named } = params;
    const result = method === "resync" ? { ...named, epoch: "e1", ...topics[0], ...more } : { ...named, epoch: "e1", granted: topics, rejected: [], ...more };
    if (named.channel !== channel) throw new Error(`asked for ${named.channel} in the place of ${channel}`);
    this.say({ method, success: true, req_id, result });
    return { method, params };
  }
}

/** A client that tells all that happens to it; patient, so that a busy machine is no silence. */
export function client(t, server, settings = {}) {
  const made = new Client({
    url: `http://127.0.0.1:${server.port}`,
    encoding: "json",
    WebSocket,
    silenceMs: PATIENCE_MS,
    backoffMs: { first: 2, max: 20 },
    ...settings,
  });
  const told = new Queue();
  for (const event of ["connection", "state", "trade", "gap", "diverged", "subscribed", "failed", "epoch", "heartbeat", "system"]) {
    made.on(event, (...values) => told.put({ event, values }));
  }
  /** What `pick` finds in the next event of that name. */
  const until = async (event, pick = () => true) => {
    for (;;) {
      const next = await told.take(`${event} ${pick}`);
      if (next.event !== event) continue;
      const found = pick(...next.values);
      if (found) return found;
    }
  };
  t.after(() => made.close());
  made.connect();
  return { client: made, until, seq: (symbol, number) => until("state", (topic) => topic.symbol === symbol && topic.seq === number) };
}

export const snapshot = (symbol, epoch, seq, bid, more = {}) => ({
  channel: "quote", type: "snapshot", symbol, epoch, seq, ts_event: seq, bid, bid_size: "1", ask: null, ask_size: null, ...more,
});
export const update = (symbol, seq, prev_seq, bid, more = {}) => ({ channel: "quote", type: "update", symbol, seq, prev_seq, ts_event: seq, bid, ...more });
export const QUOTE = { channel: "quote" };
export const BOOK = { channel: "book", depth: 10 };
