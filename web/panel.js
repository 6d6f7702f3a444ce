// One instrument: its session, the ten best levels of its book, its newest trades.

import { Book } from "./book.js";
import { direction, grouped, percent, quantity } from "./decimal.js";

const DEPTH = 10;
const TRADES_MAX = 30;

export class Panel {
  /** `close()` is called when the user closes it; `records` as for the table; the topics come from `feed`. */
  constructor(records, feed, close) {
    this.records = records;
    this.feed = feed;
    this.element = document.getElementById("panel");
    this.parts = Object.fromEntries(["symbol", "status", "last", "change"].map((name) => [name, document.getElementById(`panel-${name}`)]));
    this.session = [...document.querySelectorAll("#panel-session dd")];
    this.proof = document.getElementById("book-proof");
    this.levels = rows("#book tbody", DEPTH, 4);
    this.tape = rows("#trades tbody", TRADES_MAX, 3);
    document.getElementById("panel-close").addEventListener("click", close);
  }

  show(symbol) {
    this.hide();
    this.symbol = symbol;
    this.reset();
    this.element.hidden = false;
    this.element.scrollTop = 0;
    for (const params of this.#topics()) this.feed.subscribe(params);
  }

  hide() {
    if (!this.symbol) return;
    for (const params of this.#topics()) this.feed.unsubscribe(params);
    this.symbol = undefined;
    this.element.hidden = true;
  }

  /** Forgets all state, as at the start of a connection or an epoch. */
  reset() {
    this.book = new Book();
    this.trades = [];
    this.proofs = 0;
    this.proven = undefined;
    this.changed();
  }

  /** A `book` or `trade` message, or any other of the instrument's: the fields in `records` have changed. */
  message(message) {
    if (message.symbol !== this.symbol) return;
    if (message.channel === "book") this.#book(message);
    else if (message.channel === "trade") this.#trade(message);
    this.changed();
  }

  changed() {
    if (!this.symbol) return;
    this.frame ??= requestAnimationFrame(() => {
      this.frame = undefined;
      if (this.symbol) this.#draw();
    });
  }

  #topics() {
    const symbols = [this.symbol];
    return [{ channel: "book", depth: DEPTH, symbols }, { channel: "trade", symbols }];
  }

  #book(message) {
    const proven = this.book.apply(message);
    if (proven === undefined) return;
    this.proven = proven;
    if (proven) this.proofs += 1;
    else this.feed.distrust("book", this.symbol);
  }

  #trade(message) {
    if (message.price == null || message.seq <= this.trades[0]?.seq) return;
    this.trades.unshift(message);
    this.trades.length = Math.min(this.trades.length, TRADES_MAX);
  }

  #draw() {
    const record = this.records.get(this.symbol) ?? {};
    const { symbol, status, last, change } = this.parts;
    put(symbol, this.symbol);
    put(status, !record.state || record.state === "trading" ? "" : [record.state, record.reason].filter(Boolean).join(": "));
    put(last, record.last ?? "–");
    put(change, record.change == null ? "" : `${signed(record.change)} (${percent(record.change_percent)})`);
    change.className = direction(record.change);
    for (const element of this.session) put(element, shown(record[element.dataset.field], element.dataset.field));

    put(this.proof, this.proven === undefined ? "" : this.proven ? `✓ ${this.proofs} checksums agree` : "✗ checksum differs, asking again");
    this.proof.className = this.proven === false ? "bad" : "";
    const { bids, asks } = this.book;
    const most = Math.max(1, ...bids.concat(asks).map(([, size]) => Number(size)));
    this.levels.forEach(([bidSize, bid, ask, askSize], depth) => {
      level(bid, bidSize, bids[depth], most);
      level(ask, askSize, asks[depth], most);
    });

    this.tape.forEach(([time, price, size], index) => {
      const trade = this.trades[index];
      put(time, trade ? clock(trade.ts_event) : "");
      put(price, trade?.price ?? "");
      put(size, trade ? quantity(trade.size) : "");
      price.className = { buy: "rise", sell: "fall" }[trade?.side] ?? "";
    });
  }
}

/** The time of day of microseconds since 1970, to the millisecond. */
export const clock = (micros) => new Date(Math.floor(micros / 1000)).toISOString().slice(11, 23);

function level(priceCell, sizeCell, entry, most) {
  put(priceCell, entry?.[0] ?? "");
  put(sizeCell, entry ? quantity(entry[1]) : "");
  // The bar is a picture: here alone a size becomes a number.
  sizeCell.style.setProperty("--fill", entry ? `${Math.round((100 * Number(entry[1])) / most)}%` : "0%");
}

const signed = (text) => percent(text).slice(0, -1);
const shown = (value, field) => (value == null ? "–" : field === "volume" ? quantity(value) : grouped(String(value)));

function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function rows(selector, count, columns) {
  const body = document.querySelector(selector);
  return Array.from({ length: count }, () => {
    const row = body.insertRow();
    return Array.from({ length: columns }, () => row.insertCell());
  });
}
