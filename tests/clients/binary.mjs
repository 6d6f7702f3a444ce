// `tickwire.v1.bin` without dependencies: records in, the messages of `tickwire.v1.json` out. Written from
// src/wire/protocol.md alone, with the names that stand there. Mantissas are BigInt; nothing here is a float.

/** What is no record: where, and why. */
export class RecordError extends Error {
  constructor(offset, fault) {
    super(`at byte ${offset} of a binary message: ${fault}`);
    Object.assign(this, { offset, fault });
  }
}

/** An update that does not follow the state that is held: get the topic anew. */
export class Missed extends Error {}

const OVERLONG = "a number is longer than it may be";
const TRUNCATED = "the message ends within a record";
const NO_SNAPSHOT = "the prefix of a snapshot stands before none";
const SCALES = [1n, 10n, 10_000n, 100_000n];
const STATES = ["trading", "halted", "auction", "closed", "stale", "ended"];
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }

  byte() {
    if (this.at >= this.bytes.length) throw new RecordError(this.bytes.length, TRUNCATED);
    return this.bytes[this.at++];
  }

  /** An unsigned number of at most `bits` bits. */
  number(bits = 64) {
    const start = this.at;
    let value = 0n;
    for (let shift = 0; ; shift += 7) {
      const byte = this.byte();
      value |= BigInt(byte & 0x7f) << BigInt(shift);
      if (value >> BigInt(bits) || (byte === 0 && shift > 0)) throw new RecordError(start, OVERLONG);
      if (byte < 0x80) return value;
    }
  }

  /** A number with a sign. */
  signed(bits = 64) {
    return unzigzag(this.number(bits));
  }

  /** A number that is not 0. */
  positive(field, bits) {
    const start = this.at;
    const value = this.number(bits);
    if (value === 0n) throw new RecordError(start, `\`${field}\` is 0`);
    return value;
  }

  /** Microseconds that nanoseconds in 64 bits hold. */
  time() {
    const start = this.at;
    const micros = this.signed();
    if (micros > 9_223_372_036_854_776n || micros < -9_223_372_036_854_776n) throw new RecordError(start, OVERLONG);
    return micros;
  }

  size(scale) {
    const start = this.at;
    const number = this.number();
    if (scale === 0) return BigInt.asIntN(64, number);
    if ((number * SCALES[scale]) >> 63n) throw new RecordError(start, OVERLONG);
    return number * SCALES[scale];
  }

  text(field) {
    const length = this.number();
    const start = this.at;
    if (length > BigInt(this.bytes.length - start)) throw new RecordError(this.bytes.length, TRUNCATED);
    this.at += Number(length);
    try {
      return utf8.decode(this.bytes.subarray(start, this.at));
    } catch {
      throw new RecordError(start, `\`${field}\` is not UTF-8`);
    }
  }

  /** 0: there is nothing; 1: something follows. */
  exists() {
    const start = this.at;
    const byte = this.byte();
    if (byte > 1) throw meaningless(start, byte);
    return byte === 1;
  }

  checksum() {
    return (this.byte() | (this.byte() << 8) | (this.byte() << 16) | (this.byte() << 24)) >>> 0;
  }
}

const unzigzag = (value) => (value & 1n ? -(value >> 1n) - 1n : value >> 1n);
const meaningless = (offset, bits) => new RecordError(offset, `bits 0x${bits.toString(16)} mean nothing here`);
const moved = (price, difference) => BigInt.asIntN(64, price + difference);
const check = (seq) => {
  let sum = 0;
  for (; seq > 0n; seq >>= 8n) sum += Number(seq & 0xffn);
  return sum & 0xff;
};

/** The topics that a client follows, and their states. */
export class Client {
  #topics = new Map();

  /** A topic as its answer describes it: `channel` (with `depth` or `interval`), `price_exponent`, `size_exponent`. */
  follow(number, topic) {
    this.#topics.set(number, { ...topic, held: null, state: CHANNELS[topic.channel].empty });
  }

  /** The messages of one binary message of the server. */
  read(bytes) {
    const reader = new Reader(bytes);
    const messages = [];
    let merged = null;
    while (reader.at < bytes.length) {
      const start = reader.at;
      const number = reader.number(34);
      const topic = this.#topics.get(Number(number >> 2n));
      if (!topic) throw new RecordError(start, `nobody follows topic ${number >> 2n}`);
      if (merged && (merged.topic !== topic || Number(number & 3n) !== 2)) throw new RecordError(start, NO_SNAPSHOT);
      let flags = Number(number & 3n) === 1 ? STEP : 0;
      if (Number(number & 3n) === 3) {
        const at = reader.at;
        flags = reader.byte();
        if (flags === 0) {
          messages.push(gap(reader, topic));
          continue;
        }
        if (flags === 1) {
          merged = { topic, numbers: { prev_seq: Number(reader.number()), n: Number(reader.number(32)) } };
          continue;
        }
        if (flags < UPDATE) throw new RecordError(at, `there is no kind ${flags}`);
        const unknown = flags & ~(UPDATE | STEP | MERGED | BACKWARDS | (CHANNELS[topic.channel].flags ?? 0));
        if (unknown) throw meaningless(at, unknown);
      }
      if (Number(number & 3n) === 2) {
        messages.push(snapshot(reader, topic, merged?.numbers));
        merged = null;
      } else {
        messages.push(update(reader, topic, flags));
      }
    }
    if (merged) throw new RecordError(bytes.length, NO_SNAPSHOT);
    return messages;
  }
}

const UPDATE = 0x80;
const STEP = 0x01;
const MERGED = 0x02;
const BACKWARDS = 0x04;
const CHECKSUM = 0x08;
const NO_BID = 0x10;
const NO_ASK = 0x20;

function head(topic, type, numbers) {
  const { channel, depth, interval } = topic;
  return { channel, ...(depth && { depth }), ...(interval && { interval }), type, ...numbers };
}

function gap(reader, topic) {
  const prev_seq = Number(reader.number());
  const seq = prev_seq + Number(reader.positive("step"));
  const ts_event = Number(reader.time());
  return head(topic, "gap", { from: prev_seq + 1, to: seq, seq, prev_seq, ts_event });
}

function snapshot(reader, topic, merged) {
  const channel = CHANNELS[topic.channel];
  const seq = reader.number();
  const ts_event = reader.time();
  const epoch = reader.text("epoch");
  const { state, extra } = channel.snapshot(reader, topic);
  topic.held = { seq, ts_event };
  topic.state = state;
  const fields = channel.fields(state, topic);
  return head(topic, "snapshot", { epoch, seq: Number(seq), ...merged, ts_event: Number(ts_event), ...fields, ...extra });
}

function update(reader, topic, flags) {
  const channel = CHANNELS[topic.channel];
  const found = reader.byte();
  const step = flags & STEP ? reader.positive("step") : 1n;
  const n = flags & MERGED ? Number(reader.positive("n", 32)) : 1;
  const time = reader.number(63);
  const old = topic.state;
  const { state, extra } = channel.update(reader, topic, old, flags);

  if (!topic.held) throw new Missed("no update comes before a snapshot");
  const { seq: prev_seq, ts_event: before } = topic.held;
  const seq = prev_seq + step;
  if (check(seq) !== found) throw new Missed(`a step of ${step} and check ${found} do not follow ${prev_seq}`);
  const ts_event = flags & BACKWARDS ? before - time : before + time;
  topic.held = { seq, ts_event };
  topic.state = state;
  const numbers = { seq: Number(seq), prev_seq: Number(prev_seq), ...(n > 1 && { n }), ts_event: Number(ts_event) };
  const fields = channel.changed?.(old, state, topic) ?? different(channel.fields(old, topic), channel.fields(state, topic));
  return head(topic, "update", { ...numbers, ...fields, ...extra });
}

const different = (old, fields) => Object.fromEntries(Object.entries(fields).filter(([name, value]) => old[name] !== value));

const BID = 1;
const BID_SIZE = 2;
const ASK = 4;
const ASK_SIZE = 8;

const quote = {
  empty: { bid: null, ask: null },
  flags: NO_BID | NO_ASK,
  snapshot: (reader, topic) => quote.update(reader, topic, quote.empty, 0),
  update(reader, _topic, old, flags) {
    const start = reader.at;
    const fields = reader.byte();
    const scale = (fields >> 4) & 3;
    const step = fields >> 6;
    const prices = fields & (BID | ASK);
    if (step && prices !== BID && prices !== ASK) throw meaningless(start, fields);
    const side = (old, bits, gone) => {
      if (flags & gone) {
        if (fields & bits) throw meaningless(start, fields & bits);
        return null;
      }
      if (!(fields & bits)) return old;
      const side = { ...(old ?? { price: 0n, size: 0n }) };
      if (fields & bits & (BID | ASK)) side.price = moved(side.price, step ? unzigzag(BigInt(step)) : reader.signed());
      if (fields & bits & (BID_SIZE | ASK_SIZE)) side.size = reader.size(scale);
      return side;
    };
    return { state: { bid: side(old.bid, BID | BID_SIZE, NO_BID), ask: side(old.ask, ASK | ASK_SIZE, NO_ASK) } };
  },
  fields: ({ bid, ask }, { price_exponent, size_exponent }) => ({
    bid: bid && decimal(bid.price, price_exponent),
    bid_size: bid && decimal(bid.size, size_exponent),
    ask: ask && decimal(ask.price, price_exponent),
    ask_size: ask && decimal(ask.size, size_exponent),
  }),
};

const trade = {
  empty: null,
  snapshot: (reader, topic) => (reader.exists() ? trade.update(reader, topic, null) : { state: null }),
  update(reader, _topic, old) {
    const start = reader.at;
    const fields = reader.byte();
    if ((fields & 3) === 3) throw new RecordError(start, "`side` is 3");
    const step = fields >> 5;
    const price = moved(old?.price ?? 0n, step ? unzigzag(BigInt(step - 1)) : reader.signed());
    const size = reader.size((fields >> 3) & 3);
    const id = fields & 4 ? BigInt.asUintN(64, (old?.id ?? 0n) + reader.signed()) : null;
    return { state: { price, size, side: ["none", "buy", "sell"][fields & 3], id } };
  },
  fields: (trade, { price_exponent, size_exponent }) =>
    trade && {
      price: decimal(trade.price, price_exponent),
      size: decimal(trade.size, size_exponent),
      side: trade.side,
      ...(trade.id !== null && { id: String(trade.id) }),
    },
  changed: (_old, state, topic) => trade.fields(state, topic),
};

const book = {
  empty: { bids: [], asks: [] },
  flags: CHECKSUM,
  snapshot(reader, topic) {
    const extra = { checksum: reader.checksum() };
    return { state: reader.exists() ? levels(reader, topic, book.empty) : book.empty, extra };
  },
  update(reader, topic, old, flags) {
    const extra = flags & CHECKSUM ? { checksum: reader.checksum() } : {};
    return { state: levels(reader, topic, old), extra };
  },
  fields: ({ bids, asks }, topic) => ({ bids: bids.map(pair(topic)), asks: asks.map(pair(topic)) }),
  /** As JSON lists them: levels that fell past the depth are deleted too. */
  changed(old, state, topic) {
    const sides = [["bids", -1], ["asks", 1]].map(([side, direction]) => {
      const gone = old[side].filter(({ price }) => !state[side].some((level) => level.price === price));
      const set = state[side].filter(({ price, size }) => !old[side].some((level) => level.price === price && level.size === size));
      const all = [...gone.map(({ price }) => ({ price, size: 0n })), ...set];
      return [side, all.sort((a, b) => (a.price < b.price ? -direction : direction)).map(pair(topic))];
    });
    return Object.fromEntries(sides.filter(([, levels]) => levels.length > 0));
  },
};

const pair = ({ price_exponent, size_exponent }) => ({ price, size }) => [decimal(price, price_exponent), decimal(size, size_exponent)];

function levels(reader, topic, old) {
  const sides = [old.bids, old.asks].map((levels) => ({ levels: [...levels], price: levels[0]?.price ?? 0n }));
  let scale = null;
  for (let more = true; more; ) {
    const start = reader.at;
    const first = reader.byte();
    const bits = scale === null ? 4 : 2;
    scale ??= (first >> 2) & 3;
    let distance = BigInt((first & 0x7f) >> bits);
    if (first >= 0x80) {
      const rest = reader.number();
      distance |= rest << BigInt(7 - bits);
      if (rest === 0n || distance >> 64n) throw new RecordError(start, OVERLONG);
    }
    const isAsk = Boolean(first & 2);
    const side = sides[Number(isAsk)];
    const worse = unzigzag(distance);
    side.price = moved(side.price, isAsk ? worse : -worse);
    set(side.levels, side.price, reader.size(scale), isAsk);
    more = Boolean(first & 1);
  }
  const [bids, asks] = sides.map(({ levels }) => levels.slice(0, topic.depth));
  return { bids, asks };
}

function set(levels, price, size, isAsk) {
  const found = levels.findIndex((level) => (isAsk ? level.price >= price : level.price <= price));
  const at = found < 0 ? levels.length : found;
  const isThere = levels[at]?.price === price;
  levels.splice(at, isThere ? 1 : 0, ...(size === 0n ? [] : [{ price, size }]));
}

/** A bitmap of known bits; `pairs` exclude each other. */
function bitmap(reader, known, pairs = []) {
  const start = reader.at;
  const fields = Number(reader.number(32));
  const unknown = (fields & ~known) >>> 0;
  if (unknown) throw meaningless(start, unknown);
  for (const [gone, of] of pairs) if (fields & gone && fields & of) throw meaningless(start, fields & (gone | of));
  return fields;
}

const sum = (old, difference) => BigInt.asIntN(128, old + difference);
const count = (old, difference) => BigInt.asUintN(64, old + difference);

/** The bits of a ticker's fields that belong to its session: volume, notional, trades, high, low, open. */
const SESSION = 0b11_1111_0000;
/** A bit that says that something is gone, and the bits that cannot be there with it. */
const TICKER_PAIRS = [[1 << 11, 0b11], [1 << 12, 1 << 2], [1 << 13, 1 << 3], [1 << 14, SESSION], [1 << 15, 1 << 10]];

const ticker = {
  empty: { last: null, bid: null, ask: null, session: null, close: null },
  snapshot: (reader, topic) => ticker.update(reader, topic, ticker.empty),
  update(reader, _topic, old) {
    const fields = bitmap(reader, 0xffff, TICKER_PAIRS);
    const is = (bit) => Boolean(fields & (1 << bit));
    const price = (bit, gone, old) => (is(bit) ? moved(old ?? 0n, reader.signed()) : is(gone) ? null : old);
    const state = { ...old };
    if (is(0) || is(1)) state.last = { ...(old.last ?? { price: 0n, size: 0n }) };
    if (is(0)) state.last.price = moved(state.last.price, reader.signed());
    if (is(1)) state.last.size = reader.size(0);
    if (is(11)) state.last = null;
    state.bid = price(2, 12, old.bid);
    state.ask = price(3, 13, old.ask);
    if (fields & SESSION) {
      const session = { ...(old.session ?? { open: 0n, high: 0n, low: 0n, volume: 0n, notional: 0n, trades: 0n }) };
      if (is(4)) session.volume = sum(session.volume, reader.signed(128));
      if (is(5)) session.notional = sum(session.notional, reader.signed(128));
      if (is(6)) session.trades = count(session.trades, reader.signed());
      if (is(7)) session.high = moved(session.high, reader.signed());
      if (is(8)) session.low = moved(session.low, reader.signed());
      if (is(9)) session.open = moved(session.open, reader.signed());
      state.session = session;
    }
    if (is(14)) state.session = null;
    state.close = price(10, 15, old.close);
    return { state };
  },
  fields({ last, bid, ask, session, close }, { price_exponent, size_exponent }) {
    const price = (value) => (value === null || value === undefined ? null : decimal(value, price_exponent));
    const change = last && session && last.price - session.open;
    return {
      last: price(last?.price),
      last_size: last && decimal(last.size, size_exponent),
      bid: price(bid),
      ask: price(ask),
      open: price(session?.open),
      high: price(session?.high),
      low: price(session?.low),
      close: price(close),
      ...sums(session, price_exponent, size_exponent),
      change: change === null ? null : decimal(change, price_exponent),
      change_percent: change === null ? null : ratio(change * 100n, session.open, 0),
    };
  },
};

const bar = {
  empty: null,
  snapshot: (reader, topic) => (reader.exists() ? bar.update(reader, topic, null) : { state: null }),
  update(reader, _topic, old) {
    const fields = bitmap(reader, 0x1ff);
    const is = (bit) => Boolean(fields & (1 << bit));
    const close = old?.close ?? 0n;
    const isNew = is(8) || old === null;
    const state = isNew
      ? { start: old?.start ?? 0n, open: close, high: close, low: close, close, volume: 0n, notional: 0n, trades: 0n, final: false }
      : { ...old };
    if (is(8)) state.start = moved(state.start, reader.signed());
    if (is(0)) state.high = moved(state.high, reader.signed());
    if (is(1)) state.low = moved(state.low, reader.signed());
    if (is(2)) state.close = moved(state.close, reader.signed());
    if (is(3)) state.volume = sum(state.volume, reader.signed(128));
    if (is(4)) state.notional = sum(state.notional, reader.signed(128));
    if (is(5)) state.trades = count(state.trades, reader.signed());
    if (is(7)) state.open = moved(state.open, reader.signed());
    if (is(6)) state.final = !state.final;
    return { state };
  },
  fields(bar, { price_exponent, size_exponent }) {
    const price = (value) => (bar ? decimal(value, price_exponent) : null);
    return {
      start: bar && Number(bar.start),
      open: price(bar?.open),
      high: price(bar?.high),
      low: price(bar?.low),
      close: price(bar?.close),
      ...sums(bar, price_exponent, size_exponent),
      final: bar?.final ?? false,
    };
  },
  /** The first update of a new bar has all its fields. */
  changed: (old, state, topic) => (old?.start === state.start ? undefined : bar.fields(state, topic)),
};

const status = {
  empty: null,
  snapshot: (reader, topic) => status.update(reader, topic),
  update(reader) {
    const start = reader.at;
    const state = reader.byte();
    if (state >= STATES.length) throw new RecordError(start, `\`state\` is ${state}`);
    return { state: { state: STATES[state], reason: reader.text("reason") } };
  },
  fields: (status) => status,
  changed: (_old, status) => status,
};

const CHANNELS = { quote, trade, book, ticker, bar, status };

function sums(totals, price_exponent, size_exponent) {
  return {
    volume: totals && decimal(totals.volume, size_exponent),
    notional: totals && decimal(totals.notional, price_exponent + size_exponent),
    vwap: totals && ratio(totals.notional, totals.volume, price_exponent),
    trades: totals && Number(totals.trades),
  };
}

/** A mantissa with all digits of its exponent. */
function decimal(mantissa, exponent) {
  const sign = mantissa < 0n ? "-" : "";
  const digits = String(mantissa < 0n ? -mantissa : mantissa);
  if (exponent >= 0) return mantissa === 0n ? "0" : sign + digits + "0".repeat(exponent);
  const padded = digits.padStart(1 - exponent, "0");
  return `${sign}${padded.slice(0, exponent)}.${padded.slice(exponent)}`;
}

/** A ratio times ten to the exponent with four more decimals, rounded half to even; null where nothing is divided. */
function ratio(numerator, denominator, exponent) {
  if (denominator <= 0n) return null;
  const scaled = (numerator < 0n ? -numerator : numerator) * 10n ** BigInt(4 + Math.max(exponent, 0));
  let quotient = scaled / denominator;
  const twice = (scaled % denominator) * 2n;
  if (twice > denominator || (twice === denominator && quotient & 1n)) quotient += 1n;
  return decimal(numerator < 0n ? -quotient : quotient, Math.min(exponent, 0) - 4);
}
