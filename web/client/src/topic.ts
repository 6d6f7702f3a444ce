// One topic as a client knows it: a state, its number, and the proof that it is the server's.

import { RecordTopic } from "./binary/records.ts";
import { Book } from "./book.ts";
import { isDecimal } from "./decimal.ts";
import { ProtocolError } from "./fault.ts";
import type { ChannelName, DataMessage, Fields, GrantedTopic } from "./messages.ts";

/** How a topic was found not to be what the server has. */
export type Divergence =
  /** A message is missing before this one; a binary one does not tell which state it follows. */
  | { kind: "gap"; expected: number; found: number | null }
  | { kind: "checksum"; ours: number; theirs: number }
  /** A book with more levels a side than its depth. */
  | { kind: "overfull"; levels: number };

/** What a message did: nothing, as the topic is void or asked for anew; a new state; a trade; or it showed a divergence. */
export type Applied = "ignored" | "state" | "proven" | "trade" | Divergence;

const PRICES = new Set(["bid", "ask", "price", "last", "open", "high", "low", "close"]);
const SIZES = new Set(["bid_size", "ask_size", "size", "last_size"]);
/** Fields that say which state it is, and not what is in it. */
const ENVELOPE = new Set(["channel", "depth", "interval", "type", "symbol", "epoch", "seq", "prev_seq", "n", "ts_event", "from", "to", "checksum", "notional"]);

export class Topic extends RecordTopic {
  readonly key: string;
  readonly symbol: string;
  epoch: string | null = null;
  seq = 0;
  ts_event = 0;
  /** Whether the data is late by the server's delay. */
  isDelayed = false;
  /** `null` where the exponents are not known, as by server-sent events. */
  exponents: { price_exponent: number; size_exponent: number } | null;
  /** How often it was asked for anew since it was last proven. */
  resyncs = 0;
  #values: Fields[ChannelName] | null = null;

  constructor(key: string, channel: { channel: ChannelName; depth?: number; interval?: string }, symbol: string, granted: GrantedTopic | null) {
    super({ ...channel, price_exponent: granted?.price_exponent ?? 0, size_exponent: granted?.size_exponent ?? 0 });
    this.key = key;
    this.symbol = symbol;
    this.exponents = granted && { price_exponent: granted.price_exponent, size_exponent: granted.size_exponent };
  }

  /** The state, if it is known. */
  get values(): Fields[ChannelName] | null {
    return this.isPaused ? null : this.#values;
  }

  /** Whether there is a state, if only an old one, that the server can go on from. */
  get isHeld(): boolean {
    return this.#values !== null && this.epoch !== null;
  }

  override void(): void {
    super.void();
    this.#values = null;
    this.epoch = null;
  }

  /** The server's answer to a request for it. */
  grant({ price_exponent, size_exponent }: GrantedTopic): void {
    if (this.exponents?.price_exponent !== price_exponent || this.exponents.size_exponent !== size_exponent) this.void();
    this.exponents = { price_exponent, size_exponent };
    this.scale = { ...this.scale, price_exponent, size_exponent };
    this.isPaused = false;
  }

  /** It is asked for anew, from the state that is held, if one is; how often in a row. */
  askAnew(): number {
    this.isPaused = true;
    this.resyncs += 1;
    return this.resyncs;
  }

  /** Messages up to `to` are lost, as the server says. */
  skip({ prev_seq, to }: DataMessage): Applied {
    if (this.isPaused || this.#values === null) return "ignored";
    if (prev_seq !== this.seq) return { kind: "gap", expected: this.seq, found: prev_seq ?? null };
    this.seq = to ?? this.seq;
    return "state";
  }

  /** Throws a {@link ProtocolError} where the message makes no sense. */
  apply(message: DataMessage): Applied {
    if (this.isPaused) return "ignored";
    const isSnapshot = message.type === "snapshot";
    if (!isSnapshot && this.#values === null) return "ignored";
    if (message.prev_seq !== undefined && this.#values !== null && message.prev_seq !== this.seq) {
      return { kind: "gap", expected: this.seq, found: message.prev_seq };
    }
    if (isSnapshot) {
      if (typeof message.epoch !== "string") throw new ProtocolError("a snapshot without an epoch");
      this.epoch = message.epoch;
    }
    this.seq = message.seq;
    this.ts_event = message.ts_event;
    if (this.channel === "book") return this.#applyBook(message, isSnapshot);

    // A trade is whole in itself; of the other channels what is not named stays as it is.
    const values: Record<string, unknown> = isSnapshot || this.channel === "trade" ? {} : { ...this.#values };
    for (const name in message) {
      if (ENVELOPE.has(name)) continue;
      const value = message[name];
      if (typeof value === "string" && this.exponents) this.#check(name, value);
      values[name] = value;
    }
    this.#values = values as unknown as Fields[ChannelName];
    if (!isSnapshot) this.resyncs = 0;
    return this.channel === "trade" && !isSnapshot ? "trade" : "state";
  }

  #applyBook(message: DataMessage, isSnapshot: boolean): Applied {
    if (isSnapshot) this.#values = new Book();
    const book = this.#values as Book;
    book.apply(message as unknown as Partial<Fields["book"]>, this.exponents);
    if (this.depth !== undefined && book.levels > this.depth) return { kind: "overfull", levels: book.levels };
    if (message.checksum === undefined) return "state";
    const ours = book.checksum();
    if (ours !== message.checksum) return { kind: "checksum", ours, theirs: message.checksum };
    // A snapshot proves nothing about the deltas that follow, a checksum on one does.
    if (!isSnapshot) this.resyncs = 0;
    return "proven";
  }

  #check(name: string, value: string): void {
    const { price_exponent, size_exponent } = this.exponents!;
    const isRight = PRICES.has(name) ? isDecimal(value, price_exponent) : SIZES.has(name) ? isDecimal(value, size_exponent) : true;
    if (!isRight) throw new ProtocolError(`${this.key} of ${this.symbol}: \`${name}\` is \`${value}\`, which has not the instrument's decimals`);
  }
}
