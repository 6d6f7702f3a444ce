// Bodies of `quote`.

import { decimal } from "../decimal.ts";
import type { ChannelReader } from "./channel.ts";
import { meaningless, moved, unzigzag } from "./reader.ts";

interface Side {
  price: bigint;
  size: bigint;
}

interface Quote {
  bid: Side | null;
  ask: Side | null;
}

const BID = 1;
const BID_SIZE = 2;
const ASK = 4;
const ASK_SIZE = 8;
const NO_BID = 0x10;
const NO_ASK = 0x20;
const EMPTY: Quote = { bid: null, ask: null };

export const quote: ChannelReader<Quote> = {
  empty: EMPTY,
  flags: NO_BID | NO_ASK,
  snapshot: (reader, scale) => quote.update(reader, scale, EMPTY, 0),
  update(reader, _scale, old, flags) {
    const start = reader.at;
    const fields = reader.byte();
    const scale = (fields >> 4) & 3;
    const step = fields >> 6;
    const prices = fields & (BID | ASK);
    if (step && prices !== BID && prices !== ASK) throw meaningless(start, fields);
    const side = (old: Side | null, bits: number, gone: number): Side | null => {
      if (flags & gone) {
        if (fields & bits) throw meaningless(start, fields & bits);
        return null;
      }
      if (!(fields & bits)) return old;
      let { price, size } = old ?? { price: 0n, size: 0n };
      if (fields & bits & (BID | ASK)) price = moved(price, step ? unzigzag(BigInt(step)) : reader.signed());
      if (fields & bits & (BID_SIZE | ASK_SIZE)) size = reader.size(scale);
      return { price, size };
    };
    const bid = side(old.bid, BID | BID_SIZE, NO_BID);
    return { state: { bid, ask: side(old.ask, ASK | ASK_SIZE, NO_ASK) } };
  },
  fields: ({ bid, ask }, { price_exponent, size_exponent }) => ({
    bid: bid && decimal(bid.price, price_exponent),
    bid_size: bid && decimal(bid.size, size_exponent),
    ask: ask && decimal(ask.price, price_exponent),
    ask_size: ask && decimal(ask.size, size_exponent),
  }),
};
