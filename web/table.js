// The table of quotes. However many instruments there are, only the rows in sight are in the document, and they are
// written once a frame, where a text has changed.

import { compare, direction, percent, quantity } from "./decimal.js";

const OVERSCAN = 8; // rows above and below what is in sight, so that scrolling finds them there
const FLASH_MS = 250;
const SORT_MS = 1000; // a table sorted by what moves is put in order so often

const COLUMNS = [
  { field: "last", flash: true, class: "last" },
  { field: "change_percent", class: "change", show: percent, signed: true },
  { field: "bid_size", show: quantity, class: "wide" },
  { field: "bid", flash: true, class: "bid" },
  { field: "ask", flash: true, class: "ask" },
  { field: "ask_size", show: quantity, class: "wide" },
  { field: "volume", show: quantity, class: "wide volume" },
];
const DIM = new Set(["stale", "ended", "closed", "void"]);

export class QuoteTable {
  /** `records`: symbol → the instrument's fields; `open(symbol)` is called when one is chosen. */
  constructor(records, open) {
    this.records = records;
    this.open = open;
    this.scroller = document.getElementById("scroller");
    this.body = document.querySelector("#quotes tbody");
    this.above = spacer();
    this.below = spacer();
    this.body.append(this.above, this.below);
    this.rows = new Map(); // symbol → row in the document
    this.dirty = new Set();
    this.flashing = []; // cells, the one that ends first in front
    this.order = [];
    this.filter = "";
    this.sort = { field: "symbol", sign: 1 };
    this.stillness = matchMedia("(prefers-reduced-motion: reduce)");

    this.scroller.addEventListener("scroll", () => this.#request(), { passive: true });
    new ResizeObserver(() => this.#request()).observe(this.scroller);
    document.querySelector("#quotes thead").addEventListener("click", (event) => this.#sortBy(event.target.closest("button")));
    this.body.addEventListener("click", (event) => {
      const row = event.target.closest("tr[data-symbol]");
      if (row) this.open(row.dataset.symbol);
    });
    this.body.addEventListener("keydown", (event) => this.#walk(event));
    setInterval(() => this.sort.field !== "symbol" && this.arrange(), SORT_MS);
  }

  /** The instrument's fields have changed. */
  changed(symbol) {
    if (!this.rows.has(symbol)) return;
    this.dirty.add(symbol);
    this.#request();
  }

  /** Instruments, filter or order have changed. */
  arrange() {
    const { field, sign } = this.sort;
    const order = [];
    for (const record of this.records.values()) if (record.symbol.includes(this.filter)) order.push(record);
    const bySymbol = (a, b) => (a.symbol < b.symbol ? -1 : 1);
    if (field === "symbol") order.sort((a, b) => sign * bySymbol(a, b));
    else order.sort((a, b) => unknownLast(a[field], b[field], sign) || bySymbol(a, b));
    this.order = order.map((record) => record.symbol);
    this.#request();
  }

  /** The instrument whose panel is open, or undefined. */
  mark(symbol) {
    this.rows.get(this.marked)?.row.classList.remove("open");
    this.marked = symbol;
    this.rows.get(symbol)?.row.classList.add("open");
  }

  focus(symbol) {
    this.rows.get(symbol)?.button.focus();
  }

  #sortBy(button) {
    if (!button) return;
    const field = button.dataset.sort;
    const first = field === "symbol" ? 1 : -1; // numbers: the largest first
    this.sort = { field, sign: this.sort.field === field ? -this.sort.sign : first };
    for (const head of document.querySelectorAll("#quotes thead th")) head.removeAttribute("aria-sort");
    button.parentElement.setAttribute("aria-sort", this.sort.sign > 0 ? "ascending" : "descending");
    this.arrange();
  }

  #walk(event) {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15 }[event.key];
    const row = event.target.closest("tr[data-symbol]");
    if (!step || !row) return;
    event.preventDefault();
    const from = this.order.indexOf(row.dataset.symbol);
    const to = Math.max(0, Math.min(this.order.length - 1, from + step));
    const head = this.scroller.querySelector("thead").offsetHeight;
    const top = to * this.rowHeight;
    const { scrollTop, clientHeight } = this.scroller;
    if (top < scrollTop) this.scroller.scrollTop = top;
    else if (top + this.rowHeight > scrollTop + clientHeight - head) this.scroller.scrollTop = top + this.rowHeight + head - clientHeight;
    this.#place();
    this.focus(this.order[to]);
  }

  #request() {
    this.frame ??= requestAnimationFrame((now) => {
      this.frame = undefined;
      this.#place();
      for (const symbol of this.dirty) this.#write(symbol, now);
      this.dirty.clear();
      while (this.flashing.length > 0 && this.flashing[0].until <= now) this.#endFlash(this.flashing.shift());
      if (this.flashing.length > 0) this.#request();
    });
  }

  /** Puts the rows in sight into the document, in order, and keeps those that are there already. */
  #place() {
    this.rowHeight = parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--row"));
    const first = Math.max(0, Math.floor(this.scroller.scrollTop / this.rowHeight) - OVERSCAN);
    const end = Math.min(this.order.length, first + Math.ceil(this.scroller.clientHeight / this.rowHeight) + 2 * OVERSCAN);
    const wanted = this.order.slice(first, end);
    const keep = new Set(wanted);
    for (const [symbol, { row }] of this.rows) {
      if (keep.has(symbol)) continue;
      row.remove();
      this.rows.delete(symbol);
    }
    let after = this.above;
    for (const [index, symbol] of wanted.entries()) {
      let view = this.rows.get(symbol);
      if (!view) {
        view = newRow(symbol);
        this.rows.set(symbol, view);
        view.row.classList.toggle("open", symbol === this.marked);
        this.#write(symbol);
      }
      view.row.ariaRowIndex = first + index + 2; // the head is row 1
      if (after.nextSibling !== view.row) after.after(view.row);
      after = view.row;
    }
    this.above.firstChild.style.height = `${first * this.rowHeight}px`;
    this.below.firstChild.style.height = `${(this.order.length - end) * this.rowHeight}px`;
    this.body.parentElement.ariaRowCount = this.order.length + 1;
  }

  /** Writes what differs from what is shown; `now` is absent when the row is new, which is no movement. */
  #write(symbol, now) {
    const view = this.rows.get(symbol);
    const record = this.records.get(symbol);
    if (!view || !record) return;
    for (const cell of view.cells) {
      const value = record[cell.column.field] ?? null;
      if (value === cell.value) continue;
      const before = cell.value;
      cell.value = value;
      cell.text.data = value === null ? "–" : cell.column.show ? cell.column.show(value) : value;
      if (cell.column.signed) cell.td.className = `${cell.column.class} ${direction(value)}`;
      if (now && cell.column.flash && before !== null && value !== null) this.#flash(cell, compare(value, before), now);
    }
    const state = record.void ? "void" : (record.state ?? "trading");
    if (state === view.state) return;
    view.state = state;
    view.status.textContent = state === "trading" ? "" : state === "void" ? "asking again" : state;
    view.status.title = record.reason ?? "";
    view.row.classList.toggle("dim", DIM.has(state));
  }

  #flash(cell, moved, now) {
    if (moved === 0 || this.stillness.matches) return;
    cell.td.classList.toggle("up", moved > 0);
    cell.td.classList.toggle("down", moved < 0);
    cell.until = now + FLASH_MS;
    this.flashing.push({ cell, until: cell.until });
  }

  #endFlash({ cell, until }) {
    if (cell.until === until) cell.td.classList.remove("up", "down"); // else it flashed again meanwhile
  }
}

function unknownLast(a, b, sign) {
  if (a == null || b == null) return (a == null) - (b == null);
  return sign * compare(a, b);
}

function spacer() {
  const row = document.createElement("tr");
  row.className = "space";
  row.ariaHidden = "true";
  row.append(document.createElement("td"));
  return row;
}

function newRow(symbol) {
  const row = document.createElement("tr");
  row.dataset.symbol = symbol;
  const head = document.createElement("th");
  head.scope = "row";
  head.className = "symbol";
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = symbol;
  const status = document.createElement("span");
  status.className = "status";
  head.append(button, status);
  row.append(head);
  const cells = COLUMNS.map((column) => {
    const td = document.createElement("td");
    td.className = column.class ?? "";
    const text = document.createTextNode("–");
    td.append(text);
    row.append(td);
    return { td, text, column, value: null, until: 0 };
  });
  return { row, button, status, cells, state: "trading" };
}
