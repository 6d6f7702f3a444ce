// What carries messages between a client and a server.

/** What a transport tells. After `ended` it tells nothing more. */
export interface TransportEvents {
  opened(): void;
  text(text: string): void;
  binary(bytes: Uint8Array): void;
  /** Something came that is no message: the server lives. */
  heard(): void;
  /** `code`: of a WebSocket's close frame, or 0; `isRefused`: the server will say the same again. */
  ended(code: number, reason: string, isRefused?: boolean): void;
}

export interface Transport {
  readonly kind: "socket" | "sse";
  /** `permessage-deflate…` where it was agreed on. */
  readonly extensions: string;
  /** `false`: it cannot be sent. */
  send(text: string): boolean;
  close(code: number, reason: string): void;
}
