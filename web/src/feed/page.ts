// One page, as the worker sees it: what it wants, and what it has not been sent yet.

import type { Client, Topic } from "tickwire-client";
import { BARS_WAITING_MAX, TRADES_WAITING_MAX } from "./limits.ts";
import { type Batch, type DetailChange, type FromFeed, type LiveBar, type RowChange, sharedNow, type TapeTrade, type Wishes } from "./messages.ts";
import { Dirty, type Instruments, QUOTE, STATUS, TICKER } from "./rows.ts";

export class Page {
  wishes: Wishes;
  heard = performance.now();
  readonly #post: (message: FromFeed) => void;
  readonly #dirty = new Dirty();
  #symbolsSent = 0;
  #isDrawing = false;
  #isReset = false;
  #isBookDirty = false;
  #isTickerDirty = false;
  #trades: TapeTrade[] = [];
  #bars = new Map<number, LiveBar>();

  constructor(wishes: Wishes, post: (message: FromFeed) => void) {
    this.wishes = wishes;
    this.#post = post;
  }

  post(message: FromFeed): void {
    this.#post(message);
  }

  /** All that there is, as for a page that has just come. */
  refresh(instruments: Instruments): void {
    for (let row = 0; row < instruments.symbols.length; row += 1) this.#dirty.add(row, QUOTE | TICKER | STATUS);
    this.#isBookDirty = this.#isTickerDirty = true;
  }

  /** Nothing of what it knows holds, and other instruments may have its numbers. */
  reset(instruments: Instruments): void {
    this.#isReset = true;
    this.#symbolsSent = 0;
    this.#dirty.take();
    this.#trades = [];
    this.#bars.clear();
    this.refresh(instruments);
  }

  wish(wishes: Wishes): void {
    if (wishes.symbol !== this.wishes.symbol || wishes.interval !== this.wishes.interval) {
      this.#trades = [];
      this.#bars.clear();
    }
    this.wishes = wishes;
    this.#isBookDirty = this.#isTickerDirty = true;
  }

  drawn(): void {
    this.#isDrawing = false;
  }

  row(row: number, part: number): void {
    this.#dirty.add(row, part);
  }

  /** A topic of the instrument that the page shows in full. */
  detail(topic: Topic): void {
    const { symbol, depth, interval } = this.wishes;
    if (topic.symbol !== symbol) return;
    if (topic.channel === "book" && topic.depth === depth) this.#isBookDirty = true;
    else if (topic.channel === "ticker") this.#isTickerDirty = true;
    else if (topic.channel === "bar" && topic.interval === interval) this.#bar(topic);
  }

  trade(topic: Topic): void {
    if (topic.symbol !== this.wishes.symbol) return;
    const { seq, ts_event } = topic;
    const { price, size, side = "none" } = topic.values as { price?: string; size?: string; side?: string };
    if (price === undefined || size === undefined) return;
    this.#trades.push({ seq, ts_event, price, size, side });
    if (this.#trades.length > TRADES_WAITING_MAX) this.#trades.shift();
  }

  #bar({ values }: Topic): void {
    const bar = values as unknown as LiveBar | null;
    if (!bar || bar.start === null) return;
    const { start, open, high, low, close, volume } = bar;
    this.#bars.set(start, { start, open, high, low, close, volume });
    if (this.#bars.size > BARS_WAITING_MAX) this.#bars.delete(this.#bars.keys().next().value!);
  }

  /** Sends what has changed, unless the page is busy with what it was sent before. */
  flush(client: Client, instruments: Instruments, newest: number): void {
    if (this.#isDrawing || !this.wishes.isVisible) return;
    const detail = this.#takeDetail(client);
    if (!detail && !this.#isReset && this.#dirty.isEmpty && this.#symbolsSent === instruments.symbols.length) return;
    const batch: Batch = {
      kind: "batch",
      isReset: this.#isReset,
      symbols: instruments.symbols.slice(this.#symbolsSent),
      rows: this.#dirty.take().map(([row, parts]) => change(client, instruments.symbols[row]!, row, parts)),
      detail,
      newest,
      sent: sharedNow(),
    };
    this.#symbolsSent = instruments.symbols.length;
    this.#isReset = false;
    this.#isDrawing = true;
    this.#post(batch);
  }

  #takeDetail(client: Client): DetailChange | null {
    const { symbol, depth, interval } = this.wishes;
    const isChanged = this.#isBookDirty || this.#isTickerDirty || this.#trades.length > 0 || this.#bars.size > 0;
    if (symbol === null || !isChanged) return null;
    const detail: DetailChange = { symbol, interval };
    if (this.#isBookDirty) {
      const book = client.topic({ channel: "book", depth }, symbol);
      const values = client.get({ channel: "book", depth }, symbol);
      detail.book = book && values && { bids: values.bids, asks: values.asks, seq: book.seq };
    }
    if (this.#isTickerDirty) detail.ticker = client.get({ channel: "ticker" }, symbol);
    if (this.#trades.length > 0) detail.trades = this.#trades;
    if (this.#bars.size > 0) detail.bars = [...this.#bars.values()].sort((a, b) => a.start - b.start);
    this.#isBookDirty = this.#isTickerDirty = false;
    this.#trades = [];
    this.#bars.clear();
    return detail;
  }
}

function change(client: Client, symbol: string, row: number, parts: number): RowChange {
  const change: RowChange = { row };
  if (parts & QUOTE) change.quote = client.get({ channel: "quote" }, symbol);
  if (parts & STATUS) change.status = client.get({ channel: "status" }, symbol);
  if (parts & TICKER) {
    const ticker = client.get({ channel: "ticker" }, symbol);
    change.ticker = ticker && { last: ticker.last, change: ticker.change, change_percent: ticker.change_percent, volume: ticker.volume };
    // Where quotes are not followed, as by server-sent events, the ticker has their prices.
    if (ticker && !client.topic({ channel: "quote" }, symbol)) change.quote = { bid: ticker.bid, bid_size: null, ask: ticker.ask, ask_size: null };
  }
  return change;
}
