// A book from its snapshot and deltas.

import { checksum } from "./checksum.ts";
import { isDecimal, isZero, mantissa } from "./decimal.ts";
import type { BookFields, Level } from "./messages.ts";
import { ProtocolError } from "./fault.ts";

/** The best levels of both sides, best first. */
export class Book implements BookFields {
  bids: Level[] = [];
  asks: Level[] = [];
  readonly #bidRanks: bigint[] = [];
  readonly #askRanks: bigint[] = [];

  apply(fields: Partial<BookFields>, exponents: { price_exponent: number; size_exponent: number } | null): void {
    for (const level of fields.bids ?? []) set(this.bids, this.#bidRanks, valid(level, exponents), -1n);
    for (const level of fields.asks ?? []) set(this.asks, this.#askRanks, valid(level, exponents), 1n);
  }

  checksum(): number {
    return checksum(this.bids, this.asks);
  }

  /** Levels of the longer side. */
  get levels(): number {
    return Math.max(this.bids.length, this.asks.length);
  }
}

function valid(level: Level, exponents: { price_exponent: number; size_exponent: number } | null): Level {
  if (!Array.isArray(level) || typeof level[0] !== "string" || typeof level[1] !== "string") {
    throw new ProtocolError("a level is no pair of texts");
  }
  if (exponents && !(isDecimal(level[0], exponents.price_exponent) && isDecimal(level[1], exponents.size_exponent))) {
    throw new ProtocolError(`the level \`${level[0]}\`, \`${level[1]}\` has not the instrument's decimals`);
  }
  return level;
}

/** `ranks` grow from the best price on; they stand for the levels' prices. */
function set(levels: Level[], ranks: bigint[], level: Level, sign: bigint): void {
  const rank = sign * mantissa(level[0]);
  let [low, high] = [0, ranks.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ranks[middle]! < rank) low = middle + 1;
    else high = middle;
  }
  const isThere = ranks[low] === rank;
  if (isZero(level[1])) {
    // What is not there cannot be deleted any more: two changes that were merged into one look like that.
    if (!isThere) return;
    levels.splice(low, 1);
    ranks.splice(low, 1);
  } else if (isThere) {
    levels[low] = level;
  } else {
    levels.splice(low, 0, level);
    ranks.splice(low, 0, rank);
  }
}
