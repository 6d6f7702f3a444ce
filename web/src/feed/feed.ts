// The feed: one connection for all pages of this service in a browser, in a worker. It decodes, checks, and sends each
// page what has changed as often as that draws.

import { type Channel, Client, type DataMessage, type Rate, type Topic } from "tickwire-client";
import { AGE_MS_MAX, PAGE_SILENCE_MS_MAX, PAGES_MAX, SAMPLES } from "./limits.ts";
import { type Choices, type FromFeed, sharedNow, type ToFeed } from "./messages.ts";
import { Page } from "./page.ts";
import { Instruments, QUOTE, STATUS, TICKER } from "./rows.ts";
import { Samples } from "./samples.ts";
import { Wanted } from "./wanted.ts";

const FLUSH_EVERY_MS = 16;
const HEALTH_EVERY_MS = 1_000;
const PING_EVERY_MS = 2_000;
/** Of so many messages, one is written as JSON too, to tell how much smaller it is. */
const SIZED_ONE_OF = 64;
const PARTS: Partial<Record<string, number>> = { quote: QUOTE, ticker: TICKER, status: STATUS };

/** The part of a `MessagePort` or worker that is used. */
export interface Port {
  postMessage(message: FromFeed): void;
  onmessage: ((event: MessageEvent<ToFeed>) => void) | null;
}

export class Feed {
  readonly #pages = new Map<Port, Page>();
  readonly #wanted = new Wanted();
  readonly #ages = new Samples(SAMPLES);
  readonly #roundTrips = new Samples(30);
  #url = "";
  #choices: Choices | null = null;
  #client: Client | null = null;
  #instruments = new Instruments();
  #rate: Rate = "raw";
  #newest = 0;
  #epoch: string | null = null;
  #epochs = 0;
  #clockOffset: number | null = null;
  #heartbeat: { lagMs: number; isLaggard: boolean } | null = null;
  #isDelayed = false;
  /** Whether the connection, or the last that there was, has few channels at once. */
  #isLean = false;
  #before = { updates: 0, bytes: 0, at: performance.now() };
  #sized = { messages: 0, characters: 0 };

  constructor() {
    setInterval(() => this.#flush(), FLUSH_EVERY_MS);
    setInterval(() => this.#tellHealth(), HEALTH_EVERY_MS);
    setInterval(() => void this.#ping(), PING_EVERY_MS);
  }

  attach(port: Port): void {
    port.onmessage = ({ data }) => this.#hear(port, data);
  }

  #hear(port: Port, message: ToFeed): void {
    const page = this.#pages.get(port);
    if (page) page.heard = performance.now();
    if (message.kind === "hello") this.#enter(port, message);
    else if (message.kind === "choices") this.#change(message.change);
    else if (message.kind === "connect") this.#client?.connect();
    else if (message.kind === "drawn") page?.drawn();
    else if (message.kind === "bye") this.#leave(port);
    else if (page) {
      page.wish(message.wishes);
      this.#follow();
    }
  }

  #enter(port: Port, { url, choices, wishes }: Extract<ToFeed, { kind: "hello" }>): void {
    if (!this.#pages.has(port) && this.#pages.size >= PAGES_MAX) {
      port.postMessage({ kind: "notice", text: `This browser has ${PAGES_MAX} pages of this service open: close one.` });
      return;
    }
    const page = new Page(wishes, (message) => port.postMessage(message));
    this.#pages.set(port, page);
    this.#url = url;
    if (this.#client) this.#follow();
    // The first page's choices hold; the others get to know them.
    else this.#choose(choices);
    page.refresh(this.#instruments);
    this.#tellHealth();
  }

  #leave(port: Port): void {
    this.#pages.delete(port);
    this.#follow();
  }

  /** One page's choice is that of all. */
  #change(change: Partial<Choices>): void {
    if (this.#choices) this.#choose({ ...this.#choices, ...change });
  }

  #choose(choices: Choices): void {
    const before = this.#choices;
    this.#choices = choices;
    if (this.#client && before && before.form === choices.form && before.token === choices.token) return this.#follow();
    this.#client?.close();
    this.#wanted.clear();
    this.#sized = { messages: 0, characters: 0 };
    this.#before = { updates: 0, bytes: 0, at: performance.now() };
    this.#isLean = choices.form === "sse";
    this.#client = this.#connect(choices);
    this.#void();
    this.#follow();
    this.#client.connect();
  }

  #connect({ form, token }: Choices): Client {
    const client = new Client({
      url: this.#url,
      encoding: form === "json" ? "json" : "binary",
      transport: form === "sse" ? "sse" : "auto",
      ...(token !== null && { token }),
    });
    client.on("state", (topic, message) => this.#take(topic, message));
    client.on("trade", (topic, message) => this.#take(topic, message));
    client.on("diverged", (topic) => this.#mark(topic));
    client.on("epoch", (epoch) => {
      this.#epoch = epoch;
      this.#epochs += 1;
      this.#newest = 0;
      this.#void();
    });
    client.on("subscribed", ({ granted, channel, epoch, delayed, ...parameters }) => {
      this.#isDelayed = delayed ?? false;
      if (epoch !== undefined) this.#epoch = epoch;
      for (const { symbol } of granted) {
        this.#instruments.number(symbol);
        // What was held over a reconnection may be known again without a message.
        const topic = client.topic({ channel, ...parameters } as Channel, symbol);
        if (topic) this.#mark(topic);
      }
    });
    client.on("heartbeat", ({ lag_us, laggard }) => (this.#heartbeat = { lagMs: lag_us / 1000, isLaggard: laggard }));
    client.on("failed", (method, { code, message }) => {
      // It was there before: the page goes on to another, as where a socket says so of single symbols.
      if (code === "UNKNOWN_SYMBOL") return;
      const isAsked = code === "AUTH_REQUIRED";
      this.#notice(isAsked ? "This service asks who you are: give a token or an API key in the panel “Connection”." : `${method ?? "request"}: ${message} (${code})`);
    });
    client.on("connection", ({ state }) => {
      if (state === "live") {
        this.#notice("");
        void this.#ping();
        this.#follow();
      }
      this.#tellHealth();
    });
    return client;
  }

  #take(topic: Topic, message: DataMessage): void {
    if (message.epoch !== undefined) this.#epoch = message.epoch;
    if (topic.ts_event > this.#newest) this.#newest = topic.ts_event;
    if (this.#clockOffset !== null && message.type === "update") {
      const age = sharedNow() - (topic.ts_event - this.#clockOffset) / 1000;
      if (age < AGE_MS_MAX) this.#ages.add(Math.max(0, age));
    }
    if (this.#client!.stats.messages % SIZED_ONE_OF === 0) {
      this.#sized.messages += 1;
      // A comma or a bracket beside each object, and the symbol, which records do not have.
      this.#sized.characters += JSON.stringify(message).length + 1 + (message.symbol === undefined ? topic.symbol.length + 12 : 0);
    }
    this.#mark(topic);
    if (topic.channel === "trade") for (const page of this.#pages.values()) page.trade(topic);
  }

  #mark(topic: Topic): void {
    const part = PARTS[topic.channel];
    const row = part === undefined ? null : this.#instruments.number(topic.symbol);
    for (const page of this.#pages.values()) {
      if (row !== null) page.row(row, part!);
      page.detail(topic);
    }
  }

  /** What was known holds no more, nor which instruments there are: another epoch or service. */
  #void(): void {
    this.#instruments = new Instruments();
    for (const page of this.#pages.values()) page.reset(this.#instruments);
  }

  #follow(): void {
    if (!this.#client || !this.#choices) return;
    const { connection } = this.#client;
    if (connection.state === "live") this.#isLean = connection.transport === "sse";
    this.#rate = this.#wanted.apply(this.#client, [...this.#pages.values()].map(({ wishes }) => wishes), this.#choices.rate, this.#isLean);
  }

  #flush(): void {
    if (!this.#client) return;
    for (const page of this.#pages.values()) page.flush(this.#client, this.#instruments, this.#newest);
  }

  async #ping(): Promise<void> {
    const client = this.#client;
    if (client?.connection.state !== "live" || client.connection.transport !== "socket") return;
    try {
      const { roundTrip, clock, server } = await client.ping();
      this.#roundTrips.add(roundTrip / 1000);
      this.#clockOffset = server - clock;
    } catch {
      // The connection has ended, which is told where that is told.
    }
  }

  #tellHealth(): void {
    const now = performance.now();
    for (const [port, page] of this.#pages) if (now - page.heard > PAGE_SILENCE_MS_MAX) this.#leave(port);
    const client = this.#client;
    if (!client) return;
    const { stats, connection } = client;
    const seconds = Math.max(0.001, (now - this.#before.at) / 1000);
    const isTold = seconds > 0.5;
    const health: FromFeed = {
      kind: "health",
      connection,
      stats: { ...stats },
      updatesPerSecond: Math.round((stats.updates - this.#before.updates) / seconds),
      bytesPerSecond: Math.round((stats.bytes - this.#before.bytes) / seconds),
      ratio: this.#ratio(),
      age: this.#ages.percentiles(),
      roundTrip: this.#roundTrips.percentiles(),
      clockOffset: this.#clockOffset,
      lagMs: this.#heartbeat?.lagMs ?? null,
      isLaggard: this.#heartbeat?.isLaggard ?? false,
      isDelayed: this.#isDelayed,
      chosen: this.#choices!,
      rate: this.#rate,
      epoch: this.#epoch,
      epochs: this.#epochs,
      topics: client.topics(),
      pages: this.#pages.size,
    };
    if (isTold) {
      this.#before = { updates: stats.updates, bytes: stats.bytes, at: now };
      this.#ages.clear();
    }
    for (const page of this.#pages.values()) page.post(health);
  }

  #ratio(): number | null {
    const { stats } = this.#client!;
    if (this.#choices?.form !== "binary" || this.#client!.connection.state !== "live" || this.#sized.messages < 20 || stats.bytes === 0) return null;
    return ((this.#sized.characters / this.#sized.messages) * stats.messages) / stats.bytes;
  }

  #notice(text: string): void {
    for (const page of this.#pages.values()) page.post({ kind: "notice", text });
  }
}
