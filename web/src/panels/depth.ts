// The depth of the book: how much there is up to each price.

import { type Drawn, request } from "../frame.ts";
import { quantity } from "../format.ts";
import type { Market } from "../market.ts";
import { Mirror } from "../mirror.ts";
import { SMALL_FONT, Surface } from "../surface.ts";
import { type Colours, onTheme, theme } from "../theme.ts";
import { spread, sumUp, type Summed } from "./levels.ts";
import type { Panel } from "./panel.ts";

const LEVELS_MAX = 100;
const TOP = 22;
const BOTTOM = 20;
const PAD = 10;
const LABEL = 120;

export class Depth implements Panel, Drawn {
  readonly id = "depth";
  readonly title = "Depth";
  readonly short = "Depth";
  readonly body = document.createElement("div");
  readonly #market: Market;
  readonly #surface: Surface;
  readonly #mirror: Mirror;

  constructor(market: Market) {
    this.#market = market;
    this.body.className = "drawn";
    this.#surface = new Surface(this.body, () => request(this));
    this.#mirror = new Mirror(this.body, "Depth of the book", ["Side", "Down to or up to", "Size in sum"], () => this.#rows());
    onTheme(() => request(this));
  }

  changed(): void {
    request(this);
    this.#mirror.changed();
  }

  draw(): boolean {
    const surface = this.#surface;
    if (!surface.isVisible) return false;
    const colours = theme();
    surface.fill(colours.sheet);
    const book = this.#market.detail?.book;
    const middle = spread(book?.bids[0]?.[0], book?.asks[0]?.[0]);
    if (!book || !middle) return false;
    const { bids, asks } = sumUp(book.bids, book.asks, LEVELS_MAX);
    const { context, width, height } = surface;
    // Prices become numbers for the picture alone, and both sides are as wide as the wider one.
    const centre = Number(middle.middle);
    const reach = Math.max(centre - Number(bids.at(-1)!.price), Number(asks.at(-1)!.price) - centre) || 1;
    const x = (price: number): number => width / 2 + ((price - centre) / reach) * (width / 2);
    const floor = height - BOTTOM;
    const y = (part: number): number => floor - part * (floor - TOP);
    context.save();
    context.strokeStyle = colours.grid;
    context.lineWidth = 1;
    for (const part of [0.25, 0.5, 0.75, 1]) {
      context.beginPath();
      context.moveTo(0, Math.round(y(part)) + 0.5);
      context.lineTo(width, Math.round(y(part)) + 0.5);
      context.stroke();
    }
    this.#side(bids, x, y, floor, colours.up, colours["up-bar"]);
    this.#side(asks, x, y, floor, colours.down, colours["down-bar"]);
    context.restore();
    this.#labels(bids, asks, middle.middle, x, colours);
    return false;
  }

  /** Steps from the best price outwards. */
  #side(levels: readonly Summed[], x: (price: number) => number, y: (part: number) => number, floor: number, line: string, fill: string): void {
    const { context } = this.#surface;
    const outline = new Path2D();
    let level = floor;
    outline.moveTo(x(Number(levels[0]!.price)), floor);
    for (const { price, sumPart } of levels) {
      const at = x(Number(price));
      outline.lineTo(at, level);
      level = y(sumPart);
      outline.lineTo(at, level);
    }
    // Beyond the last level nothing is known.
    const last = x(Number(levels.at(-1)!.price));
    const area = new Path2D(outline);
    area.lineTo(last, floor);
    area.closePath();
    context.fillStyle = fill;
    context.fill(area);
    context.strokeStyle = line;
    context.lineWidth = 1.5;
    context.stroke(outline);
  }

  #labels(bids: readonly Summed[], asks: readonly Summed[], middle: string, x: (price: number) => number, colours: Colours): void {
    const surface = this.#surface;
    const { width, height } = surface;
    surface.context.font = SMALL_FONT;
    const at = height - BOTTOM / 2;
    const [bid, ask] = [bids.at(-1)!, asks.at(-1)!];
    // Where the side ends, as far as that leaves room for the middle.
    const left = Math.max(PAD, Math.min(x(Number(bid.price)), width / 2 - LABEL));
    const right = Math.min(width - PAD, Math.max(x(Number(ask.price)), width / 2 + LABEL));
    surface.text(quantity(bid.sum), left, TOP / 2, colours.up);
    surface.text(quantity(ask.sum), right, TOP / 2, colours.down, "right");
    surface.text(bid.price, left, at, colours.faint);
    surface.text(middle, width / 2, at, colours.text, "center");
    surface.text(ask.price, right, at, colours.faint, "right");
  }

  #rows(): string[][] {
    const book = this.#market.detail?.book;
    if (!book) return [];
    const { bids, asks } = sumUp(book.bids, book.asks, LEVELS_MAX);
    return [["Bids", bids.at(-1)?.price ?? "", quantity(bids.at(-1)?.sum ?? "")], ["Asks", asks.at(-1)?.price ?? "", quantity(asks.at(-1)?.sum ?? "")]];
  }
}
