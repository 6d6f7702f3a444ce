// How a client is to connect.

import type { WebSocketConstructor } from "./transport/socket.ts";

/** A token or API key, or where to get one: it is asked again when the token is over. */
export type TokenSource = string | (() => string | Promise<string>);

export interface ClientSettings {
  /** Where the service is: `http(s)://` or `ws(s)://`, with the path that it is served under. */
  url: string | URL;
  /** How data is written; `binary` unless another is chosen: a twentieth of the bytes of `json`. By server-sent events it is always JSON. */
  encoding?: "binary" | "json";
  /** `auto`: a WebSocket, and server-sent events where none can be opened. */
  transport?: "auto" | "socket" | "sse";
  token?: TokenSource;
  /** Of the package `ws`, for instance, where there is none of the platform's. */
  WebSocket?: WebSocketConstructor;
  fetch?: typeof globalThis.fetch;
  /** After how long without any message the connection counts as dead. */
  silenceMs?: number;
  backoffMs?: { first: number; max: number };
}

/** The addresses of a service, from the one that was given. */
export function endpoints(url: string | URL): { socket: string; sse: string; rest: URL } {
  const base = new URL(url);
  if (!/^(https?|wss?):$/.test(base.protocol)) throw new TypeError(`no service at ${base.protocol}//: http, https, ws and wss are known`);
  base.search = base.hash = "";
  base.pathname = base.pathname.replace(/(v1\/ws)?\/?$/, "/").replace(/\/+$/, "/");
  const isSecure = base.protocol === "https:" || base.protocol === "wss:";
  const http = new URL(base.href.replace(/^wss?:/, isSecure ? "https:" : "http:"));
  return {
    socket: new URL("v1/ws", http).href.replace(/^http/, "ws"),
    sse: new URL("v1/sse", http).href,
    rest: http,
  };
}
