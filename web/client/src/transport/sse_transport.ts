// Server-sent events in the place of a socket: one stream for each channel that is followed.

import { SSE_STREAMS_MAX } from "../limits.ts";
import type { Channel, Rate } from "../messages.ts";
import { SseStream } from "./sse.ts";
import type { Transport, TransportEvents } from "./transport.ts";

/** How long changes to what is followed are gathered, so that many make one new stream. */
const GATHER_MS = 20;

interface Followed {
  channel: Channel;
  symbols: readonly string[];
  rate: Rate;
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

  open(): void {
    if (this.#isOpen) return;
    this.#isOpen = true;
    this.#events?.opened();
  }

  /** `false`: there are too many streams. */
  follow(key: string, channel: Channel, symbols: readonly string[], rate: Rate): boolean {
    let followed = this.#followed.get(key);
    if (!followed) {
      if (this.#followed.size >= SSE_STREAMS_MAX) return false;
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
    followed.stream?.close();
    const { channel, rate } = followed.channel.channel === "trade" ? { ...followed, rate: "raw" } : followed;
    const query = new URLSearchParams({ ...channel, symbols: followed.symbols.join(",") } as Record<string, string>);
    if (rate !== "raw") query.set("max_frequency", rate);
    followed.stream = new SseStream(this.#fetch, `${this.#url}?${query}`, this.#token, "", {
      opened: () => this.open(),
      text: (text) => this.#events?.text(text),
      heard: () => this.#events?.heard(),
      ended: (reason, isRefused) => {
        const events = this.#events;
        this.close();
        events?.ended(0, reason, isRefused);
      },
    });
  }
}
