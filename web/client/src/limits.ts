// Every bound on what a server, or its absence, can make a client hold or wait for.

/** The server sends a heartbeat in each second of silence: after so much of it, the connection is dead. */
export const SILENCE_MS_MAX = 5_000;
/** How long a connection may take to open. */
export const OPEN_MS_MAX = 10_000;
/** Waits before the next attempt: the first, and where they stop to double. */
export const BACKOFF_MS_MIN = 500;
export const BACKOFF_MS_MAX = 15_000;
/** A longer message of the server ends the connection. */
export const MESSAGE_BYTES_MAX = 16 * 1024 * 1024;
/** More that waits to be sent ends the connection: the server does not read. */
export const UNSENT_BYTES_MAX = 1024 * 1024;
/** Symbols of one request; a subscription to more is asked for in several. */
export const SYMBOLS_A_REQUEST = 2_000;
/** What a request says of states that are held, in characters: the server reads 256 KiB. */
export const RESUME_CHARACTERS_A_REQUEST = 96 * 1024;
/** Topics of one client; a server that grants more ends the connection. */
export const TOPICS_MAX = 200_000;
/** Requests that wait for their answers; more end the connection. */
export const REQUESTS_MAX = 10_000;
/** A topic that is asked for anew so often, without a proof between, costs the connection. */
export const RESYNCS_IN_A_ROW_MAX = 8;
/** Sockets that never opened, after which it is asked whether the server is there at all: else it lets no socket through. */
export const FAILURES_BEFORE_PROBE = 2;
export const PROBE_MS_MAX = 3_000;
/** Streams of server-sent events: browsers open six connections to a host, and one is left for REST. */
export const SSE_STREAMS_MAX = 5;
/** How long a token's source may take. */
export const TOKEN_MS_MAX = 10_000;
