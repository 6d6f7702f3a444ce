// `tickwire.v1.bin`: records in, the messages of `tickwire.v1.json` out, without `symbol`.

import type { ChannelName, DataMessage } from "../messages.ts";
import { bar } from "./bar.ts";
import { book } from "./book.ts";
import { type ChannelReader, different, type Scale, type Values } from "./channel.ts";
import { quote } from "./quote.ts";
import { meaningless, Reader, RecordError } from "./reader.ts";
import { status } from "./status.ts";
import { ticker } from "./ticker.ts";
import { trade } from "./trade.ts";

const CHANNELS: Record<ChannelName, ChannelReader<unknown>> = { quote, trade, book, ticker, bar, status } as never;

const UPDATE = 0x80;
const STEP = 0x01;
const MERGED = 0x02;
const BACKWARDS = 0x04;
const NO_SNAPSHOT = "the prefix of a snapshot stands before none";

/** A topic as a client of records holds it: what the next difference is to. */
export class RecordTopic {
  readonly channel: ChannelName;
  readonly depth: number | undefined;
  readonly interval: string | undefined;
  scale: Scale;
  /** Records are read and left aside: the topic was asked for anew. */
  isPaused = false;
  held: { seq: bigint; ts_event: bigint } | null = null;
  state: unknown;

  constructor(topic: { channel: ChannelName; depth?: number; interval?: string; price_exponent: number; size_exponent: number }) {
    this.channel = topic.channel;
    this.depth = topic.depth;
    this.interval = topic.interval;
    this.scale = { price_exponent: topic.price_exponent, size_exponent: topic.size_exponent, depth: topic.depth };
    this.state = CHANNELS[topic.channel].empty;
  }

  /** Nothing is held any more: a snapshot has to come. */
  void(): void {
    this.held = null;
    this.state = CHANNELS[this.channel].empty;
  }
}

/** What a record says: a message; or that it does not follow the state that is held. */
export type Told<Topic> = { topic: Topic; message: DataMessage } | { topic: Topic; message: null };

/**
 * The records of one binary message, in order; `find` knows topics by their numbers.
 *
 * Throws a {@link RecordError} where a record is none.
 */
export function readRecords<Topic extends RecordTopic>(bytes: Uint8Array, find: (number: number) => Topic | undefined, tell: (told: Told<Topic>) => void): void {
  const reader = new Reader(bytes);
  let prefix: { topic: Topic; numbers: { prev_seq: number; n: number } } | null = null;
  while (reader.at < bytes.length) {
    const start = reader.at;
    const number = Number(reader.number(34));
    const form = number % 4;
    const topic = find((number - form) / 4);
    if (!topic) throw new RecordError(start, `nobody follows topic ${(number - form) / 4}`);
    if (prefix && (prefix.topic !== topic || form !== 2)) throw new RecordError(start, NO_SNAPSHOT);
    let flags = form === 1 ? STEP : 0;
    if (form === 3) {
      const at = reader.at;
      flags = reader.byte();
      if (flags === 0) {
        const message = gap(reader, topic);
        if (!topic.isPaused) tell({ topic, message });
        continue;
      }
      if (flags === 1) {
        prefix = { topic, numbers: { prev_seq: Number(reader.number()), n: Number(reader.number(32)) } };
        continue;
      }
      if (flags < UPDATE) throw new RecordError(at, `there is no kind ${flags}`);
      const unknown = flags & ~(UPDATE | STEP | MERGED | BACKWARDS | (CHANNELS[topic.channel].flags ?? 0));
      if (unknown) throw meaningless(at, unknown);
    }
    if (form === 2) {
      const message = snapshot(reader, topic, prefix?.numbers);
      prefix = null;
      if (message) tell({ topic, message });
    } else {
      const message = update(reader, topic, flags);
      if (!topic.isPaused) tell({ topic, message });
    }
  }
  if (prefix) throw new RecordError(bytes.length, NO_SNAPSHOT);
}

function head({ channel, depth, interval }: RecordTopic, type: DataMessage["type"], rest: Values): DataMessage {
  return { channel, ...(depth && { depth }), ...(interval && { interval }), type, ...rest } as DataMessage;
}

function gap(reader: Reader, topic: RecordTopic): DataMessage {
  const prev_seq = Number(reader.number());
  const seq = prev_seq + Number(reader.positive("step"));
  return head(topic, "gap", { from: prev_seq + 1, to: seq, seq, prev_seq, ts_event: Number(reader.time()) });
}

function snapshot(reader: Reader, topic: RecordTopic, merged: Values | undefined): DataMessage | null {
  const channel = CHANNELS[topic.channel];
  const seq = reader.number();
  const ts_event = reader.time();
  const epoch = reader.text("epoch");
  const { state, extra } = channel.snapshot(reader, topic.scale);
  if (topic.isPaused) return null;
  topic.held = { seq, ts_event };
  topic.state = state;
  const fields = channel.fields(state, topic.scale);
  return head(topic, "snapshot", { epoch, seq: Number(seq), ...merged, ts_event: Number(ts_event), ...fields, ...extra });
}

/** `null`: it does not follow what is held, which stays as it is. */
function update(reader: Reader, topic: RecordTopic, flags: number): DataMessage | null {
  const channel = CHANNELS[topic.channel];
  const found = reader.byte();
  const step = flags & STEP ? reader.positive("step") : 1n;
  const n = flags & MERGED ? Number(reader.positive("n", 32)) : 1;
  const time = reader.number(63);
  const { state: old, held } = topic;
  const { state, extra } = channel.update(reader, topic.scale, old, flags);
  if (topic.isPaused || !held) return null;
  const seq = held.seq + step;
  if (check(seq) !== found) return null;
  const ts_event = flags & BACKWARDS ? held.ts_event - time : held.ts_event + time;
  topic.held = { seq, ts_event };
  topic.state = state;
  const numbers = { seq: Number(seq), prev_seq: Number(held.seq), ...(n > 1 && { n }), ts_event: Number(ts_event) };
  const fields = channel.changed?.(old, state, topic.scale) ?? different(channel.fields(old, topic.scale), channel.fields(state, topic.scale));
  return head(topic, "update", { ...numbers, ...fields, ...extra });
}

/** The sum of the eight bytes of a number, modulo 256. */
function check(seq: bigint): number {
  let sum = 0;
  for (; seq > 0n; seq >>= 8n) sum += Number(seq & 0xffn);
  return sum & 0xff;
}
