// Which instruments the watch-list shows, and in which order.

import { compareDecimals } from "tickwire-client";
import type { Row } from "../market.ts";
import { type Column, type ColumnName, COLUMNS } from "./columns.ts";

export interface Sorting {
  by: ColumnName;
  isDescending: boolean;
}

/** Rows whose symbol has the filter in it, sorted; those without a value last, in either direction. */
export function arrange(rows: readonly Row[], filter: string, { by, isDescending }: Sorting): Row[] {
  const column = COLUMNS.find(({ name }) => name === by)!;
  const found = rows.filter(({ symbol }) => symbol.includes(filter));
  const sign = isDescending ? -1 : 1;
  if (by === "symbol") return found.sort((a, b) => sign * bySymbol(a, b));
  // A value is read once: it may change while others are compared.
  const values = new Map(found.map((row) => [row, column.value(row)]));
  return found.sort((a, b) => byValue(values.get(a)!, values.get(b)!, sign) || bySymbol(a, b));
}

/** The order after a head was chosen: numbers begin with the largest. */
export function chosen(now: Sorting, { name }: Column): Sorting {
  if (now.by === name) return { by: name, isDescending: !now.isDescending };
  return { by: name, isDescending: name !== "symbol" };
}

const bySymbol = (a: Row, b: Row): number => (a.symbol < b.symbol ? -1 : a.symbol > b.symbol ? 1 : 0);

function byValue(a: string | null, b: string | null, sign: number): number {
  if (a === null || b === null) return Number(a === null) - Number(b === null);
  return sign * compareDecimals(a, b);
}
