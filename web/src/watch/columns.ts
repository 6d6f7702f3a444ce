// The columns of the watch-list, and which of them there is room for.

import { NONE, percent, quantity } from "../format.ts";
import type { Row } from "../market.ts";

export type ColumnName = "symbol" | "spark" | "last" | "change" | "bid" | "ask" | "bid_size" | "ask_size" | "volume";

export interface Column {
  name: ColumnName;
  title: string;
  /** Where it is not the title, as for "Size" twice. */
  spoken?: string;
  width: number;
  /** Those with the highest go first where there is no room. */
  rank: number;
  /** Its value, as it is sorted by. */
  value(row: Row): string | null;
  show(value: string): string;
  /** A change of it flashes. */
  flashes?: boolean;
}

const plain = (text: string): string => text;

/** In the order in which they stand. */
export const COLUMNS: readonly Column[] = [
  { name: "symbol", title: "Symbol", width: 92, rank: 0, value: (row) => row.symbol, show: plain },
  { name: "spark", title: "Minute", spoken: "Last minute", width: 54, rank: 2, value: () => null, show: plain },
  { name: "last", title: "Last", width: 84, rank: 1, value: (row) => row.ticker?.last ?? null, show: plain, flashes: true },
  { name: "change", title: "Change", width: 62, rank: 1, value: (row) => row.ticker?.change_percent ?? null, show: percent },
  { name: "bid_size", title: "Size", spoken: "Bid size", width: 72, rank: 6, value: (row) => row.quote?.bid_size ?? null, show: quantity },
  { name: "bid", title: "Bid", width: 84, rank: 3, value: (row) => row.quote?.bid ?? null, show: plain, flashes: true },
  { name: "ask", title: "Ask", width: 84, rank: 3, value: (row) => row.quote?.ask ?? null, show: plain, flashes: true },
  { name: "ask_size", title: "Size", spoken: "Ask size", width: 72, rank: 6, value: (row) => row.quote?.ask_size ?? null, show: quantity },
  { name: "volume", title: "Volume", width: 88, rank: 5, value: (row) => row.ticker?.volume ?? null, show: quantity },
];

export interface Placed {
  column: Column;
  x: number;
  width: number;
}

/** The columns that fit into a width, and where they stand; what is left over goes to all in proportion. */
export function place(width: number): Placed[] {
  let columns = [...COLUMNS];
  const needed = (): number => columns.reduce((sum, column) => sum + column.width, 0);
  while (needed() > width && columns.length > 2) {
    const worst = Math.max(...columns.map(({ rank }) => rank));
    columns = columns.filter(({ rank }) => rank !== worst);
  }
  const stretch = Math.max(1, width / needed());
  let x = 0;
  return columns.map((column) => {
    const placed = { column, x, width: column.width * stretch };
    x += placed.width;
    return placed;
  });
}

export const shown = (column: Column, row: Row): string => {
  const value = column.value(row);
  return value === null ? NONE : column.show(value);
};
