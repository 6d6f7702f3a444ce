// The topics of a client: those of this connection, and what is held of the ones before.

import { ProtocolError } from "./fault.ts";
import { TOPICS_MAX } from "./limits.ts";
import type { Answer, ChannelName, GrantedTopic } from "./messages.ts";
import type { Holdings } from "./subscriptions.ts";
import { Topic } from "./topic.ts";

type ChannelOf = { channel: ChannelName; depth?: number; interval?: string };

export class Topics {
  readonly #byName = new Map<string, Topic>();
  /** Of this connection: also those that were left meanwhile, whose records may still be on their way. */
  readonly #byNumber = new Map<number, Topic>();
  readonly #held = new Map<string, Topic>();

  get(key: string, symbol: string): Topic | undefined {
    return this.#byName.get(name(key, symbol));
  }

  readonly byNumber = (number: number): Topic | undefined => this.#byNumber.get(number);

  has(topic: Topic): boolean {
    return this.#byName.get(name(topic.key, topic.symbol)) === topic;
  }

  all(): IterableIterator<Topic> {
    return this.#byName.values();
  }

  /** A topic that is followed from now on, with what was held of it. */
  grant(key: string, channel: ChannelOf, granted: GrantedTopic, isDelayed: boolean): void {
    const topic = this.#enter(key, channel, granted.symbol, granted);
    topic.grant(granted);
    topic.isDelayed = isDelayed;
    this.#byNumber.set(granted.topic, topic);
    if (this.#byNumber.size > 2 * TOPICS_MAX) throw new ProtocolError("the server gives out numbers without end");
  }

  /** A topic by its first message, where there are no answers, as by server-sent events. */
  meet(key: string, channel: ChannelOf, symbol: string): Topic {
    return this.get(key, symbol) ?? this.#enter(key, channel, symbol, null);
  }

  #enter(key: string, channel: ChannelOf, symbol: string, granted: GrantedTopic | null): Topic {
    const full = name(key, symbol);
    let topic = this.#byName.get(full);
    if (!topic) {
      if (this.#byName.size >= TOPICS_MAX) throw new ProtocolError(`more than ${TOPICS_MAX} topics`);
      topic = this.#held.get(full) ?? new Topic(key, channel, symbol, granted);
      this.#held.delete(full);
      this.#byName.set(full, topic);
    }
    return topic;
  }

  /** It is followed no more. */
  leave(key: string, symbols: readonly string[]): void {
    if (symbols.includes("*")) {
      for (const topics of [this.#byName, this.#held]) for (const [full, topic] of topics) if (topic.key === key) topics.delete(full);
    } else {
      for (const symbol of symbols) for (const topics of [this.#byName, this.#held]) topics.delete(name(key, symbol));
    }
  }

  /** The connection is over: its states are held for the next one. */
  hold(): void {
    for (const [full, topic] of this.#byName) {
      topic.isPaused = false;
      if (topic.isHeld) this.#held.set(full, topic);
    }
    this.#byName.clear();
    this.#byNumber.clear();
  }

  /** What is held of a channel; of several epochs, of the newest topic's. */
  holdings(key: string): Holdings | null {
    const topics = [...this.#held.values()].filter((topic) => topic.key === key);
    const epoch = topics.at(-1)?.epoch;
    if (epoch === undefined || epoch === null) return null;
    return { epoch, seq: new Map(topics.filter((topic) => topic.epoch === epoch).map((topic) => [topic.symbol, topic.seq])) };
  }

  /** The epoch of an answer: what is held of others is void. Whether there was such. */
  keepEpoch({ epoch }: Answer): boolean {
    if (epoch === undefined) return false;
    let isNew = false;
    for (const [full, topic] of this.#held) {
      if (topic.epoch === epoch) continue;
      this.#held.delete(full);
      isNew = true;
    }
    return isNew;
  }

  /** A snapshot's epoch: where its topic had a state of another one, every state of that one is void. Whether it had. */
  enterEpoch(topic: Topic, epoch: string): boolean {
    const old = topic.epoch;
    if (old === null || old === epoch) return false;
    for (const other of this.#byName.values()) if (other !== topic && other.epoch === old) other.void();
    for (const [full, other] of this.#held) if (other.epoch === old) this.#held.delete(full);
    return true;
  }
}

const name = (key: string, symbol: string): string => `${key} ${symbol}`;
