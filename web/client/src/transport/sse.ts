// One stream of server-sent events, by `fetch`: `EventSource` has no headers, and so no token.

import type { Failure } from "../messages.ts";
import { EventStream } from "./event_stream.ts";

export interface SseEvents {
  opened(): void;
  text(text: string): void;
  /** Any bytes, also those of a comment: the server lives. */
  heard(bytes: number): void;
  ended(end: SseEnd): void;
}

export interface SseEnd {
  reason: string;
  /** There is no stream, and will not be one the next time. */
  isRefused: boolean;
  /** After how long the server wants to be asked again. */
  retryMs: number | null;
  /** What the server says of that, where it is ours that says it, and not something on the way to it. */
  failure: Failure | null;
}

export class SseStream {
  readonly #abort = new AbortController();
  readonly #stream = new EventStream();
  #events: SseEvents | null;

  constructor(fetch: typeof globalThis.fetch, url: string, token: string | null, lastId: string, events: SseEvents) {
    this.#events = events;
    this.#stream.lastId = lastId;
    const headers: Record<string, string> = { Accept: "text/event-stream" };
    if (token !== null) headers.Authorization = `Bearer ${token}`;
    if (lastId !== "") headers["Last-Event-ID"] = lastId;
    this.#run(fetch, url, headers).catch((error: unknown) => this.#end({ reason: String(error) }));
  }

  get lastId(): string {
    return this.#stream.lastId;
  }

  close(): void {
    this.#events = null;
    this.#abort.abort();
  }

  async #run(fetch: typeof globalThis.fetch, url: string, headers: Record<string, string>): Promise<void> {
    const response = await fetch(url, { headers, cache: "no-store", signal: this.#abort.signal });
    const type = response.headers.get("Content-Type") ?? "";
    if (response.status !== 200 || !response.body || !type.startsWith("text/event-stream")) {
      const seconds = Number(response.headers.get("Retry-After") ?? Number.NaN);
      // What the server cannot do, or does not let us do, it will not do the next time.
      const isRefused = response.status >= 400 && response.status < 500 && response.status !== 429;
      const failure = isRefused && type.startsWith("application/problem+json") ? problem(await response.json()) : null;
      if (!failure) await response.body?.cancel();
      const reason = failure?.message ?? `status ${response.status}, ${type || "no content type"}`;
      this.#end({ reason, isRefused, failure, retryMs: Number.isFinite(seconds) ? seconds * 1000 : null });
      return;
    }
    this.#events?.opened();
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      this.#events?.heard(value.length);
      for (const { data } of this.#stream.take(decoder.decode(value, { stream: true }))) this.#events?.text(data);
    }
    this.#end({ reason: "the stream has ended" });
  }

  #end(end: Partial<SseEnd> & { reason: string }): void {
    const events = this.#events;
    this.#events = null;
    this.#abort.abort();
    events?.ended({ isRefused: false, retryMs: null, failure: null, ...end });
  }
}

/** The problem document of a request that is refused. */
function problem(document: { code?: unknown; detail?: unknown; retryable?: unknown }): Failure | null {
  const { code, detail, retryable } = document;
  return typeof code === "string" && typeof detail === "string" ? { code, message: detail, retryable: retryable === true } : null;
}
