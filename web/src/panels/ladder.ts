// The order book as a ladder: asks above, bids below, with the sums of their sizes.

import { type Drawn, request } from "../frame.ts";
import { quantity } from "../format.ts";
import type { Market } from "../market.ts";
import { Mirror } from "../mirror.ts";
import { FONT, SMALL_FONT, Surface } from "../surface.ts";
import { type Colours, onTheme, theme } from "../theme.ts";
import { Flash } from "../watch/flash.ts";
import { spread, sumUp, type Summed } from "./levels.ts";
import { choice, type Panel } from "./panel.ts";

const ROW = 20;
const HEAD = 22;
const MIDDLE = 28;
const PAD = 10;
const DEPTHS = ["10", "25", "100"] as const;
const MIRROR_LEVELS = 10;

export class Ladder implements Panel, Drawn {
  readonly id = "ladder";
  readonly title = "Order book";
  readonly short = "Book";
  readonly body = document.createElement("div");
  readonly tools: readonly HTMLElement[];
  readonly #market: Market;
  readonly #surface: Surface;
  readonly #mirror: Mirror;
  #flashes = new Map<string, Flash>();

  constructor(market: Market, depth: number, chooseDepth: (depth: 10 | 25 | 100) => void) {
    this.#market = market;
    this.body.className = "drawn";
    this.tools = [choice("Levels of the order book", DEPTHS, String(depth) as (typeof DEPTHS)[number], (depth) => chooseDepth(Number(depth) as 10 | 25 | 100)).element];
    this.#surface = new Surface(this.body, () => request(this));
    this.#mirror = new Mirror(this.body, "Order book: best levels", ["Bid size", "Bid", "Ask", "Ask size"], () => this.#rows());
    onTheme(() => request(this));
  }

  changed(): void {
    request(this);
    this.#mirror.changed();
  }

  draw(now: number): boolean {
    const surface = this.#surface;
    if (!surface.isVisible) return false;
    const colours = theme();
    surface.fill(colours.sheet);
    const book = this.#market.detail?.book;
    const { context, width, height } = surface;
    if (!book) return false;
    const count = Math.max(1, Math.floor((height - HEAD - MIDDLE) / 2 / ROW));
    const { bids, asks } = sumUp(book.bids, book.asks, count);
    context.font = SMALL_FONT;
    const columns = { price: PAD, size: Math.round(width * 0.66), sum: width - PAD };
    surface.text("Price", columns.price, HEAD / 2, colours.faint);
    surface.text("Size", columns.size, HEAD / 2, colours.faint, "right");
    surface.text("Sum", columns.sum, HEAD / 2, colours.faint, "right");
    context.font = FONT;
    const middle = HEAD + Math.max(count * ROW, Math.floor((height - HEAD - MIDDLE) / 2));
    const lit = new Map<string, Flash>();
    asks.forEach((level, index) => this.#level(level, false, middle - (index + 1) * ROW, now, columns, colours, lit));
    bids.forEach((level, index) => this.#level(level, true, middle + MIDDLE + index * ROW, now, columns, colours, lit));
    this.#flashes = lit;
    this.#middle(middle, bids[0]?.price, asks[0]?.price, colours);
    return [...lit.values()].some((flash) => flash.isFading);
  }

  #level(level: Summed, isBid: boolean, y: number, now: number, columns: { price: number; size: number; sum: number }, colours: Colours, lit: Map<string, Flash>): void {
    const surface = this.#surface;
    const { context, width } = surface;
    const key = `${isBid ? "b" : "a"}${level.price}`;
    const flash = this.#flashes.get(key) ?? new Flash();
    lit.set(key, flash);
    flash.set(level.size, now);
    const [bar, ink] = isBid ? [colours["up-bar"], colours.up] : [colours["down-bar"], colours.down];
    context.globalAlpha = 0.5;
    surface.fill(bar, width - width * level.sumPart, y, width * level.sumPart, ROW - 1);
    context.globalAlpha = 1;
    surface.fill(bar, width - width * level.sizePart, y, width * level.sizePart, ROW - 1);
    const { light } = flash.light(now);
    if (light > 0) {
      context.globalAlpha = light * 0.8;
      surface.fill(isBid ? colours["up-flash"] : colours["down-flash"], 0, y, columns.size + 4, ROW - 1);
      context.globalAlpha = 1;
    }
    const at = y + ROW / 2;
    surface.text(level.price, columns.price, at, ink);
    surface.text(quantity(level.size), columns.size, at, colours.text, "right");
    surface.text(quantity(level.sum), columns.sum, at, colours.soft, "right");
  }

  #middle(y: number, bid: string | undefined, ask: string | undefined, colours: Colours): void {
    const surface = this.#surface;
    surface.fill(colours.grid, 0, y, surface.width, 1);
    surface.fill(colours.grid, 0, y + MIDDLE - 1, surface.width, 1);
    const told = spread(bid, ask);
    if (!told) return;
    const at = y + MIDDLE / 2;
    surface.text(told.middle, PAD, at, colours.text);
    surface.context.font = SMALL_FONT;
    surface.text(`spread ${told.spread}`, surface.width - PAD, at, colours.soft, "right");
  }

  #rows(): string[][] {
    const { bids = [], asks = [] } = this.#market.detail?.book ?? {};
    return Array.from({ length: Math.min(MIRROR_LEVELS, Math.max(bids.length, asks.length)) }, (_, level) => [
      quantity(bids[level]?.[1] ?? ""), bids[level]?.[0] ?? "", asks[level]?.[0] ?? "", quantity(asks[level]?.[1] ?? ""),
    ]);
  }
}
