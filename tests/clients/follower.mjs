// Follows books and quotes on several connections that come and go, and checks all that they are sent. Runs in Node
// and in a browser: it needs a WebSocket class, and nothing else.

const DEPTH = 10;
const CHANNELS = ["book", "quote"];

/** CRC32 as zlib has it: browsers have none of their own. */
const CRC_TABLE = Int32Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? (byte >>> 1) ^ 0xedb88320 : byte >>> 1;
  return byte;
});

export function crc32(text) {
  let crc = -1;
  for (let i = 0; i < text.length; i++) crc = CRC_TABLE[(crc ^ text.charCodeAt(i)) & 0xff] ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** Of prices and sizes of one instrument: the digits alone, as an integer. */
const mantissa = (decimal) => Number(decimal.replace(".", ""));

class Book {
  bids = new Map();
  asks = new Map();

  apply({ bids = [], asks = [] }) {
    for (const [side, levels] of [[this.bids, bids], [this.asks, asks]]) {
      for (const [price, size] of levels) {
        if (mantissa(size) === 0) side.delete(price);
        else side.set(price, size);
      }
    }
  }

  checksum() {
    const best = (side, sign) =>
      [...side].map((level) => level.map(mantissa)).sort((a, b) => sign * (a[0] - b[0])).slice(0, 10);
    const levels = [...best(this.asks, 1), ...best(this.bids, -1)];
    return crc32(levels.flat().map((digits) => Math.abs(digits) || "").join(""));
  }
}

/** The states of one connection. */
class Follower {
  topics = new Map();
  /** While both channels are followed: the changes that were sent, and the market's time of the first and the last. */
  stretch = null;

  constructor(report) {
    this.report = report;
  }

  read(text) {
    this.report.text_bytes += text.length; // it is ASCII
    for (const message of JSON.parse(text)) {
      if (message.method) this.answer(message);
      else if (CHANNELS.includes(message.channel)) this.take(message);
    }
  }

  answer({ method, success, result, error }) {
    if (!success || result.rejected?.length) this.fail(`${method}: ${JSON.stringify(error ?? result.rejected)}`);
    else if (method === "unsubscribe") {
      this.endStretch();
      for (const symbol of result.removed) this.topics.delete(`${result.channel} ${symbol}`);
    } else if (result.channel === CHANNELS.at(-1)) {
      this.stretch = { changes: 0, first: Infinity, last: 0 };
    }
  }

  endStretch() {
    if (this.stretch?.changes) {
      this.report.stretch_changes += this.stretch.changes;
      this.report.stretch_micros += this.stretch.last - this.stretch.first;
    }
    this.stretch = null;
  }

  /** What is sent in place of so many changes. */
  count({ channel, symbol, seq, prev_seq, ts_event, n = 1 }) {
    // The number of a quote is how often it has changed, that of a book counts changes that are too deep as well.
    if (channel === "quote" && seq - prev_seq !== n) this.gap(`${symbol}: from ${prev_seq} to ${seq} by ${n} changes`);
    if (!this.stretch) return;
    this.stretch.changes += n;
    this.stretch.first = Math.min(this.stretch.first, ts_event);
    this.stretch.last = Math.max(this.stretch.last, ts_event);
  }

  take(message) {
    const { channel, symbol, type, seq, prev_seq, checksum } = message;
    const key = `${channel} ${symbol}`;
    const held = this.topics.get(key);
    if (type === "snapshot") {
      this.report.snapshots += 1;
      if (prev_seq !== undefined) {
        this.report.merged += 1;
        if (held?.seq !== prev_seq) this.gap(`${key}: a state instead of what follows ${prev_seq}, not ${held?.seq}`);
        this.count(message);
      }
    } else if (type !== "update") {
      return this.gap(`${key}: ${type}`);
    } else if (held?.seq !== prev_seq) {
      return this.gap(`${key}: an update of ${prev_seq}, not of ${held?.seq}`);
    } else {
      this.report.updates += 1;
      this.count(message);
    }
    const state = type === "update" ? held : { book: new Book() };
    this.topics.set(key, state);
    state.seq = seq;
    if (channel !== "book") return;
    state.book.apply(message);
    if (Math.max(state.book.bids.size, state.book.asks.size) > DEPTH) this.fail(`${key}: more than ${DEPTH} levels`);
    if (checksum === undefined) {
      if (type === "snapshot") this.fail(`${key}: a snapshot without a checksum`);
    } else if (state.book.checksum() === checksum) {
      this.report.checksums_ok += 1;
    } else {
      this.report.checksums_failed += 1;
      this.note(`${key}: the checksum of ${seq} is not ${checksum}`);
    }
  }

  gap(what) {
    this.report.gaps += 1;
    this.note(what);
  }

  fail(what) {
    this.report.failures += 1;
    this.note(what);
  }

  note(what) {
    if (this.report.evidence.length < 10) this.report.evidence.push(what);
  }
}

/** Numbers from 0 to 1 that are the same each time: mulberry32. */
function random(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), seed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Keeps up to so many connections at a time for so long, each for some seconds, and gives what they saw. */
export async function follow(WebSocket, url, seconds, seed, connections) {
  const report = {
    connections: 0, compressed: 0, updates: 0, snapshots: 0, merged: 0, checksums_ok: 0, checksums_failed: 0, gaps: 0,
    failures: 0, text_bytes: 0, stretch_changes: 0, stretch_micros: 0, evidence: [],
  };
  const end = Date.now() + seconds * 1000;
  const pause = (millis) => new Promise((wake) => setTimeout(wake, Math.min(millis, Math.max(0, end - Date.now()))));

  async function comeAndGo(between) {
    while (Date.now() < end) {
      await pause(between(0, 1000));
      await connectOnce(between);
    }
  }

  async function connectOnce(between) {
    const socket = new WebSocket(url);
    const follower = new Follower(report);
    let leaving = false;
    const closed = new Promise((resolve) => {
      socket.onclose = ({ code, reason }) => {
        if (!leaving) follower.fail(`closed: ${code} ${reason}`);
        follower.endStretch();
        resolve();
      };
    });
    socket.onerror = ({ message }) => follower.fail(`error: ${message}`);
    socket.onmessage = ({ data }) => follower.read(data);
    await Promise.race([new Promise((resolve) => { socket.onopen = resolve; }), closed]);
    report.connections += 1;
    report.compressed += socket.extensions.startsWith("permessage-deflate");
    const ask = (method, channel) => {
      if (socket.readyState === 1) socket.send(JSON.stringify({ method, params: { channel, symbols: ["*"] } }));
    };
    for (const channel of CHANNELS) ask("subscribe", channel);
    await pause(between(1000, 8000));
    // Out of the cohort and back into it, on the same connection.
    ask("unsubscribe", "quote");
    await pause(between(0, 1000));
    ask("subscribe", "quote");
    await pause(between(1000, 8000));
    leaving = true;
    socket.close();
    await closed;
  }

  await Promise.all(Array.from({ length: connections }, (_, slot) => {
    const next = random(seed * 1000 + slot);
    return comeAndGo((from, to) => from + next() * (to - from));
  }));
  return report;
}
