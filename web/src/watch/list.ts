// The watch-list: a canvas that scrolls, with heads that sort, keys that walk, and a table for those who do not see it.

import { request } from "../frame.ts";
import { keep, kept } from "../kept.ts";
import type { Market, Row } from "../market.ts";
import { Surface } from "../surface.ts";
import { onTheme } from "../theme.ts";
import { COLUMNS, place } from "./columns.ts";
import { writeHeads } from "./heads.ts";
import { arrange, type Sorting } from "./order.ts";
import { Painter, ROW_HEIGHT } from "./painter.ts";
import { writeRows } from "./spoken.ts";

const MIRROR_EVERY_MS = 1000;

export class WatchList {
  readonly element = document.createElement("div");
  readonly #grid = document.createElement("div");
  readonly #head = document.createElement("div");
  readonly #window = document.createElement("div");
  readonly #spacer = document.createElement("div");
  readonly #mirror = document.createElement("div");
  readonly #empty = document.createElement("p");
  readonly #painter = new Painter();
  readonly #market: Market;
  readonly #choose: (symbol: string) => void;
  #filter = "";
  #sorting: Sorting = kept<Sorting>("sorting", { by: "symbol", isDescending: false }, isSorting);
  #order: Row[] = [];
  #selected: string | null = null;

  /** `choose` is called with the symbol that the user moves to. */
  constructor(market: Market, choose: (symbol: string) => void) {
    this.#market = market;
    this.#choose = choose;
    this.#build();
    this.#painter.surface = new Surface(this.#window, () => this.#place());
    onTheme(() => this.#whole());
    setInterval(() => this.#everySecond(), MIRROR_EVERY_MS);
  }

  get found(): number {
    return this.#order.length;
  }

  /** Rows have changed. */
  changed(rows: readonly Row[], isLonger: boolean): void {
    if (isLonger) this.#arrange();
    if (this.#painter.change(rows)) request(this.#painter);
  }

  sampled(): void {
    this.#painter.sampled();
    request(this.#painter);
  }

  void(isVoid: boolean): void {
    if (this.#painter.isVoid === isVoid) return;
    this.#painter.isVoid = isVoid;
    this.#whole();
  }

  filter(text: string): void {
    this.#filter = text;
    this.#grid.scrollTop = 0;
    this.#arrange();
  }

  /** The first that was found. */
  get first(): string | null {
    return this.#order[0]?.symbol ?? null;
  }

  focus(): void {
    this.#grid.focus();
  }

  select(symbol: string | null): void {
    this.#selected = this.#painter.selected = symbol;
    const at = this.#order.findIndex((row) => row.symbol === symbol);
    if (at >= 0) this.#reveal(at);
    this.#whole();
    this.#mirrorRows();
  }

  #build(): void {
    this.element.className = "watch";
    this.#grid.className = "grid";
    this.#grid.id = "watch";
    this.#grid.tabIndex = 0;
    this.#grid.role = "grid";
    this.#grid.ariaLabel = "Watch-list: arrow keys choose an instrument";
    this.#head.role = "row";
    this.#head.className = "heads";
    const heads = document.createElement("div");
    heads.role = "rowgroup";
    heads.className = "head";
    heads.append(this.#head);
    this.#window.className = "window";
    this.#mirror.className = "unseen";
    this.#mirror.role = "rowgroup";
    this.#empty.className = "empty";
    this.#empty.role = "status";
    this.#grid.append(heads, this.#window, this.#spacer, this.#mirror);
    this.element.append(this.#grid, this.#empty);

    this.#grid.addEventListener("scroll", () => this.#whole(), { passive: true });
    new ResizeObserver(() => this.#size()).observe(this.#grid);
    this.#grid.addEventListener("keydown", (event) => this.#walk(event));
    this.#window.addEventListener("click", (event) => {
      const row = this.#rowAt(event);
      if (row) this.#choose(row.symbol);
    });
    this.#window.addEventListener("pointermove", (event) => event.pointerType === "mouse" && this.#hover(this.#rowAt(event)));
    this.#window.addEventListener("pointerleave", () => this.#hover(null));
  }

  /** The window is as high as what is left below the heads. */
  #size(): void {
    this.#window.style.height = `${Math.max(0, this.#grid.clientHeight - this.#head.offsetHeight)}px`;
    this.#space();
  }

  #space(): void {
    const height = this.#order.length * ROW_HEIGHT - this.#window.clientHeight;
    this.#spacer.style.height = `${Math.max(0, height)}px`;
  }

  #place(): void {
    this.#painter.placed = place(this.#painter.surface!.width);
    this.#heads();
    this.#whole();
  }

  #heads(): void {
    writeHeads(this.#head, this.#painter.placed, this.#sorting, (sorting) => {
      this.#sorting = sorting;
      keep("sorting", sorting);
      this.#arrange();
      this.#heads();
    });
  }

  #arrange(): void {
    this.#order = arrange(this.#market.rows, this.#filter, this.#sorting);
    this.#painter.order = this.#order;
    this.#grid.ariaRowCount = String(this.#order.length + 1);
    this.#empty.textContent = this.#order.length > 0 ? "" : this.#market.rows.length > 0 ? `No symbol has “${this.#filter}” in it.` : "Waiting for the first quotes …";
    this.#space();
    this.#whole();
  }

  #whole(): void {
    this.#painter.scrollTop = this.#grid.scrollTop;
    this.#painter.whole();
    request(this.#painter);
  }

  #everySecond(): void {
    if (document.hidden) return;
    if (this.#sorting.by !== "symbol") this.#arrange();
    this.#mirrorRows();
  }

  #rowAt(event: MouseEvent): Row | null {
    const y = event.clientY - this.#window.getBoundingClientRect().top + this.#grid.scrollTop;
    return this.#order[Math.floor(y / ROW_HEIGHT)] ?? null;
  }

  #hover(row: Row | null): void {
    const before = this.#painter.hovered;
    if (before === row) return;
    this.#painter.hovered = row;
    if (this.#painter.change([before, row].filter((row) => row !== null))) request(this.#painter);
  }

  #walk(event: KeyboardEvent): void {
    if (event.target !== this.#grid || event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(this.#window.clientHeight / ROW_HEIGHT) - 1);
    const steps: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: Number.NEGATIVE_INFINITY, End: Number.POSITIVE_INFINITY };
    const step = steps[event.key];
    if (step === undefined || this.#order.length === 0) return;
    event.preventDefault();
    const from = this.#order.findIndex((row) => row.symbol === this.#selected);
    const to = Math.max(0, Math.min(this.#order.length - 1, from + step));
    this.#choose(this.#order[to]!.symbol);
  }

  #reveal(at: number): void {
    const top = at * ROW_HEIGHT;
    const height = this.#window.clientHeight;
    if (top < this.#grid.scrollTop) this.#grid.scrollTop = top;
    else if (top + ROW_HEIGHT > this.#grid.scrollTop + height) this.#grid.scrollTop = top + ROW_HEIGHT - height;
  }

  #mirrorRows(): void {
    const first = Math.max(0, Math.floor(this.#grid.scrollTop / ROW_HEIGHT));
    const rows = this.#order.slice(first, first + Math.ceil(this.#window.clientHeight / ROW_HEIGHT));
    const active = writeRows(this.#mirror, rows, first, this.#selected);
    if (active === null) this.#grid.removeAttribute("aria-activedescendant");
    else this.#grid.setAttribute("aria-activedescendant", active);
  }
}

function isSorting(value: unknown): boolean {
  const { by, isDescending } = (value ?? {}) as Partial<Sorting>;
  return COLUMNS.some(({ name }) => name === by) && typeof isDescending === "boolean";
}
