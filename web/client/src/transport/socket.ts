// A WebSocket.

import { UNSENT_BYTES_MAX } from "../limits.ts";
import type { Transport, TransportEvents } from "./transport.ts";

/** The part of the WebSocket API that is used: browsers', Node's, and that of the package `ws`. */
export interface WebSocketLike {
  readyState: number;
  binaryType: string;
  readonly bufferedAmount: number;
  readonly extensions: string;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(text: string): void;
  close(code?: number, reason?: string): void;
}

export type WebSocketConstructor = new (url: string, protocols: string[]) => WebSocketLike;

const OPEN = 1;

export class SocketTransport implements Transport {
  readonly kind = "socket";
  readonly #socket: WebSocketLike;
  #events: TransportEvents | null;

  constructor(constructor: WebSocketConstructor, url: string, protocols: string[], events: TransportEvents) {
    this.#events = events;
    const socket = new constructor(url, protocols);
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.#events?.opened();
    socket.onmessage = ({ data }: { data: unknown }) => {
      if (typeof data === "string") this.#events?.text(data);
      else if (data instanceof ArrayBuffer) this.#events?.binary(new Uint8Array(data));
    };
    socket.onclose = ({ code, reason }: { code: number; reason: string }) => this.#end(code, reason);
    // Always followed by `close`, which tells as much.
    socket.onerror = () => {};
  }

  get extensions(): string {
    return this.#socket.extensions;
  }

  send(text: string): boolean {
    if (this.#socket.readyState !== OPEN || this.#socket.bufferedAmount > UNSENT_BYTES_MAX) return false;
    this.#socket.send(text);
    return true;
  }

  close(code: number, reason: string): void {
    this.#events = null;
    this.#socket.close(code, reason);
  }

  #end(code: number, reason: string): void {
    const events = this.#events;
    this.#events = null;
    events?.ended(code, reason);
  }
}
