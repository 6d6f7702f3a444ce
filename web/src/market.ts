// What the page knows: a row for each instrument, and the one that is shown in full.

import type { QuoteFields, StatusFields, TickerFields } from "tickwire-client";
import type { Batch, DetailChange, LiveBar, LiveBook, RowTicker, TapeTrade } from "./feed/messages.ts";

/** Points of a sparkline, one a second. */
export const SPARK_POINTS = 60;
export const TRADES_MAX = 400;

export interface Row {
  readonly number: number;
  readonly symbol: string;
  quote: QuoteFields | null;
  ticker: RowTicker | null;
  status: StatusFields | null;
  /** Prices to draw, which is all that they are numbers for. */
  readonly spark: Float32Array;
  sparkCount: number;
}

export interface Detail {
  symbol: string;
  book: LiveBook | null;
  ticker: TickerFields | null;
  /** Newest first. */
  trades: TapeTrade[];
}

/** What a batch changed. */
export interface Changes {
  isReset: boolean;
  isLonger: boolean;
  rows: Row[];
  hasDetail: boolean;
  bars: LiveBar[];
}

export class Market {
  readonly rows: Row[] = [];
  readonly #bySymbol = new Map<string, Row>();
  detail: Detail | null = null;
  newest = 0;

  row(symbol: string): Row | undefined {
    return this.#bySymbol.get(symbol);
  }

  show(symbol: string): void {
    this.detail = { symbol, book: null, ticker: null, trades: [] };
  }

  /** The instrument that is shown is none of this market. */
  get isLost(): boolean {
    return this.detail !== null && this.rows.length > 0 && !this.#bySymbol.has(this.detail.symbol);
  }

  take(batch: Batch): Changes {
    if (batch.isReset) this.#reset();
    for (const symbol of batch.symbols) this.#add(symbol);
    const rows = [];
    for (const change of batch.rows) {
      const row = this.rows[change.row];
      if (!row) continue;
      if (change.quote !== undefined) row.quote = change.quote;
      if (change.ticker !== undefined) row.ticker = change.ticker;
      if (change.status !== undefined) row.status = change.status;
      rows.push(row);
    }
    this.newest = batch.newest;
    const isShown = batch.detail !== null && batch.detail.symbol === this.detail?.symbol;
    if (isShown) this.#takeDetail(batch.detail!);
    return { isReset: batch.isReset, isLonger: batch.symbols.length > 0, rows, hasDetail: isShown, bars: isShown ? (batch.detail!.bars ?? []) : [] };
  }

  /** Trades from before the page followed them, or from while it did not. */
  addEarlier(symbol: string, earlier: readonly TapeTrade[]): void {
    if (this.detail?.symbol !== symbol) return;
    const bySeq = new Map([...earlier, ...this.detail.trades].map((trade) => [trade.seq, trade]));
    this.detail.trades = [...bySeq.values()].sort((a, b) => b.seq - a.seq).slice(0, TRADES_MAX);
  }

  /** A point more of each sparkline. */
  sample(): void {
    for (const row of this.rows) {
      const price = row.ticker?.last ?? row.quote?.bid;
      if (price === null || price === undefined) continue;
      row.spark.copyWithin(0, 1);
      row.spark[SPARK_POINTS - 1] = Number(price);
      row.sparkCount = Math.min(SPARK_POINTS, row.sparkCount + 1);
    }
  }

  #add(symbol: string): void {
    const row = { number: this.rows.length, symbol, quote: null, ticker: null, status: null, spark: new Float32Array(SPARK_POINTS), sparkCount: 0 };
    this.rows.push(row);
    this.#bySymbol.set(symbol, row);
  }

  #reset(): void {
    this.rows.length = 0;
    this.#bySymbol.clear();
    if (this.detail) this.show(this.detail.symbol);
  }

  #takeDetail(change: DetailChange): void {
    const detail = this.detail!;
    if (change.book !== undefined) detail.book = change.book;
    if (change.ticker !== undefined) detail.ticker = change.ticker;
    const newest = detail.trades[0]?.seq ?? -1;
    for (const trade of change.trades ?? []) if (trade.seq > newest) detail.trades.unshift(trade);
    detail.trades.length = Math.min(detail.trades.length, TRADES_MAX);
  }
}
