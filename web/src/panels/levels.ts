// A book's levels with what they sum up to, exactly.

import { decimal, type Level, mantissa } from "tickwire-client";

export interface Summed {
  price: string;
  size: string;
  /** Of this level and all better ones. */
  sum: string;
  /** Parts of the deepest sum, for bars: nothing else is a float here. */
  sizePart: number;
  sumPart: number;
}

/** The best levels of both sides; bars of both are to one scale. */
export function sumUp(bids: readonly Level[], asks: readonly Level[], count: number): { bids: Summed[]; asks: Summed[] } {
  const exponent = exponentOf(bids[0]?.[1] ?? asks[0]?.[1] ?? "0");
  const sums = [bids, asks].map((side) => {
    let sum = 0n;
    return side.slice(0, count).map(([price, size]) => ({ price, size, mantissa: mantissa(size), sum: (sum += mantissa(size)) }));
  });
  const most = Number(sums.reduce((most, side) => bigger(most, side.at(-1)?.sum ?? 0n), 1n));
  const [summedBids, summedAsks] = sums.map((side) =>
    side.map(({ price, size, mantissa, sum }) => ({ price, size, sum: decimal(sum, exponent), sizePart: Number(mantissa) / most, sumPart: Number(sum) / most })),
  );
  return { bids: summedBids!, asks: summedAsks! };
}

/** How far apart the best prices are, and what lies in the middle; `null` where a side is empty. */
export function spread(bid: string | undefined, ask: string | undefined): { spread: string; middle: string } | null {
  if (bid === undefined || ask === undefined) return null;
  const exponent = exponentOf(bid);
  const [low, high] = [mantissa(bid), mantissa(ask)];
  return { spread: decimal(high - low, exponent), middle: decimal((low + high) * 5n, exponent - 1) };
}

const bigger = (a: bigint, b: bigint): bigint => (a > b ? a : b);
const exponentOf = (text: string): number => (text.includes(".") ? -(text.length - text.indexOf(".") - 1) : 0);
