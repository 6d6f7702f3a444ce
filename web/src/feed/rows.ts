// The instruments of a feed by number, and which of them have changed for a page.

import { ROWS_MAX } from "./limits.ts";

export const QUOTE = 1;
export const TICKER = 2;
export const STATUS = 4;

/** Instruments in the order in which they became known; the same numbers for all pages. */
export class Instruments {
  readonly symbols: string[] = [];
  readonly #numbers = new Map<string, number>();

  /** The instrument's number, which it gets if it is new; `null` where there are too many. */
  number(symbol: string): number | null {
    const known = this.#numbers.get(symbol);
    if (known !== undefined) return known;
    if (this.symbols.length >= ROWS_MAX) return null;
    this.#numbers.set(symbol, this.symbols.length);
    return this.symbols.push(symbol) - 1;
  }
}

/** What a page has not been sent yet: each instrument once, however often it changes. */
export class Dirty {
  readonly #parts = new Map<number, number>();

  add(row: number, part: number): void {
    this.#parts.set(row, (this.#parts.get(row) ?? 0) | part);
  }

  get isEmpty(): boolean {
    return this.#parts.size === 0;
  }

  take(): [number, number][] {
    const taken = [...this.#parts];
    this.#parts.clear();
    return taken;
  }
}
