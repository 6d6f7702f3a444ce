// Bodies of `book`.

import { decimal } from "../decimal.ts";
import type { ChannelReader, Read, Scale, Values } from "./channel.ts";
import { moved, overlong, type Reader, unzigzag } from "./reader.ts";

interface Level {
  price: bigint;
  size: bigint;
}

interface Book {
  bids: readonly Level[];
  asks: readonly Level[];
}

const CHECKSUM = 0x08;
const EMPTY: Book = { bids: [], asks: [] };

export const book: ChannelReader<Book> = {
  empty: EMPTY,
  flags: CHECKSUM,
  snapshot(reader, scale) {
    const extra = { checksum: reader.checksum() };
    return reader.exists() ? { ...levels(reader, scale, EMPTY), extra } : { state: EMPTY, extra };
  },
  update(reader, scale, old, flags) {
    const extra = flags & CHECKSUM ? { checksum: reader.checksum() } : {};
    return { ...levels(reader, scale, old), extra };
  },
  fields: ({ bids, asks }, scale) => ({ bids: bids.map((level) => pair(level, scale)), asks: asks.map((level) => pair(level, scale)) }),
  /** As JSON lists them: levels that fell past the depth are deleted too. */
  changed(old, state, scale) {
    const fields: Values = {};
    const bids = difference(old.bids, state.bids, false);
    const asks = difference(old.asks, state.asks, true);
    if (bids.length > 0) fields.bids = bids.map((level) => pair(level, scale));
    if (asks.length > 0) fields.asks = asks.map((level) => pair(level, scale));
    return fields;
  },
};

const pair = ({ price, size }: Level, scale: Scale): [string, string] => [
  decimal(price, scale.price_exponent),
  decimal(size, scale.size_exponent),
];

const isBefore = (a: bigint, b: bigint, isAsk: boolean): boolean => (isAsk ? a < b : a > b);

/** The levels that differ, best first, those that are gone with size 0: both sides are walked once, in order. */
function difference(old: readonly Level[], now: readonly Level[], isAsk: boolean): Level[] {
  const changed: Level[] = [];
  let [before, after] = [0, 0];
  while (before < old.length || after < now.length) {
    const [was, is] = [old[before], now[after]];
    if (was && (!is || isBefore(was.price, is.price, isAsk))) {
      changed.push({ price: was.price, size: 0n });
      before += 1;
    } else if (is && (!was || was.price !== is.price)) {
      changed.push(is);
      after += 1;
    } else {
      if (is && was && is.size !== was.size) changed.push(is);
      before += 1;
      after += 1;
    }
  }
  return changed;
}

function levels(reader: Reader, { depth }: Scale, old: Book): Read<Book> {
  const bids = { levels: [...old.bids], price: old.bids[0]?.price ?? 0n };
  const asks = { levels: [...old.asks], price: old.asks[0]?.price ?? 0n };
  let scale: number | null = null;
  for (let more = true; more; ) {
    const start = reader.at;
    const first = reader.byte();
    const bits: number = scale === null ? 4 : 2;
    scale ??= (first >> 2) & 3;
    let distance = BigInt((first & 0x7f) >> bits);
    if (first >= 0x80) {
      const rest = reader.number();
      distance |= rest << BigInt(7 - bits);
      if (rest === 0n || distance >> 64n) throw overlong(start);
    }
    const isAsk = (first & 2) !== 0;
    const side = isAsk ? asks : bids;
    const worse = unzigzag(distance);
    side.price = moved(side.price, isAsk ? worse : -worse);
    set(side.levels, side.price, reader.size(scale), isAsk);
    more = (first & 1) !== 0;
  }
  return { state: { bids: bids.levels.slice(0, depth), asks: asks.levels.slice(0, depth) } };
}

function set(levels: Level[], price: bigint, size: bigint, isAsk: boolean): void {
  let at = 0;
  while (at < levels.length && isBefore(levels[at]!.price, price, isAsk)) at += 1;
  const isThere = levels[at]?.price === price;
  if (size === 0n) levels.splice(at, isThere ? 1 : 0);
  else levels.splice(at, isThere ? 1 : 0, { price, size });
}
