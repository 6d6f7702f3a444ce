// What a client wants to follow, to be asked for again on every new connection, and the requests that do.

import { RESUME_CHARACTERS_A_REQUEST, SYMBOLS_A_REQUEST } from "./limits.ts";
import type { Channel, Rate } from "./messages.ts";
import { channelKey } from "./messages.ts";

/** The states that are held of one channel, all of one epoch. */
export interface Holdings {
  epoch: string;
  seq: Map<string, number>;
}

export interface Call {
  method: "subscribe" | "unsubscribe" | "resync";
  params: Record<string, unknown>;
}

interface Wanted {
  channel: Channel;
  rate: Rate;
  /** All but those of `names`, or those alone. */
  isAll: boolean;
  names: Set<string>;
}

export class Subscriptions {
  readonly #wanted = new Map<string, Wanted>();

  get isEmpty(): boolean {
    return this.#wanted.size === 0;
  }

  get keys(): IterableIterator<string> {
    return this.#wanted.keys();
  }

  /** A channel has one rate: where another is given, all of its symbols are followed at that. `true`: it was another. */
  add(channel: Channel, symbols: readonly string[], rate: Rate | undefined): boolean {
    const key = channelKey(channel);
    const wanted = this.#wanted.get(key) ?? { channel, rate: rate ?? "raw", isAll: false, names: new Set<string>() };
    this.#wanted.set(key, wanted);
    if (symbols.includes("*")) {
      wanted.isAll = true;
      wanted.names.clear();
    } else {
      for (const symbol of symbols) {
        if (wanted.isAll) wanted.names.delete(symbol);
        else wanted.names.add(symbol);
      }
    }
    const isOther = rate !== undefined && rate !== wanted.rate;
    if (isOther) wanted.rate = rate;
    return isOther;
  }

  remove(channel: Channel, symbols: readonly string[]): void {
    const key = channelKey(channel);
    const wanted = this.#wanted.get(key);
    if (!wanted) return;
    if (symbols.includes("*")) {
      this.#wanted.delete(key);
      return;
    }
    for (const symbol of symbols) {
      if (wanted.isAll) wanted.names.add(symbol);
      else wanted.names.delete(symbol);
    }
    if (!wanted.isAll && wanted.names.size === 0) this.#wanted.delete(key);
  }

  has(key: string, symbol: string): boolean {
    const wanted = this.#wanted.get(key);
    return wanted !== undefined && wanted.isAll !== wanted.names.has(symbol);
  }

  get(key: string): Readonly<Wanted> | undefined {
    return this.#wanted.get(key);
  }

  /** The calls that ask for all of a channel. */
  calls(key: string, holdings: Holdings | null): Call[] {
    const wanted = this.#wanted.get(key);
    if (!wanted) return [];
    const names = [...wanted.names];
    if (!wanted.isAll) return subscribeCalls(wanted.channel, names, wanted.rate, holdings);
    const calls = subscribeCalls(wanted.channel, ["*"], wanted.rate, holdings);
    return names.length > 0 ? [...calls, ...unsubscribeCalls(wanted.channel, names)] : calls;
  }
}

export function subscribeCalls(channel: Channel, symbols: readonly string[], rate: Rate, holdings: Holdings | null): Call[] {
  return chunks(symbols).map((symbols) => {
    const held = holdings && resume(holdings, symbols[0] === "*" ? holdings.seq.keys() : symbols);
    const merged = rate !== "raw" && channel.channel !== "trade" && { max_frequency: rate };
    return { method: "subscribe", params: { ...channel, symbols, ...merged, ...(held && { resume: held }) } };
  });
}

export const unsubscribeCalls = (channel: Channel, symbols: readonly string[]): Call[] =>
  chunks(symbols).map((symbols) => ({ method: "unsubscribe", params: { ...channel, symbols } }));

/** What is held, as far as there is room for it in a request. */
function resume({ epoch, seq }: Holdings, names: Iterable<string>): { epoch: string; seq: Record<string, number> } | null {
  let room = RESUME_CHARACTERS_A_REQUEST;
  const said: [string, number][] = [];
  for (const name of names) {
    const number = seq.get(name);
    if (number === undefined) continue;
    room -= JSON.stringify(name).length + String(number).length + 2;
    if (room < 0) break;
    said.push([name, number]);
  }
  return said.length > 0 ? { epoch, seq: Object.fromEntries(said) } : null;
}

function chunks(symbols: readonly string[]): (readonly string[])[] {
  const chunks = [];
  for (let at = 0; at < symbols.length; at += SYMBOLS_A_REQUEST) chunks.push(symbols.slice(at, at + SYMBOLS_A_REQUEST));
  return chunks;
}
