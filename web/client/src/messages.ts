// What stands on the wire, in both encodings: prices, sizes and sums are decimal texts, times are microseconds.

export type ChannelName = "quote" | "trade" | "book" | "ticker" | "bar" | "status";
export type Depth = 10 | 25 | 100;
export type Interval = "1s" | "1m" | "5m" | "1h" | "1d";
export type Rate = "raw" | "100ms" | "250ms" | "500ms" | "1s" | "5s";
/** `[price, size]` */
export type Level = readonly [string, string];

/** A channel with its parameters: `book` has a depth, `bar` an interval. */
export type Channel =
  | { channel: "quote" | "trade" | "ticker" | "status" }
  | { channel: "book"; depth: Depth }
  | { channel: "bar"; interval: Interval };

export interface QuoteFields {
  bid: string | null;
  bid_size: string | null;
  ask: string | null;
  ask_size: string | null;
}

/** Without any field: there was no trade yet. */
export interface TradeFields {
  price?: string;
  size?: string;
  side?: "buy" | "sell" | "none";
  id?: string;
}

export interface BookFields {
  bids: readonly Level[];
  asks: readonly Level[];
}

export interface TickerFields {
  last: string | null;
  last_size: string | null;
  bid: string | null;
  ask: string | null;
  open: string | null;
  high: string | null;
  low: string | null;
  close: string | null;
  volume: string | null;
  vwap: string | null;
  trades: number | null;
  change: string | null;
  change_percent: string | null;
}

export interface BarFields {
  start: number | null;
  open: string | null;
  high: string | null;
  low: string | null;
  close: string | null;
  volume: string | null;
  vwap: string | null;
  trades: number | null;
  final: boolean;
}

export interface StatusFields {
  state: "trading" | "halted" | "auction" | "closed" | "stale" | "ended";
  reason: string;
}

/** The state of a topic, by its channel. */
export interface Fields {
  quote: QuoteFields;
  trade: TradeFields;
  book: BookFields;
  ticker: TickerFields;
  bar: BarFields;
  status: StatusFields;
}

/** A message of a topic: the numbers that all have, and the fields of its channel that it carries. */
export interface DataMessage {
  channel: ChannelName;
  depth?: number;
  interval?: string;
  type: "snapshot" | "update" | "gap";
  symbol?: string;
  epoch?: string;
  seq: number;
  prev_seq?: number;
  n?: number;
  ts_event: number;
  /** Of a gap: the first and the last message that are lost. */
  from?: number;
  to?: number;
  checksum?: number;
  [field: string]: unknown;
}

export interface GrantedTopic {
  symbol: string;
  topic: number;
  price_exponent: number;
  size_exponent: number;
  seq: number;
}

/** The result of `subscribe`, `unsubscribe` or `resync`. */
export interface Answer {
  channel: ChannelName;
  depth?: Depth;
  interval?: Interval;
  epoch?: string;
  max_frequency?: Rate;
  delayed?: boolean;
  more?: boolean;
  granted?: GrantedTopic[];
  rejected?: { symbol: string; code: string }[];
  removed?: string[];
}

export interface Failure {
  code: string;
  message: string;
  retryable: boolean;
  retry_after_ms?: number;
}

/** "quote", "book.25", "bar.5m": how a channel with its parameters is named. */
export function channelKey(channel: { channel: ChannelName; depth?: number; interval?: string }): string {
  if (channel.channel === "book") return `book.${channel.depth ?? 10}`;
  if (channel.channel === "bar") return `bar.${channel.interval ?? "1m"}`;
  return channel.channel;
}
