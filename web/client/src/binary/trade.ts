// Bodies of `trade`.

import { decimal } from "../decimal.ts";
import type { ChannelReader } from "./channel.ts";
import { moved, RecordError, unzigzag } from "./reader.ts";

interface Trade {
  price: bigint;
  size: bigint;
  side: string;
  id: bigint | null;
}

const SIDES = ["none", "buy", "sell"] as const;

export const trade: ChannelReader<Trade | null> = {
  empty: null,
  snapshot: (reader, scale) => (reader.exists() ? trade.update(reader, scale, null, 0) : { state: null }),
  update(reader, _scale, old) {
    const start = reader.at;
    const fields = reader.byte();
    const side = SIDES[fields & 3];
    if (side === undefined) throw new RecordError(start, "`side` is 3");
    const step = fields >> 5;
    const price = moved(old?.price ?? 0n, step ? unzigzag(BigInt(step - 1)) : reader.signed());
    const size = reader.size((fields >> 3) & 3);
    const id = fields & 4 ? BigInt.asUintN(64, (old?.id ?? 0n) + reader.signed()) : null;
    return { state: { price, size, side, id } };
  },
  fields: (trade, { price_exponent, size_exponent }) =>
    trade === null
      ? {}
      : {
          price: decimal(trade.price, price_exponent),
          size: decimal(trade.size, size_exponent),
          side: trade.side,
          ...(trade.id !== null && { id: String(trade.id) }),
        },
  changed: (_old, state, scale) => trade.fields(state, scale),
};
