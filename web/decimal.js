// Prices and sizes are decimal texts and stay so: a JavaScript number would not hold them all exactly.

/** Compares two decimal texts such as "189.10" and "-0.5": below, at or above 0, as sort() wants it. */
export function compare(a, b) {
  const negative = a.startsWith("-");
  if (negative !== b.startsWith("-")) return negative ? -1 : 1;
  return negative ? magnitude(b.slice(1), a.slice(1)) : magnitude(a, b);
}

function magnitude(a, b) {
  const [wholeA, fractionA = ""] = a.split(".");
  const [wholeB, fractionB = ""] = b.split(".");
  if (wholeA.length !== wholeB.length) return wholeA.length - wholeB.length;
  if (wholeA !== wholeB) return wholeA < wholeB ? -1 : 1;
  const digits = Math.max(fractionA.length, fractionB.length);
  const [tailA, tailB] = [fractionA.padEnd(digits, "0"), fractionB.padEnd(digits, "0")];
  return tailA === tailB ? 0 : tailA < tailB ? -1 : 1;
}

/** Whether it is zero: "0", "0.00". */
export const isZero = (text) => /^-?[0.]+$/.test(text);

/** With the whole part's digits in groups of three: "1,234,567.5". */
export const grouped = (text) => text.replace(/\d+/, (whole) => whole.replace(/\B(?=(\d{3})+$)/g, ","));

/** A size for people: grouped, without the zeros that only show the instrument's precision: "2,250" of "2250.00000000". */
export const quantity = (text) => grouped(text.includes(".") ? text.replace(/\.?0+$/, "") : text);

/** "+1.2345%" of a percentage; the sign is always there, so that colour is not the only sign of direction. */
export const percent = (text) => (isZero(text) ? text.replace("-", "") : text.startsWith("-") ? text.replace("-", "−") : `+${text}`) + "%";

/** The class of a signed text. */
export const direction = (text) => (text == null || isZero(text) ? "" : text.startsWith("-") ? "fall" : "rise");
