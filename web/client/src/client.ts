// The client: follows topics, keeps their states from deltas, and proves each of them.

import { Backoff } from "./backoff.ts";
import { comeBack } from "./closing.ts";
import { Emitter } from "./emitter.ts";
import { type ClientEvents, type ConnectionState, noStats, type Stats } from "./events.ts";
import { Intake, type Json } from "./intake.ts";
import { FAILURES_BEFORE_PROBE, OPEN_MS_MAX, PROBE_MS_MAX, REQUESTS_MAX, SILENCE_MS_MAX, TOKEN_MS_MAX } from "./limits.ts";
import { type Channel, channelKey, type ChannelName, type Failure, type Fields, type Rate } from "./messages.ts";
import { type ClientSettings, endpoints } from "./settings.ts";
import { type Call, subscribeCalls, Subscriptions, unsubscribeCalls } from "./subscriptions.ts";
import type { Topic } from "./topic.ts";
import { Topics } from "./topics.ts";
import { SocketTransport } from "./transport/socket.ts";
import { SseTransport } from "./transport/sse_transport.ts";
import type { Transport, TransportEvents } from "./transport/transport.ts";

type Waiting = { resolve: (result: Json) => void; reject: (error: Error) => void };

const WATCH_EVERY_MS = 500;

/** Follows topics of a service over one connection, which it makes anew whenever it ends. */
export class Client extends Emitter<ClientEvents> {
  readonly stats: Stats = noStats();
  readonly #settings: ClientSettings;
  readonly #endpoints: ReturnType<typeof endpoints>;
  readonly #subscriptions = new Subscriptions();
  readonly #topics = new Topics();
  readonly #intake: Intake;
  readonly #backoff: Backoff;
  readonly #waiting = new Map<number, Waiting>();
  #transport: Transport | null = null;
  #connection: ConnectionState = { state: "closed" };
  /** Which attempt this is: what belongs to an earlier one is of no interest any more. */
  #attempt = 0;
  #requests = 0;
  #opened = 0;
  #heard = 0;
  #failuresInARow = 0;
  /** The server answers requests: a socket that does not open now is one that is not let through. */
  #isReachable = false;
  #isSocketBlocked = false;
  /** What the server said before it ended the connection: by server-sent events there is no close frame that would. */
  #closing: { code: number; reason: string | null } | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(settings: ClientSettings) {
    super();
    this.#settings = settings;
    this.#endpoints = endpoints(settings.url);
    this.#backoff = new Backoff(settings.backoffMs?.first, settings.backoffMs?.max);
    this.#intake = new Intake(this.#topics, this.#subscriptions, this.stats, {
      tell: (name, ...values) => this.emit(name, ...values),
      isLive: () => this.#connection.state === "live",
      hasRequests: () => this.#transport?.kind !== "sse",
      askAnew: (topic, held) => this.#askAnew(topic, held),
      answered: (id, result, failure) => this.#answered(id, result, failure),
      waitAtLeast: (ms) => this.#backoff.waitAtLeast(ms),
      closing: (code, reason) => (this.#closing = { code, reason }),
      renewToken: () => void this.#renew(),
      lost: (reason) => this.#lost(0, reason),
    });
  }

  get connection(): ConnectionState {
    return this.#connection;
  }

  /** Connects, and does so again whenever the connection ends, until {@link close}. */
  connect(): void {
    if (this.#connection.state === "connecting" || this.#connection.state === "live") return;
    clearTimeout(this.#timer);
    void this.#open();
  }

  close(): void {
    this.#drop("closed by its owner");
    this.#topics.hold();
    this.#tell({ state: "closed" });
  }

  /** Follows topics from now on, over reconnections too. A channel has one `rate` for all of its symbols. */
  subscribe(channel: Channel, symbols: readonly string[], rate?: Rate): void {
    const key = channelKey(channel);
    const isOtherRate = this.#subscriptions.add(channel, symbols, rate);
    if (this.#transport?.kind === "sse") return this.#follow(key);
    const { rate: now, isAll } = this.#subscriptions.get(key)!;
    if (isOtherRate) this.#callAll(this.#subscriptions.calls(key, null));
    else this.#callAll(subscribeCalls(channel, isAll && symbols.includes("*") ? ["*"] : symbols, now, null));
  }

  /** Follows topics no more. What is known of them is void at once. */
  unsubscribe(channel: Channel, symbols: readonly string[]): void {
    const key = channelKey(channel);
    this.#subscriptions.remove(channel, symbols);
    this.#topics.leave(key, symbols);
    if (this.#transport?.kind === "sse") {
      this.#follow(key);
      return this.#followRest();
    }
    this.#callAll(unsubscribeCalls(channel, symbols));
  }

  /** A topic's state, if it is known. */
  get<Name extends ChannelName>(channel: Channel & { channel: Name }, symbol: string): Fields[Name] | null {
    return (this.topic(channel, symbol)?.values ?? null) as Fields[Name] | null;
  }

  topic(channel: Channel, symbol: string): Topic | null {
    return this.#topics.get(channelKey(channel), symbol) ?? null;
  }

  /** How many topics are followed, and of how many the state is known. */
  topics(): { followed: number; known: number } {
    const topics = [...this.#topics.all()];
    return { followed: topics.length, known: topics.filter((topic) => topic.values !== null).length };
  }

  /** The way to the server and back, and the server's clock at its middle, both in microseconds. */
  async ping(): Promise<{ roundTrip: number; clock: number; server: number }> {
    const sent = nowMicros();
    const { ts } = await this.request("ping");
    const received = nowMicros();
    return { roundTrip: received - sent, clock: (sent + received) / 2, server: Number(ts) };
  }

  /** Any other request. It fails with the server's error, or when the connection ends. */
  request(method: "ping" | "list" | "auth", params?: Json): Promise<Json> {
    return new Promise((resolve, reject) => {
      const id = this.#call({ method, ...(params && { params }) });
      if (id === null) reject(new Error("there is no connection"));
      else this.#waiting.set(id, { resolve, reject });
    });
  }

  async #open(): Promise<void> {
    const attempt = (this.#attempt += 1);
    this.#isReachable = false;
    this.#closing = null;
    this.#tell({ state: "connecting" });
    this.#opened = this.#heard = performance.now();
    this.#watch(attempt);
    let token: string | null;
    try {
      token = await this.#token();
    } catch (error) {
      if (attempt === this.#attempt) this.#lost(0, `no token: ${error instanceof Error ? error.message : String(error)}`);
      return;
    }
    this.#isReachable = this.#failuresInARow >= FAILURES_BEFORE_PROBE && !this.#isSocketBlocked && (await this.#probe());
    if (attempt !== this.#attempt) return;
    try {
      this.#transport = this.#makeTransport(token, this.#events(attempt));
    } catch (error) {
      return this.#lost(0, String(error));
    }
    if (this.#transport.kind !== "sse") return;
    for (const key of [...this.#subscriptions.keys]) this.#follow(key);
    if (this.#subscriptions.isEmpty) (this.#transport as SseTransport).open();
  }

  /** Whether the server answers at all. */
  async #probe(): Promise<boolean> {
    if (this.#settings.transport === "socket") return false;
    try {
      const response = await this.#fetch(new URL("health/live", this.#endpoints.rest), { cache: "no-store", signal: AbortSignal.timeout(PROBE_MS_MAX) });
      await response.body?.cancel();
      return response.status < 500;
    } catch {
      return false;
    }
  }

  get #fetch(): typeof globalThis.fetch {
    return this.#settings.fetch ?? globalThis.fetch.bind(globalThis);
  }

  #makeTransport(token: string | null, events: TransportEvents): Transport {
    const { transport = "auto", encoding = "binary" } = this.#settings;
    const constructor = this.#settings.WebSocket ?? (globalThis as { WebSocket?: ClientSettings["WebSocket"] }).WebSocket;
    const isBlocked = !constructor || this.#isSocketBlocked;
    if (transport === "sse" || (transport === "auto" && isBlocked)) {
      return new SseTransport(this.#fetch, this.#endpoints.sse, token, events);
    }
    if (!constructor) throw new TypeError("there is no WebSocket here: give one in the settings, such as that of the package `ws`");
    const protocols = [encoding === "binary" ? "tickwire.v1.bin" : "tickwire.v1.json"];
    if (token !== null) protocols.push(`tickwire.token.${token}`);
    return new SocketTransport(constructor, this.#endpoints.socket, protocols, events);
  }

  #events(attempt: number): TransportEvents {
    const current = (take: () => void): void => {
      if (attempt !== this.#attempt) return;
      this.#heard = performance.now();
      try {
        take();
      } catch (error) {
        // What is no JSON and no record is told as errors of their own; none of them is another's fault.
        this.#lost(0, `the server does not keep to the protocol: ${error instanceof Error ? error.message : String(error)}`);
      }
    };
    return {
      opened: () => current(() => this.#begin()),
      text: (text) => current(() => this.#intake.take(text)),
      binary: (bytes) => current(() => this.#intake.takeRecords(bytes)),
      heard: () => current(() => {}),
      refused: (failure) => current(() => this.emit("failed", "subscribe", failure)),
      ended: (code, reason, more) => current(() => this.#ended(code, reason, more ?? null)),
    };
  }

  #begin(): void {
    const transport = this.#transport!;
    this.#opened = this.#heard;
    this.#failuresInARow = 0;
    this.#tell({ state: "live", transport: transport.kind, extensions: transport.extensions });
    if (transport.kind === "sse") return;
    for (const key of [...this.#subscriptions.keys]) this.#callAll(this.#subscriptions.calls(key, this.#topics.holdings(key)));
  }

  #askAnew(topic: Topic, held: number | null): void {
    const { channel, depth, interval, symbol, key } = topic;
    if (this.#transport?.kind !== "sse") {
      const params = { channel, ...(depth && { depth }), ...(interval && { interval }), symbol, ...(held !== null && { seq: held }) };
      this.#call({ method: "resync", params });
      return;
    }
    // There is no way to ask for one topic: the channel's stream begins anew, with snapshots.
    topic.void();
    topic.isPaused = false;
    this.#follow(key);
  }

  #answered(id: unknown, result: Json | null, failure: Failure | null): boolean {
    const waiting = this.#waiting.get(id as number);
    this.#waiting.delete(id as number);
    if (failure) waiting?.reject(new Error(`${failure.code}: ${failure.message}`));
    else waiting?.resolve(result ?? {});
    return waiting !== undefined;
  }

  async #token(): Promise<string | null> {
    const { token } = this.#settings;
    if (token === undefined) return null;
    if (typeof token === "string") return token;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`its source does not answer within ${TOKEN_MS_MAX} ms`)), TOKEN_MS_MAX);
    });
    return Promise.race([Promise.resolve().then(token), late]).finally(() => clearTimeout(timer));
  }

  /** Another token on the open connection. Where there is none, the server closes it when the old one is over. */
  async #renew(): Promise<void> {
    if (typeof this.#settings.token !== "function") return;
    const attempt = this.#attempt;
    try {
      const token = await this.#token();
      if (attempt === this.#attempt) await this.request("auth", { token });
    } catch (error) {
      this.emit("failed", "auth", { code: "AUTH_FAILED", message: error instanceof Error ? error.message : String(error), retryable: true });
    }
  }

  #call(call: Json): number | null {
    if (this.#connection.state !== "live" || !this.#transport) return null;
    const req_id = (this.#requests += 1);
    if (this.#waiting.size >= REQUESTS_MAX || !this.#transport.send(JSON.stringify({ ...call, req_id }))) {
      this.#lost(0, "the server does not read, or does not answer");
      return null;
    }
    return req_id;
  }

  #callAll(calls: readonly Call[]): void {
    for (const call of calls) if (this.#call({ ...call }) === null) return;
  }

  /** By server-sent events: the channel's stream begins anew with what is wanted of it now. */
  #follow(key: string): void {
    const wanted = this.#subscriptions.get(key);
    const transport = this.#transport as SseTransport;
    if (!wanted) transport.leave(key);
    else if (!transport.follow(key, wanted.channel, wanted.isAll ? ["*"] : [...wanted.names], wanted.rate)) {
      const message = `${key} is not followed: there are as many streams of server-sent events as may be`;
      this.emit("failed", "subscribe", { code: "TOO_MANY_SUBSCRIPTIONS", message, retryable: false });
    }
  }

  /** What found no stream free before. */
  #followRest(): void {
    const transport = this.#transport as SseTransport;
    for (const key of this.#subscriptions.keys) if (transport.hasRoom && !transport.follows(key)) this.#follow(key);
  }

  #watch(attempt: number): void {
    this.#timer = setTimeout(() => {
      if (attempt !== this.#attempt) return;
      const isIdle = this.#transport?.kind === "sse" && (this.#transport as SseTransport).isIdle;
      const silent = isIdle ? 0 : performance.now() - this.#heard;
      const patience = this.#connection.state === "live" ? (this.#settings.silenceMs ?? SILENCE_MS_MAX) : OPEN_MS_MAX;
      if (silent > patience) this.#lost(0, this.#connection.state === "live" ? "the server is silent" : "it does not open");
      else this.#watch(attempt);
    }, WATCH_EVERY_MS);
  }

  #ended(closed: number, why: string, more: { isRefused: boolean; retryMs: number | null } | null): void {
    const code = closed || (this.#closing?.code ?? 0);
    const reason = (closed ? null : this.#closing?.reason) ?? why;
    const back = comeBack(code);
    const isRefused = more?.isRefused ?? false;
    if (more?.retryMs) this.#backoff.waitAtLeast(more.retryMs);
    const isOver = back === "never" || (back === "token" && typeof this.#settings.token !== "function") || (isRefused && this.#settings.transport === "sse");
    const said = reason || (code === 0 || code === 1006 ? "the connection broke" : `closed with ${code}`);
    if (!isOver) return this.#lost(code, said);
    this.#drop(said);
    this.#topics.hold();
    this.#tell({ state: "refused", reason: said, code });
  }

  #lost(code: number, reason: string): void {
    const wasLive = this.#connection.state === "live";
    if (wasLive) this.stats.reconnects += 1;
    else this.stats.connectFailures += 1;
    const isSse = this.#transport?.kind === "sse";
    // Events that end are no reason to give sockets up for good, but where none was let through, one more tells enough.
    if (isSse) this.#failuresInARow = FAILURES_BEFORE_PROBE;
    else this.#failuresInARow = wasLive ? 0 : this.#failuresInARow + 1;
    this.#isSocketBlocked = !wasLive && this.#isReachable && !isSse;
    if (wasLive && performance.now() - this.#opened > (this.#settings.backoffMs?.max ?? SILENCE_MS_MAX)) this.#backoff.reset();
    this.#drop(reason);
    this.#topics.hold();
    const retryMs = this.#backoff.nextWait();
    this.#timer = setTimeout(() => void this.#open(), retryMs);
    this.#tell({ state: "lost", reason: code > 1006 ? `${reason} (${code})` : reason, retryMs });
  }

  /** Ends what there is of a connection, without a word to the owner. */
  #drop(reason: string): void {
    this.#attempt += 1;
    clearTimeout(this.#timer);
    this.#transport?.close(1000, "");
    this.#transport = null;
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject } of waiting) reject(new Error(reason));
  }

  #tell(state: ConnectionState): void {
    this.#connection = state;
    this.emit("connection", state);
  }
}

/** The time of this machine, in microseconds since 1970. */
const nowMicros = (): number => (performance.timeOrigin + performance.now()) * 1000;
