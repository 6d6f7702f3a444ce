// Bodies of `ticker`.

import { decimal, ratio } from "../decimal.ts";
import type { ChannelReader } from "./channel.ts";
import { moved } from "./reader.ts";
import { added, counted, sums, type Totals } from "./sums.ts";

interface Ticker {
  last: { price: bigint; size: bigint } | null;
  bid: bigint | null;
  ask: bigint | null;
  session: Totals | null;
  close: bigint | null;
}

const EMPTY: Ticker = { last: null, bid: null, ask: null, session: null, close: null };
/** The bits of a session's fields: volume, notional, trades, high, low, open. */
const SESSION = 0b11_1111_0000;
/** A bit that says that something is gone, and the bits that cannot be there with it. */
const PAIRS = [[1 << 11, 0b11], [1 << 12, 1 << 2], [1 << 13, 1 << 3], [1 << 14, SESSION], [1 << 15, 1 << 10]] as const;

export const ticker: ChannelReader<Ticker> = {
  empty: EMPTY,
  snapshot: (reader, scale) => ticker.update(reader, scale, EMPTY, 0),
  update(reader, _scale, old) {
    const fields = reader.bitmap(0xffff, PAIRS);
    const is = (bit: number): boolean => (fields & (1 << bit)) !== 0;
    const price = (bit: number, gone: number, old: bigint | null): bigint | null =>
      is(bit) ? moved(old ?? 0n, reader.signed()) : is(gone) ? null : old;
    const state = { ...old };
    if (is(0) || is(1)) {
      const last = { ...(old.last ?? { price: 0n, size: 0n }) };
      if (is(0)) last.price = moved(last.price, reader.signed());
      if (is(1)) last.size = reader.size(0);
      state.last = last;
    }
    if (is(11)) state.last = null;
    state.bid = price(2, 12, old.bid);
    state.ask = price(3, 13, old.ask);
    if (fields & SESSION) {
      const session = { ...(old.session ?? { open: 0n, high: 0n, low: 0n, volume: 0n, notional: 0n, trades: 0n }) };
      if (is(4)) session.volume = added(session.volume, reader.signed(128));
      if (is(5)) session.notional = added(session.notional, reader.signed(128));
      if (is(6)) session.trades = counted(session.trades, reader.signed());
      if (is(7)) session.high = moved(session.high, reader.signed());
      if (is(8)) session.low = moved(session.low, reader.signed());
      if (is(9)) session.open = moved(session.open, reader.signed());
      state.session = session;
    }
    if (is(14)) state.session = null;
    state.close = price(10, 15, old.close);
    return { state };
  },
  fields({ last, bid, ask, session, close }, scale) {
    const price = (value: bigint | null | undefined): string | null =>
      value === null || value === undefined ? null : decimal(value, scale.price_exponent);
    const change = last && session && last.price - session.open;
    return {
      last: price(last?.price),
      last_size: last && decimal(last.size, scale.size_exponent),
      bid: price(bid),
      ask: price(ask),
      open: price(session?.open),
      high: price(session?.high),
      low: price(session?.low),
      close: price(close),
      ...sums(session, scale),
      change: price(change),
      change_percent: change === null || session === null ? null : ratio(change * 100n, session.open, 0),
    };
  },
};
