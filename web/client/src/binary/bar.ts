// Bodies of `bar`.

import { decimal } from "../decimal.ts";
import type { ChannelReader } from "./channel.ts";
import { moved } from "./reader.ts";
import { added, counted, sums, type Totals } from "./sums.ts";

interface Bar extends Totals {
  start: bigint;
  close: bigint;
  final: boolean;
}

export const bar: ChannelReader<Bar | null> = {
  empty: null,
  snapshot: (reader, scale) => (reader.exists() ? bar.update(reader, scale, null, 0) : { state: null }),
  update(reader, _scale, old) {
    const fields = reader.bitmap(0x1ff);
    const is = (bit: number): boolean => (fields & (1 << bit)) !== 0;
    const close = old?.close ?? 0n;
    const state: Bar =
      is(8) || old === null
        ? { start: old?.start ?? 0n, open: close, high: close, low: close, close, volume: 0n, notional: 0n, trades: 0n, final: false }
        : { ...old };
    if (is(8)) state.start = moved(state.start, reader.signed());
    if (is(0)) state.high = moved(state.high, reader.signed());
    if (is(1)) state.low = moved(state.low, reader.signed());
    if (is(2)) state.close = moved(state.close, reader.signed());
    if (is(3)) state.volume = added(state.volume, reader.signed(128));
    if (is(4)) state.notional = added(state.notional, reader.signed(128));
    if (is(5)) state.trades = counted(state.trades, reader.signed());
    if (is(7)) state.open = moved(state.open, reader.signed());
    if (is(6)) state.final = !state.final;
    return { state };
  },
  fields(bar, scale) {
    const price = (value: bigint | undefined): string | null =>
      value === undefined ? null : decimal(value, scale.price_exponent);
    return {
      start: bar && Number(bar.start),
      open: price(bar?.open),
      high: price(bar?.high),
      low: price(bar?.low),
      close: price(bar?.close),
      ...sums(bar, scale),
      final: bar?.final ?? false,
    };
  },
  /** The first update of a new bar has all its fields. */
  changed: (old, state, scale) => (old?.start === state?.start ? undefined : bar.fields(state, scale)),
};
