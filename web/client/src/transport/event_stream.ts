// The text of server-sent events, cut into events.

import { MESSAGE_BYTES_MAX } from "../limits.ts";

export interface ServerSentEvent {
  data: string;
  id: string;
}

/** Takes a stream's text as it comes. Throws a `RangeError` where an event is longer than a message may be. */
export class EventStream {
  /** Of the last event that had one: what a new stream goes on from. */
  lastId = "";
  /** What the server asks to be waited before a new stream, in milliseconds. */
  retry: number | null = null;
  #rest = "";
  #data: string[] = [];
  #length = 0;

  /** The events that end in this part of the text. */
  *take(text: string): Generator<ServerSentEvent> {
    this.#rest += text;
    if (this.#rest.length + this.#length > MESSAGE_BYTES_MAX) throw new RangeError(`an event of more than ${MESSAGE_BYTES_MAX} bytes`);
    let start = 0;
    for (;;) {
      const end = this.#rest.indexOf("\n", start);
      if (end < 0) break;
      const line = this.#rest.slice(start, this.#rest[end - 1] === "\r" ? end - 1 : end);
      start = end + 1;
      if (line !== "") {
        this.#field(line);
      } else if (this.#data.length > 0) {
        yield { data: this.#data.join("\n"), id: this.lastId };
        this.#data = [];
        this.#length = 0;
      }
    }
    this.#rest = this.#rest.slice(start);
  }

  #field(line: string): void {
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (name === "data") {
      this.#data.push(value);
      this.#length += value.length;
    } else if (name === "id" && !value.includes("\0")) {
      this.lastId = value;
    } else if (name === "retry" && /^\d{1,9}$/.test(value)) {
      this.retry = Number(value);
    }
  }
}
