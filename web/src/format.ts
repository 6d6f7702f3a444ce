// Numbers for people. They stay the texts that they are.

import { decimal, isZero, mantissa } from "tickwire-client";

export const NONE = "–";

/** With the whole part's digits in groups of three: "1,234,567.5". */
export const grouped = (text: string): string => text.replace(/\d+/, (whole) => whole.replace(/\B(?=(\d{3})+$)/g, ","));

/** A size: grouped, without the zeros that only show the instrument's precision: "2,250" of "2250.00000000". */
export const quantity = (text: string): string => grouped(text.includes(".") ? text.replace(/\.?0+$/, "") : text);

/** With a sign always, so that colour is not the only one of direction. */
export const signed = (text: string): string => (isZero(text) ? text.replace("-", "") : text.startsWith("-") ? text.replace("-", "−") : `+${text}`);

/** "+1.23%" of "1.2345". */
export const percent = (text: string): string => `${signed(rounded(text, 2))}%`;

/** A decimal to fewer digits, half to even, exactly. */
export function rounded(text: string, digits: number): string {
  const cut = text.length - text.indexOf(".") - 1 - digits;
  if (!text.includes(".") || cut <= 0) return text;
  const unit = 10n ** BigInt(cut);
  const value = mantissa(text);
  const size = value < 0n ? -value : value;
  let whole = size / unit;
  const twice = (size % unit) * 2n;
  if (twice > unit || (twice === unit && whole & 1n)) whole += 1n;
  return decimal(value < 0n ? -whole : whole, -digits);
}

export type Direction = "rise" | "fall" | "still";

/** Of a number as it stands on the wire, or as it is shown. */
export const direction = (text: string | null | undefined): Direction => (text === null || text === undefined || isZero(text.replace(/[+−%]/g, "")) ? "still" : /^[-−]/.test(text) ? "fall" : "rise");

/** The time of day of microseconds since 1970, UTC, to the millisecond. */
export const clock = (micros: number): string => new Date(Math.floor(micros / 1000)).toISOString().slice(11, 23);

export const day = (micros: number): string => new Date(Math.floor(micros / 1000)).toISOString().slice(0, 10);

const BYTES = ["B", "kB", "MB", "GB"];

export function bytes(count: number): string {
  let [value, unit] = [count, 0];
  while (value >= 1000 && unit < BYTES.length - 1) [value, unit] = [value / 1000, unit + 1];
  return `${unit === 0 ? value : value.toPrecision(3)} ${BYTES[unit]}`;
}

export const count = (value: number): string => value.toLocaleString("en");

export function milliseconds(value: number): string {
  if (value >= 1000) return `${(value / 1000).toFixed(1)} s`;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
}
