// What comes from the server, and what a client makes of it.

import { readRecords } from "./binary/records.ts";
import type { ClientEvents, Stats, SystemMessage } from "./events.ts";
import { ProtocolError } from "./fault.ts";
import { MESSAGE_BYTES_MAX, RESYNCS_IN_A_ROW_MAX } from "./limits.ts";
import { type Answer, channelKey, type DataMessage, type Failure } from "./messages.ts";
import type { Subscriptions } from "./subscriptions.ts";
import type { Applied, Divergence, Topic } from "./topic.ts";
import type { Topics } from "./topics.ts";

export type Json = Record<string, unknown>;

/** What the intake needs of the client that it belongs to. */
export interface Owner {
  tell<Name extends keyof ClientEvents>(name: Name, ...values: ClientEvents[Name]): void;
  /** Whether the connection is still the one that the message came by. */
  isLive(): boolean;
  /** By server-sent events there are no requests, and so no answers. */
  hasRequests(): boolean;
  /** Asks for a topic anew: for what it lacks behind `held`, or for all of it. */
  askAnew(topic: Topic, held: number | null): void;
  /** `false`: nobody waits for this answer. */
  answered(id: unknown, result: Json | null, failure: Failure | null): boolean;
  waitAtLeast(ms: number): void;
  /** The server is about to end the connection, with that close code. */
  closing(code: number, reason: string | null): void;
  renewToken(): void;
  lost(reason: string): void;
}

const CHANNELS = new Set<unknown>(["quote", "trade", "book", "ticker", "bar", "status"]);

/** Throws a {@link ProtocolError}, or what `JSON.parse` or a record's reader throws, where the server does not keep to the protocol. */
export class Intake {
  readonly #topics: Topics;
  readonly #subscriptions: Subscriptions;
  readonly #stats: Stats;
  readonly #owner: Owner;

  constructor(topics: Topics, subscriptions: Subscriptions, stats: Stats, owner: Owner) {
    this.#topics = topics;
    this.#subscriptions = subscriptions;
    this.#stats = stats;
    this.#owner = owner;
  }

  take(text: string): void {
    if (text.length > MESSAGE_BYTES_MAX) throw new ProtocolError(`a message of ${text.length} characters`);
    this.#stats.frames += 1;
    this.#stats.bytes += text.length;
    const parsed: unknown = JSON.parse(text);
    // Server-sent events may be one object each.
    const messages = Array.isArray(parsed) ? parsed : this.#owner.hasRequests() ? null : [parsed];
    if (!messages) throw new ProtocolError("a message is no array");
    for (const message of messages) {
      if (typeof message !== "object" || message === null) throw new ProtocolError("a message is no object");
      this.#stats.messages += 1;
      this.#takeMessage(message as Json);
      if (!this.#owner.isLive()) return;
    }
  }

  takeRecords(bytes: Uint8Array): void {
    if (bytes.length > MESSAGE_BYTES_MAX) throw new ProtocolError(`a message of ${bytes.length} bytes`);
    this.#stats.frames += 1;
    this.#stats.bytes += bytes.length;
    readRecords(bytes, this.#topics.byNumber, ({ topic, message }) => {
      if (!this.#owner.isLive()) return;
      this.#stats.messages += 1;
      if (!this.#topics.has(topic)) this.#stats.ignored += 1;
      else if (message) this.#takeData(topic, message);
      else if (topic.isHeld) this.#diverged(topic, { kind: "gap", expected: topic.seq, found: null });
      else this.#stats.ignored += 1;
    });
  }

  #takeMessage(message: Json): void {
    const { channel } = message;
    if ("method" in message) this.#takeAnswer(message);
    else if (CHANNELS.has(channel)) this.#takeNamed(message as unknown as DataMessage);
    else if (channel === "heartbeat") this.#owner.tell("heartbeat", message as unknown as ClientEvents["heartbeat"][0]);
    else if (channel === "system") this.#takeSystem(message as SystemMessage);
  }

  #takeNamed(message: DataMessage): void {
    const { symbol } = message;
    if (typeof symbol !== "string" || !Number.isSafeInteger(message.seq)) throw new ProtocolError("data without `symbol` or `seq`");
    const key = channelKey(message);
    const isMet = !this.#owner.hasRequests() && this.#subscriptions.has(key, symbol);
    const topic = isMet ? this.#topics.meet(key, message, symbol) : this.#topics.get(key, symbol);
    if (topic) this.#takeData(topic, message);
    else this.#stats.ignored += 1;
  }

  #takeData(topic: Topic, message: DataMessage): void {
    const { type, epoch } = message;
    if (type === "gap") return this.#takeGap(topic, message);
    if (type === "snapshot" && epoch !== undefined && this.#topics.enterEpoch(topic, epoch)) this.#owner.tell("epoch", epoch);
    const applied = topic.apply(message);
    if (typeof applied === "object") {
      // The records' own state is already the snapshot's.
      if (type === "snapshot") topic.void();
      return this.#diverged(topic, applied);
    }
    this.#count(applied, message);
    if (applied === "trade") this.#owner.tell("trade", topic, message);
    else if (applied !== "ignored") this.#owner.tell("state", topic, message);
  }

  #takeGap(topic: Topic, message: DataMessage): void {
    const skipped = topic.skip(message);
    if (typeof skipped === "object") return this.#diverged(topic, skipped);
    if (skipped === "ignored") {
      this.#stats.ignored += 1;
      return;
    }
    const lost = message.seq - (message.prev_seq ?? message.seq);
    this.#stats.lost += lost;
    this.#owner.tell("gap", topic, lost);
  }

  #count(applied: Exclude<Applied, Divergence>, { type, prev_seq, n = 1 }: DataMessage): void {
    const stats = this.#stats;
    if (applied === "ignored") {
      stats.ignored += 1;
      return;
    }
    if (applied === "proven") stats.checksumsOk += 1;
    if (type === "snapshot") stats.snapshots += 1;
    else stats.updates += 1;
    if (prev_seq === undefined) return;
    stats.merged += n;
    if (n > 1) stats.merges += 1;
  }

  /** A topic is not what the server has: it is void until what it lacks, or all of it, has come. */
  #diverged(topic: Topic, divergence: Divergence): void {
    // Before a gap, the state is what the server's was at its number.
    if (divergence.kind === "gap") this.#stats.gaps += 1;
    else topic.void();
    if (divergence.kind === "checksum") this.#stats.checksumsFailed += 1;
    this.#stats.resyncs += 1;
    const held = topic.isHeld ? topic.seq : null;
    const inARow = topic.askAnew();
    this.#owner.askAnew(topic, held);
    this.#owner.tell("diverged", topic, divergence);
    if (inARow > RESYNCS_IN_A_ROW_MAX) this.#owner.lost(`${topic.key} of ${topic.symbol} diverged again and again`);
  }

  #takeAnswer(answer: Json): void {
    const method = (answer.method as string | null) ?? null;
    if (answer.success !== true) {
      const failure = answer.error as Failure;
      if (typeof failure?.code !== "string") throw new ProtocolError("an error without a code");
      if (!this.#owner.answered(answer.req_id, null, failure)) this.#owner.tell("failed", method, failure);
      // Only we ask that, and the topic would stay void.
      if (method === "resync") this.#owner.lost(`the server does not give a topic anew: ${failure.message}`);
      return;
    }
    this.#owner.answered(answer.req_id, answer.result as Json, null);
    if (method === "subscribe" || method === "resync") this.#takeGrant(method, answer.result as Answer & Json);
    else if (method === "unsubscribe") this.#takeRemoval(answer.result as Answer);
  }

  #takeGrant(method: "subscribe" | "resync", answer: Answer & Json): void {
    if (this.#topics.keepEpoch(answer)) this.#owner.tell("epoch", answer.epoch!);
    const granted = answer.granted ?? (method === "resync" ? [answer as never] : []);
    for (const topic of granted) this.#topics.grant(channelKey(answer), answer, topic, answer.delayed ?? false);
    if (method === "subscribe") this.#owner.tell("subscribed", { ...answer, granted });
  }

  /** Who left a topic before it was granted was told of it nevertheless. */
  #takeRemoval(answer: Answer): void {
    const key = channelKey(answer);
    for (const symbol of answer.removed ?? []) if (!this.#subscriptions.has(key, symbol)) this.#topics.leave(key, [symbol]);
  }

  #takeSystem(message: SystemMessage): void {
    const wait = message.reconnect_after_ms ?? message.retry_after_ms;
    if (typeof wait === "number") this.#owner.waitAtLeast(wait);
    if (message.type === "closing" && typeof message.code === "number") {
      this.#owner.closing(message.code, typeof message.reason === "string" ? message.reason : null);
    }
    if (message.type === "token_expiring") this.#owner.renewToken();
    if (message.type === "entitlement") this.#takeEntitlement(message);
    this.#owner.tell("system", message);
  }

  #takeEntitlement({ removed, moved }: SystemMessage): void {
    type Named = Parameters<typeof channelKey>[0] & { symbol: string };
    for (const topic of (removed as Named[] | undefined) ?? []) this.#topics.leave(channelKey(topic), [topic.symbol]);
    for (const topic of (moved as Named[] | undefined) ?? []) {
      const known = this.#topics.get(channelKey(topic), topic.symbol);
      // Until it is granted anew, with its state.
      if (known) known.isPaused = true;
    }
  }
}
