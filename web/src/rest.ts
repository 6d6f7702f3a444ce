// One state without a stream, for what was before the page followed it.

import type { LiveBar, TapeTrade } from "./feed/messages.ts";

const BARS = 500;
const TRADES = 200;

export interface Told<Value> {
  epoch: string;
  values: Value[];
}

export const earlierBars = async (symbol: string, interval: string, token: string | null, signal: AbortSignal): Promise<Told<LiveBar>> =>
  ask(`v1/bars/${encodeURIComponent(symbol)}?interval=${interval}&limit=${BARS}`, "bars", token, signal);

/** Oldest first. */
export const earlierTrades = async (symbol: string, token: string | null, signal: AbortSignal): Promise<Told<TapeTrade>> =>
  ask(`v1/trades/${encodeURIComponent(symbol)}?limit=${TRADES}`, "trades", token, signal);

async function ask<Value>(path: string, list: string, token: string | null, signal: AbortSignal): Promise<Told<Value>> {
  const response = await fetch(path, { signal, ...(token !== null && { headers: { Authorization: `Bearer ${token}` } }) });
  const body = (await response.json()) as Record<string, unknown>;
  if (!response.ok) throw new Error(String(body.detail ?? `status ${response.status}`));
  return { epoch: String(body.epoch), values: body[list] as Value[] };
}
