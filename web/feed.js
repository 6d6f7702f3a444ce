// One WebSocket: follows topics, checks that no state of theirs is missed, and comes back when it breaks.

const SILENCE_MS_MAX = 5000; // the service sends a heartbeat in each second of silence
const BACKOFF_MS_MIN = 500;
const BACKOFF_MS_MAX = 15_000;
const RESYNC_PAUSE_MS = 250; // symbols to ask for again are gathered for so long
const CLOSED_FOR_GOOD = new Set([1002, 1007, 1008, 1009, 4001, 4002, 4004, 4006, 4009]);

export class Feed {
  /**
   * `on.state(state, text)`: `connecting`, `live`, `lost` or `refused`, with words for people.
   * `on.reset()`: a new connection or epoch; all state is void until its snapshots come.
   * `on.granted(result)`: a subscription's acknowledgement. `on.message(message)`: a snapshot or update, in order and
   * complete. `on.void(channel, symbol)`: that state is not to be trusted until its next snapshot. `on.problem(text)`: a
   * request was refused.
   */
  constructor(url, on) {
    this.url = url;
    this.on = on;
    this.updates = 0;
    this.gaps = 0;
    this.attempt = 0;
    this.subscriptions = new Map(); // text of the parameters → parameters, sent again after a reconnect
    this.sequences = new Map(); // channel → symbol → { seq }
    this.voided = new Map(); // channel → symbols whose snapshot is awaited
    setInterval(() => this.#watch(), 1000);
    addEventListener("online", () => this.state === "lost" && this.connect());
    this.connect();
  }

  connect() {
    clearTimeout(this.retry);
    this.#drop();
    this.#enter("connecting", "Connecting");
    this.heard = performance.now();
    const socket = (this.socket = new WebSocket(this.url, "tickwire.v1.json"));
    socket.onopen = () => {
      this.#begin(undefined);
      for (const params of this.subscriptions.values()) this.#send("subscribe", params);
    };
    socket.onmessage = (event) => this.#receive(event.data);
    socket.onclose = (event) => this.#lost(event.code, event.reason);
  }

  /** Follows `params.symbols` of `params.channel`, now and after each reconnect. */
  subscribe(params) {
    this.subscriptions.set(JSON.stringify(params), params);
    this.#send("subscribe", params);
  }

  unsubscribe(params) {
    this.subscriptions.delete(JSON.stringify(params));
    for (const symbol of params.symbols) this.sequences.get(params.channel)?.delete(symbol);
    this.#send("unsubscribe", params);
  }

  /** Gives up the state of a topic that was found to be wrong, and asks for a snapshot. */
  distrust(channel, symbol) {
    this.gaps += 1;
    this.sequences.get(channel)?.delete(symbol);
    if (!this.voided.has(channel)) this.voided.set(channel, new Set());
    this.voided.get(channel).add(symbol);
    this.on.void(channel, symbol);
    this.resync ??= setTimeout(() => this.#resync(), RESYNC_PAUSE_MS);
  }

  #resync() {
    this.resync = undefined;
    for (const [channel, symbols] of this.voided) {
      const wide = [...this.subscriptions.values()].find((params) => params.channel === channel);
      if (symbols.size === 0 || !wide) continue;
      const params = { ...wide, symbols: [...symbols] };
      this.#send("unsubscribe", params);
      this.#send("subscribe", params);
    }
  }

  #send(method, params) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ method, params }));
  }

  #receive(text) {
    this.heard = performance.now();
    for (const message of JSON.parse(text)) {
      if (message.type === "update") this.#update(message);
      else if (message.type === "snapshot") this.#snapshot(message);
      else if (message.type === "gap") this.#gap(message);
      else if (message.channel === "heartbeat") this.#enter("live", message.laggard ? "Live, catching up" : "Live");
      else if (message.channel === "system") this.wait = message.reconnect_after_ms;
      else if (message.success === false) this.#refused(message);
      else if (message.method === "subscribe") {
        this.attempt = 0;
        this.#enter("live", "Live");
        this.on.granted(message.result);
      }
    }
  }

  #snapshot(message) {
    const { channel, symbol, epoch, seq } = message;
    if (epoch !== this.epoch) this.#begin(epoch);
    if (!this.sequences.has(channel)) this.sequences.set(channel, new Map());
    this.sequences.get(channel).set(symbol, { seq });
    this.voided.get(channel)?.delete(symbol);
    this.updates += 1;
    this.on.message(message);
  }

  /** A new run of the stream, such as a recording that begins again: nothing of the old one holds. */
  #begin(epoch) {
    const first = this.epoch === undefined;
    this.epoch = epoch;
    if (first && epoch !== undefined) return; // the connection's own beginning has reset everything
    this.sequences.clear();
    this.voided.clear();
    this.on.reset();
  }

  #update(message) {
    const known = this.sequences.get(message.channel)?.get(message.symbol);
    if (!known) return; // unsubscribed from, or a snapshot is on its way
    if (known.seq !== message.prev_seq) return this.distrust(message.channel, message.symbol);
    known.seq = message.seq;
    this.updates += 1;
    this.on.message(message);
  }

  /** Messages of an event channel that the service could not send: announced, gone, and nothing to ask for. */
  #gap(message) {
    const known = this.sequences.get(message.channel)?.get(message.symbol);
    if (!known) return;
    this.gaps += 1;
    known.seq = message.seq;
  }

  #refused(message) {
    if (message.error.retry_after_ms) this.wait = message.error.retry_after_ms;
    this.on.problem(`${message.method ?? "request"}: ${message.error.message} (${message.error.code})`);
  }

  #watch() {
    const silent = performance.now() - this.heard > SILENCE_MS_MAX;
    if (silent && this.state !== "lost" && this.state !== "refused") this.#lost(0, "silence");
  }

  #lost(code, reason) {
    this.#drop();
    if (CLOSED_FOR_GOOD.has(code)) return this.#enter("refused", `Closed by the service: ${reason || code}`);
    const most = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** this.attempt);
    const wait = this.wait ?? most / 2 + (Math.random() * most) / 2; // jitter: not all pages come back at once
    this.attempt += 1;
    this.wait = undefined;
    this.#enter("lost", `Connection lost, trying again in ${Math.ceil(wait / 1000)} s`);
    this.retry = setTimeout(() => this.connect(), wait);
  }

  #drop() {
    clearTimeout(this.resync);
    this.resync = undefined;
    if (!this.socket) return;
    this.socket.onopen = this.socket.onmessage = this.socket.onclose = null;
    this.socket.close();
    this.socket = undefined;
  }

  #enter(state, text) {
    if (this.state === state && this.text === text) return;
    this.state = state;
    this.text = text;
    this.on.state(state, text);
  }
}
