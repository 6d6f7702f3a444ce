// Server-sent events in the place of a socket: one stream for each channel that is followed.

import { SSE_STREAMS_MAX } from "../limits.ts";
import type { Channel, Rate } from "../messages.ts";
import { type SseEnd, SseStream } from "./sse.ts";
import type { Transport, TransportEvents } from "./transport.ts";

/** How long changes to what is followed are gathered, so that many make one new stream. */
const GATHER_MS = 20;
/** Who asks is refused, and not what is asked for: no other stream is had either. */
const OF_THE_CLIENT = new Set(["AUTH_REQUIRED", "AUTH_FAILED", "ORIGIN_DENIED"]);
const AUTH_FAILED = 4002;

interface Followed {
  channel: Channel;
  symbols: readonly string[];
  rate: Rate;
  /** None before it begins, and where it is refused. */
  stream: SseStream | null;
  timer: ReturnType<typeof setTimeout> | undefined;
}

export class SseTransport implements Transport {
  readonly kind = "sse";
  readonly extensions = "";
  readonly #fetch: typeof globalThis.fetch;
  readonly #url: string;
  readonly #token: string | null;
  readonly #followed = new Map<string, Followed>();
  #events: TransportEvents | null;
  #isOpen = false;

  /** It is open with its first stream, or when it is said that there is nothing to follow. */
  constructor(fetch: typeof globalThis.fetch, url: string, token: string | null, events: TransportEvents) {
    this.#fetch = fetch;
    this.#url = url;
    this.#token = token;
    this.#events = events;
  }

  /** Whether nothing is to be heard: there is no stream, and none about to begin. */
  get isIdle(): boolean {
    return [...this.#followed.values()].every(({ stream, timer }) => !stream && timer === undefined);
  }

  get hasRoom(): boolean {
    return this.#followed.size < SSE_STREAMS_MAX;
  }

  follows(key: string): boolean {
    return this.#followed.has(key);
  }

  open(): void {
    if (this.#isOpen) return;
    this.#isOpen = true;
    this.#events?.opened();
  }

  /** `false`: there are too many streams. */
  follow(key: string, channel: Channel, symbols: readonly string[], rate: Rate): boolean {
    let followed = this.#followed.get(key);
    if (!followed) {
      if (!this.hasRoom) return false;
      followed = { channel, symbols, rate, stream: null, timer: undefined };
      this.#followed.set(key, followed);
    }
    Object.assign(followed, { symbols, rate });
    const entry = followed;
    clearTimeout(entry.timer);
    entry.timer = setTimeout(() => this.#start(entry), GATHER_MS);
    return true;
  }

  leave(key: string): void {
    const followed = this.#followed.get(key);
    clearTimeout(followed?.timer);
    followed?.stream?.close();
    this.#followed.delete(key);
  }

  /** Events go one way. */
  send(): boolean {
    return false;
  }

  close(): void {
    this.#events = null;
    for (const key of [...this.#followed.keys()]) this.leave(key);
  }

  #start(followed: Followed): void {
    followed.timer = undefined;
    followed.stream?.close();
    const { channel, rate } = followed.channel.channel === "trade" ? { ...followed, rate: "raw" } : followed;
    const query = new URLSearchParams({ ...channel, symbols: followed.symbols.join(",") } as Record<string, string>);
    if (rate !== "raw") query.set("max_frequency", rate);
    followed.stream = new SseStream(this.#fetch, `${this.#url}?${query}`, this.#token, "", {
      opened: () => this.open(),
      text: (text) => this.#events?.text(text),
      heard: () => this.#events?.heard(),
      ended: (end) => this.#ended(followed, end),
    });
  }

  #ended(followed: Followed, { reason, failure, ...more }: SseEnd): void {
    const isOfTheStream = failure && !OF_THE_CLIENT.has(failure.code);
    if (isOfTheStream) {
      followed.stream = null;
      this.open();
    }
    if (failure) this.#events?.refused(failure);
    if (isOfTheStream) return;
    const events = this.#events;
    this.close();
    events?.ended(failure?.code.startsWith("AUTH_") ? AUTH_FAILED : 0, reason, more);
  }
}
