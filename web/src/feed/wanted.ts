// What all pages together want to follow, and what that changes of what is followed.

import { type Channel, channelKey, type Client, type Rate } from "tickwire-client";
import type { Wishes } from "./messages.ts";

/** The rate while nobody looks. */
const HIDDEN_RATE: Rate = "1s";

export class Wanted {
  readonly #followed = new Map<string, { channel: Channel; symbols: Set<string>; rate: Rate }>();

  /** Follows what these pages wish; `isLean`: as few channels as will do. */
  apply(client: Client, pages: Iterable<Wishes>, rate: Rate, isLean: boolean): Rate {
    const wishes = [...pages];
    const now = wishes.some(({ isVisible }) => isVisible) ? rate : HIDDEN_RATE;
    const wanted = new Map<string, { channel: Channel; symbols: Set<string>; rate: Rate }>();
    const want = (channel: Channel, symbol: string): void => {
      const key = channelKey(channel);
      const entry = wanted.get(key) ?? { channel, symbols: new Set<string>(), rate: channel.channel === "trade" ? "raw" : now };
      wanted.set(key, entry);
      entry.symbols.add(symbol);
    };
    if (wishes.length > 0) {
      want({ channel: "ticker" }, "*");
      // By server-sent events each channel is a connection of its own, of which a browser has few: a ticker has bid and ask too.
      if (!isLean) for (const channel of ["quote", "status"] as const) want({ channel }, "*");
    }
    for (const { isVisible, symbol, depth, interval } of wishes) {
      if (!isVisible || symbol === null) continue;
      want({ channel: "book", depth }, symbol);
      want({ channel: "trade" }, symbol);
      want({ channel: "bar", interval }, symbol);
    }
    for (const [key, { channel, symbols }] of this.#followed) {
      const gone = [...symbols].filter((symbol) => !wanted.get(key)?.symbols.has(symbol));
      if (gone.length > 0) client.unsubscribe(channel, gone);
    }
    for (const [key, { channel, symbols, rate }] of wanted) {
      const before = this.#followed.get(key);
      const added = [...symbols].filter((symbol) => !before?.symbols.has(symbol));
      if (added.length > 0 || before?.rate !== rate) client.subscribe(channel, added, rate);
    }
    this.#followed.clear();
    for (const [key, entry] of wanted) this.#followed.set(key, entry);
    return now;
  }

  /** Another client follows nothing yet. */
  clear(): void {
    this.#followed.clear();
  }
}
