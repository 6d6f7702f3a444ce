// What carries messages between a client and a server.

import type { Failure } from "../messages.ts";

/** What a transport tells. After `ended` it tells nothing more. */
export interface TransportEvents {
  opened(): void;
  text(text: string): void;
  binary(bytes: Uint8Array): void;
  /** Something came that is no message: the server lives. */
  heard(): void;
  /** A part of what was asked for is refused; the rest goes on. */
  refused(failure: Failure): void;
  /** `code`: of a WebSocket's close frame, or 0; `isRefused`: the server will say the same again; `retryMs`: not before that. */
  ended(code: number, reason: string, more?: { isRefused: boolean; retryMs: number | null }): void;
}

export interface Transport {
  readonly kind: "socket" | "sse";
  /** `permessage-deflate…` where it was agreed on. */
  readonly extensions: string;
  /** `false`: it cannot be sent. */
  send(text: string): boolean;
  close(code: number, reason: string): void;
}
