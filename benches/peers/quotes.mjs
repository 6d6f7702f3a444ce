// What the peers in JavaScript share: the stream of quotes, and the little of Tickwire's protocol (src/wire/protocol.md)
// that `tickwire load` needs. How updates are sent is each peer's own.
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';

const FIRST_SEQ = 1000;

/** `--port N --symbols K --rate R --compress --precise`. */
export function options() {
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: '0' },
      symbols: { type: 'string', default: '200' },
      rate: { type: 'string', default: '20' },
      compress: { type: 'boolean', default: false },
      precise: { type: 'boolean', default: false },
    },
  });
  const count = (name, least) => {
    const number = Number(values[name]);
    if (!Number.isInteger(number) || number < least) throw new Error(`--${name} ${values[name]}`);
    return number;
  };
  const { compress, precise } = values;
  return { port: count('port', 0), symbols: count('symbols', 1), rate: count('rate', 1), compress, precise };
}

/** One instrument's best bid and offer: a walk of one cent an update, all numbers of the same width. */
class Quote {
  constructor(index) {
    this.symbol = `SYM${String(index).padStart(5, '0')}`;
    this.topic = index;
    this.seq = FIRST_SEQ;
    this.base = 11_000 + Math.floor(Math.random() * 87_000);
    this.bid = this.base;
    this.bidSize = size();
    this.askSize = size();
  }

  advance(tsEvent) {
    const away = this.bid - this.base;
    const up = Math.abs(away) < 500 ? Math.random() < 0.5 : away < 0;
    this.bid += up ? 1 : -1;
    this.bidSize = size();
    this.askSize = size();
    this.seq += 1;
    this.tsEvent = tsEvent;
  }

  update() {
    return `[{"channel":"quote","type":"update","symbol":"${this.symbol}","seq":${this.seq},"prev_seq":${this.seq - 1},${this.#fields()}}]`;
  }

  snapshot(epoch) {
    return `{"channel":"quote","type":"snapshot","symbol":"${this.symbol}","epoch":"${epoch}","seq":${this.seq},${this.#fields()}}`;
  }

  #fields() {
    const sides = `"bid":"${price(this.bid)}","bid_size":"${this.bidSize}","ask":"${price(this.bid + 1)}","ask_size":"${this.askSize}"`;
    return `"ts_event":${this.tsEvent},${sides}`;
  }
}

const price = (cents) => {
  const digits = String(cents);
  return `${digits.slice(0, -2)}.${digits.slice(-2)}`;
};
const size = () => 100 * (10 + Math.floor(Math.random() * 90));

/** K × R events a second, event n at n / (K × R) seconds, the instruments in turn. */
export class Market {
  #now = wallClock();
  #start;
  #perSecond;
  #turnMax;
  #events = 0;
  #wake;
  #epoch = `peer${process.pid}`;

  constructor({ symbols, rate, precise }) {
    this.#wake = precise ? preciseTimer() : (turn, wait) => setTimeout(turn, Math.ceil(wait / 1000));
    this.quotes = Array.from({ length: symbols }, (_, index) => new Quote(index));
    this.bySymbol = new Map(this.quotes.map((quote) => [quote.symbol, quote]));
    this.#perSecond = symbols * rate;
    this.#turnMax = Math.ceil(this.#perSecond / 100);
    this.#start = this.#now();
    for (const quote of this.quotes) quote.tsEvent = this.#start;
  }

  /**
   * Calls `publish(quote)` for each event once it is due, late or not, for ever; in one turn for those of 10 ms at most: a
   * server that cannot keep up would spend longer and longer turns on the stream, and hear nobody who connects.
   */
  play(publish) {
    const now = this.#now();
    let due = this.#due();
    for (let count = 0; due <= now && count < this.#turnMax; count += 1) {
      const quote = this.quotes[this.#events % this.quotes.length];
      quote.advance(due);
      publish(quote);
      this.#events += 1;
      due = this.#due();
    }
    const wait = due - this.#now();
    if (wait > 0) this.#wake(() => this.play(publish), Math.max(1000, wait));
    else setImmediate(() => this.play(publish));
  }

  /** The messages that answer a request, and the quotes that it subscribes to. */
  answer(text) {
    const request = JSON.parse(text);
    const { method, req_id } = request;
    const channel = request.params?.channel;
    if (method !== 'subscribe' || (channel !== 'quote' && channel !== 'status')) {
      const error = { code: 'UNSUPPORTED', message: 'a peer only subscribes to quote and status', retryable: false };
      return { messages: [JSON.stringify([{ method, success: false, req_id, error }])], quotes: [] };
    }
    const asked = request.params.symbols;
    const names = asked[0] === '*' ? [...this.bySymbol.keys()] : asked;
    const quotes = names.flatMap((name) => this.bySymbol.get(name) ?? []);
    const isStatus = channel === 'status';
    const granted = quotes.map(({ symbol, topic, seq }) => ({
      symbol,
      topic: 2 * topic + (isStatus ? 1 : 0),
      price_exponent: -2,
      size_exponent: 0,
      seq: isStatus ? 0 : seq,
    }));
    const rejected = names
      .filter((name) => !this.bySymbol.has(name))
      .map((symbol) => ({ symbol, code: 'UNKNOWN_SYMBOL' }));
    const result = { channel, epoch: this.#epoch, granted, rejected };
    const messages = [JSON.stringify([{ method, success: true, req_id, result }])];
    const snapshots = quotes.map((quote) => (isStatus ? this.#status(quote) : quote.snapshot(this.#epoch)));
    if (quotes.length > 0) messages.push(`[${snapshots.join(',')}]`);
    return { messages, quotes: isStatus ? [] : quotes };
  }

  #status({ symbol }) {
    return `{"channel":"status","type":"snapshot","symbol":"${symbol}","epoch":"${this.#epoch}","seq":0,"ts_event":0,"state":"trading","reason":""}`;
  }

  #due() {
    return this.#start + Math.floor((this.#events * 1e6) / this.#perSecond);
  }
}

/**
 * Microseconds since the Unix epoch: `Date` has milliseconds only, and `performance.timeOrigin` may be off. Where we are
 * interrupted between the two readings the offset comes out too small, never too large.
 */
function wallClock() {
  let offset = 0;
  for (let tick = 0; tick < 20; tick += 1) {
    const before = Date.now();
    let millis = before;
    while (millis === before) millis = Date.now();
    offset = Math.max(offset, 1000 * (millis - performance.now()));
  }
  return () => Math.floor(offset + 1000 * performance.now());
}

/** `setTimeout` has whole milliseconds. A thread that sleeps has not, but waking us from there costs 90 µs of CPU time. */
function preciseTimer() {
  const shared = new SharedArrayBuffer(8);
  const wait = new Int32Array(shared, 0, 1);
  const sleeper = `
    const { parentPort, workerData } = require('node:worker_threads');
    const wait = new Int32Array(workerData, 0, 1);
    const never = new Int32Array(workerData, 4, 1);
    for (;;) {
      Atomics.wait(wait, 0, 0);
      Atomics.wait(never, 0, 0, Atomics.exchange(wait, 0, 0) / 1000);
      parentPort.postMessage(null);
    }`;
  const worker = new Worker(sleeper, { eval: true, workerData: shared });
  let wake;
  worker.on('message', () => wake());
  return (turn, micros) => {
    wake = turn;
    Atomics.store(wait, 0, micros);
    Atomics.notify(wait, 0);
  };
}
