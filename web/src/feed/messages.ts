// What a page and the worker that owns the connection say to each other.

import type { ConnectionState, Interval, Level, QuoteFields, Rate, Stats, StatusFields, TickerFields } from "tickwire-client";
import type { Percentiles } from "./samples.ts";

/** What the user chose about the connection, the same for all pages that share it. */
export interface Choices {
  form: "binary" | "json" | "sse";
  rate: Rate;
  token: string | null;
}

/** What one page wants to see. */
export interface Wishes {
  isVisible: boolean;
  symbol: string | null;
  depth: 10 | 25 | 100;
  interval: Interval;
}

export type ToFeed =
  | { kind: "hello"; url: string; choices: Choices; wishes: Wishes }
  | { kind: "wishes"; wishes: Wishes }
  | { kind: "choices"; change: Partial<Choices> }
  /** The page has drawn the last batch, and may be sent another. */
  | { kind: "drawn" }
  | { kind: "connect" }
  | { kind: "bye" };

/** What a row of the watch-list shows of a `ticker`. */
export type RowTicker = Pick<TickerFields, "last" | "change" | "change_percent" | "volume">;

/** Changes of one instrument, by its number. `null`: not known just now. */
export interface RowChange {
  row: number;
  quote?: QuoteFields | null;
  ticker?: RowTicker | null;
  status?: StatusFields | null;
}

export interface TapeTrade {
  seq: number;
  ts_event: number;
  price: string;
  size: string;
  side: string;
}

export interface LiveBar {
  start: number;
  open: string;
  high: string;
  low: string;
  close: string;
  volume: string;
}

export interface LiveBook {
  bids: readonly Level[];
  asks: readonly Level[];
  seq: number;
}

/** The instrument that a page shows in full. */
export interface DetailChange {
  symbol: string;
  book?: LiveBook | null;
  ticker?: TickerFields | null;
  /** New ones, oldest first. */
  trades?: TapeTrade[];
  /** Bars that changed, oldest first. */
  bars?: LiveBar[];
  interval: Interval;
}

/** What came since the page drew last; at most one is under way. */
export interface Batch {
  kind: "batch";
  /** Everything that was known is void: a new epoch. */
  isReset: boolean;
  /** Names of instruments that are new, in the order of their numbers. */
  symbols: string[];
  rows: RowChange[];
  detail: DetailChange | null;
  /** The newest event's time at the venue, in microseconds. */
  newest: number;
  /** When it was sent, by the clock that pages share with the worker. */
  sent: number;
}

export interface Health {
  kind: "health";
  connection: ConnectionState;
  stats: Stats;
  /** Of the second before. */
  updatesPerSecond: number;
  bytesPerSecond: number;
  /** How many times smaller data is than the same in JSON, as sampled; `null` where that cannot be told. */
  ratio: number | null;
  /** From the venue's time of an event until it was decoded here, in milliseconds; `null` for recordings. */
  age: Percentiles | null;
  roundTrip: Percentiles | null;
  /** The server's clock less ours, in microseconds. */
  clockOffset: number | null;
  lagMs: number | null;
  isLaggard: boolean;
  isDelayed: boolean;
  /** What was chosen, by whichever page, and the rate at which that is followed just now. */
  chosen: Choices;
  rate: Rate;
  epoch: string | null;
  epochs: number;
  topics: { followed: number; known: number };
  pages: number;
}

export interface Notice {
  kind: "notice";
  text: string;
}

export type FromFeed = Batch | Health | Notice;

/** The time of this machine in milliseconds, the same in all workers and pages. */
export const sharedNow = (): number => performance.timeOrigin + performance.now();
