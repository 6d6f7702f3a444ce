// What `ticker` and `bar` sum up.

import { decimal, ratio } from "../decimal.ts";
import type { Scale, Values } from "./channel.ts";

export interface Totals {
  open: bigint;
  high: bigint;
  low: bigint;
  volume: bigint;
  notional: bigint;
  trades: bigint;
}

/** A sum of 128 bits after a difference, which wraps around. */
export const added = (sum: bigint, difference: bigint): bigint => BigInt.asIntN(128, sum + difference);
export const counted = (count: bigint, difference: bigint): bigint => BigInt.asUintN(64, count + difference);

/** The sums as JSON has them, and `notional`, which it shows as `vwap` alone. */
export function sums(totals: Totals | null, { price_exponent, size_exponent }: Scale): Values {
  return {
    volume: totals && decimal(totals.volume, size_exponent),
    notional: totals && decimal(totals.notional, price_exponent + size_exponent),
    vwap: totals && ratio(totals.notional, totals.volume, price_exponent),
    trades: totals && Number(totals.trades),
  };
}
