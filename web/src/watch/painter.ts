// Draws the rows of the watch-list that are in sight, those that have changed alone.

import type { Drawn } from "../frame.ts";
import { direction, NONE } from "../format.ts";
import type { Row } from "../market.ts";
import { FONT, NAME_FONT, SMALL_FONT, type Surface } from "../surface.ts";
import { type Colours, theme } from "../theme.ts";
import { type Placed, shown } from "./columns.ts";
import { Flash } from "./flash.ts";
import { drawSpark } from "./spark.ts";

export const ROW_HEIGHT = 28;
const PAD = 8;
/** How bright a cell is that has just moved: many do so at once. */
const GLOW = 0.55;
/** States in which prices do not move, or are not to be trusted. */
const DIM = new Set(["stale", "ended", "closed", "halted"]);

export class Painter implements Drawn {
  surface: Surface | null = null;
  placed: readonly Placed[] = [];
  order: readonly Row[] = [];
  scrollTop = 0;
  selected: string | null = null;
  hovered: Row | null = null;
  /** Nothing is to be trusted: there is no connection. */
  isVoid = false;
  #isWhole = true;
  #isSampled = false;
  readonly #changed = new Set<Row>();
  #flashes = new Map<Row, Flash[]>();
  #first = 0;
  #end = 0;

  /** Everything is to be drawn again. */
  whole(): void {
    this.#isWhole = true;
  }

  /** The sparklines have a point more. */
  sampled(): void {
    this.#isSampled = true;
  }

  /** Whether any of these rows is in sight, and so is to be drawn. */
  change(rows: Iterable<Row>): boolean {
    for (const row of rows) if (this.#flashes.has(row)) this.#changed.add(row);
    return this.#changed.size > 0 || this.#isWhole;
  }

  draw(now: number): boolean {
    const { surface } = this;
    if (!surface?.isVisible) return false;
    const colours = theme();
    if (this.#isWhole) this.#find(now);
    let isFading = false;
    for (let at = this.#first; at < this.#end; at += 1) {
      const row = this.order[at]!;
      const flashes = this.#flashes.get(row)!;
      let isDirty = this.#isWhole || this.#changed.has(row);
      if (isDirty) this.placed.forEach(({ column }, index) => column.flashes && flashes[index]!.set(column.value(row), now));
      for (const flash of flashes) {
        const { isNew } = flash.light(now);
        isDirty ||= isNew;
        isFading ||= flash.isFading;
      }
      const y = at * ROW_HEIGHT - this.scrollTop;
      if (isDirty) this.#row(surface, row, flashes, y, now, colours);
      else if (this.#isSampled) this.#sampledRow(surface, row, y, colours);
    }
    if (this.#isWhole) {
      const bottom = this.order.length * ROW_HEIGHT - this.scrollTop;
      if (bottom < surface.height) surface.fill(colours.sheet, 0, bottom, surface.width, surface.height - bottom);
    }
    this.#isWhole = this.#isSampled = false;
    this.#changed.clear();
    return isFading;
  }

  /** Which rows are in sight; those that come into it do not flash for that. */
  #find(now: number): void {
    this.#first = Math.max(0, Math.floor(this.scrollTop / ROW_HEIGHT));
    this.#end = Math.min(this.order.length, Math.ceil((this.scrollTop + this.surface!.height) / ROW_HEIGHT));
    const flashes = new Map<Row, Flash[]>();
    for (const row of this.order.slice(this.#first, this.#end)) {
      let known = this.#flashes.get(row);
      if (known?.length !== this.placed.length) {
        known = this.placed.map(() => new Flash());
        this.placed.forEach(({ column }, index) => known![index]!.set(column.value(row), now));
      }
      flashes.set(row, known);
    }
    this.#flashes = flashes;
  }

  #row(surface: Surface, row: Row, flashes: readonly Flash[], y: number, now: number, colours: Colours): void {
    const { context } = surface;
    const isDim = this.isVoid || DIM.has(row.status?.state ?? "trading");
    surface.fill(this.#ground(row, colours), 0, y, surface.width, ROW_HEIGHT);
    surface.fill(colours.grid, 0, y + ROW_HEIGHT - 1, surface.width, 1);
    if (row.symbol === this.selected) surface.fill(colours.accent, 0, y, 3, ROW_HEIGHT);
    const middle = y + ROW_HEIGHT / 2;
    context.font = FONT;
    for (const [index, { column, x, width }] of this.placed.entries()) {
      if (column.name === "symbol") {
        this.#clipped(row.symbol, x, y, width, NAME_FONT, isDim ? colours.faint : colours.text);
      } else if (column.name === "spark") {
        this.#spark(surface, row, x, y, width, colours);
      } else {
        const text = shown(column, row);
        const flash = flashes[index]!;
        const { light } = flash.light(now);
        const isLit = light > 0 && !isDim;
        if (isLit) {
          context.globalAlpha = light * GLOW;
          surface.fill(flash.isUp ? colours["up-flash"] : colours["down-flash"], x + 3, y + 4, width - 6, ROW_HEIGHT - 9);
          context.globalAlpha = 1;
        }
        const lit = flash.isUp ? colours.up : colours.down;
        surface.text(text, x + width - PAD, middle, isLit && light > 0.5 ? lit : this.#colour(column.name, text, isDim, colours), "right");
      }
    }
  }

  #ground(row: Row, colours: Colours): string {
    return row.symbol === this.selected ? colours.select : row === this.hovered ? colours.hover : colours.sheet;
  }

  /** A row of which the sparkline alone is new. */
  #sampledRow(surface: Surface, row: Row, y: number, colours: Colours): void {
    const spark = this.placed.find(({ column }) => column.name === "spark");
    if (!spark) return;
    surface.fill(this.#ground(row, colours), spark.x, y, spark.width, ROW_HEIGHT - 1);
    this.#spark(surface, row, spark.x, y, spark.width, colours);
  }

  /** In its place stands the state of an instrument that does not trade. */
  #spark(surface: Surface, row: Row, x: number, y: number, width: number, colours: Colours): void {
    const state = row.status?.state ?? "trading";
    if (state !== "trading") this.#clipped(state, x - 4, y, width, SMALL_FONT, colours.warn);
    else drawSpark(surface, row, x + PAD, y + 6, width - 2 * PAD, ROW_HEIGHT - 12, colours);
  }

  #colour(name: string, text: string, isDim: boolean, colours: Colours): string {
    if (isDim || text === NONE) return colours.faint;
    if (name === "change") {
      const moved = direction(text);
      return moved === "rise" ? colours.up : moved === "fall" ? colours.down : colours.soft;
    }
    return name === "last" || name === "bid" || name === "ask" ? colours.text : colours.soft;
  }

  /** A text that may be longer than its column. */
  #clipped(text: string, x: number, y: number, width: number, font: string, colour: string): void {
    const { context } = this.surface!;
    context.save();
    context.beginPath();
    context.rect(x, y, width - 2, ROW_HEIGHT);
    context.clip();
    context.font = font;
    this.surface!.text(text, x + PAD + 4, y + ROW_HEIGHT / 2, colour);
    context.restore();
  }
}
