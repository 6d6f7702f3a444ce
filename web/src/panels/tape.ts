// Time and sales: the newest trades on top.

import { type Drawn, request } from "../frame.ts";
import { clock, quantity } from "../format.ts";
import type { Market } from "../market.ts";
import { Mirror } from "../mirror.ts";
import { FONT, SMALL_FONT, Surface } from "../surface.ts";
import { isStill, onTheme, theme } from "../theme.ts";
import type { Panel } from "./panel.ts";

const ROW = 20;
const HEAD = 22;
const PAD = 10;
const FRESH_MS = 600;
const MIRROR_TRADES = 15;
/** Which side took liquidity, also for those who do not tell the colours apart. */
const MARKS: Record<string, string> = { buy: "▲", sell: "▼" };

export class Tape implements Panel, Drawn {
  readonly id = "tape";
  readonly title = "Time and sales";
  readonly short = "Trades";
  readonly body = document.createElement("div");
  readonly #market: Market;
  readonly #surface: Surface;
  readonly #mirror: Mirror;
  #newest = -1;
  #freshUntil = 0;
  #freshFrom = 0;

  constructor(market: Market) {
    this.#market = market;
    this.body.className = "drawn";
    this.#surface = new Surface(this.body, () => request(this));
    this.#mirror = new Mirror(this.body, "Newest trades", ["Time, UTC", "Price", "Size", "Side"], () => this.#rows());
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
    const trades = this.#market.detail?.trades ?? [];
    const { context, width, height } = surface;
    this.#light(trades[0]?.seq ?? -1, now);
    const columns = { time: PAD, price: Math.round(width * 0.68), size: width - PAD };
    context.font = SMALL_FONT;
    surface.text("Time, UTC", columns.time, HEAD / 2, colours.faint);
    surface.text("Price", columns.price, HEAD / 2, colours.faint, "right");
    surface.text("Size", columns.size, HEAD / 2, colours.faint, "right");
    context.font = FONT;
    const count = Math.ceil((height - HEAD) / ROW);
    trades.slice(0, count).forEach(({ seq, ts_event, price, size, side }, index) => {
      const y = HEAD + index * ROW;
      const ink = side === "buy" ? colours.up : side === "sell" ? colours.down : colours.soft;
      if (seq > this.#freshFrom && now < this.#freshUntil) {
        context.globalAlpha = ((this.#freshUntil - now) / FRESH_MS) * 0.6;
        surface.fill(side === "sell" ? colours["down-flash"] : colours["up-flash"], 0, y, width, ROW - 1);
        context.globalAlpha = 1;
      }
      const at = y + ROW / 2;
      surface.text(clock(ts_event), columns.time, at, colours.soft);
      surface.text(`${MARKS[side] ?? ""} ${price}`, columns.price, at, ink, "right");
      surface.text(quantity(size), columns.size, at, colours.text, "right");
    });
    return now < this.#freshUntil;
  }

  /** Trades that were not there in the last frame light up together. */
  #light(newest: number, now: number): void {
    if (newest === this.#newest) return;
    const isContinued = this.#newest >= 0 && newest > this.#newest && !isStill();
    this.#freshFrom = isContinued ? this.#newest : Number.POSITIVE_INFINITY;
    this.#freshUntil = isContinued ? now + FRESH_MS : 0;
    this.#newest = newest;
  }

  #rows(): string[][] {
    const trades = this.#market.detail?.trades ?? [];
    return trades.slice(0, MIRROR_TRADES).map(({ ts_event, price, size, side }) => [clock(ts_event), price, quantity(size), side]);
  }
}
