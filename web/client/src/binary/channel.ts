// What a channel's records have in common.

import type { Reader } from "./reader.ts";

/** How an instrument's mantissas become decimals, and how many levels its book has. */
export interface Scale {
  price_exponent: number;
  size_exponent: number;
  depth?: number | undefined;
}

export type Values = Record<string, unknown>;

/** A state that was read, and the fields that stand beside it. */
export interface Read<State> {
  state: State;
  extra?: Values;
}

/** A channel's bodies: read into states, and told as the fields that JSON has. */
export interface ChannelReader<State> {
  readonly empty: State;
  /** Bits of an update's head that this channel knows beside the common ones. */
  readonly flags?: number;
  snapshot(reader: Reader, scale: Scale): Read<State>;
  update(reader: Reader, scale: Scale, old: State, flags: number): Read<State>;
  /** All fields. */
  fields(state: State, scale: Scale): Values;
  /** The fields of an update; left out: those that differ. */
  changed?(old: State, state: State, scale: Scale): Values | undefined;
}

export function different(old: Values, fields: Values): Values {
  const changed: Values = {};
  for (const name in fields) if (old[name] !== fields[name]) changed[name] = fields[name];
  return changed;
}
