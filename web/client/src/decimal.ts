// Exact numbers: mantissas as BigInt, decimals as text. A JavaScript number holds neither.

/** A mantissa with all digits of its exponent: 18910 at −2 is "189.10". */
export function decimal(mantissa: bigint, exponent: number): string {
  if (exponent >= 0) return mantissa === 0n ? "0" : String(mantissa) + "0".repeat(exponent);
  const isNegative = mantissa < 0n;
  const digits = String(isNegative ? -mantissa : mantissa).padStart(1 - exponent, "0");
  return `${isNegative ? "-" : ""}${digits.slice(0, exponent)}.${digits.slice(exponent)}`;
}

/** Whether a text is a decimal with exactly the digits that the exponent allows. */
export function isDecimal(text: string, exponent: number): boolean {
  const digits = text.startsWith("-") ? 1 : 0;
  const point = text.indexOf(".");
  if (exponent < 0 ? text.length - point - 1 !== -exponent || point <= digits : point >= 0) return false;
  for (let at = digits; at < text.length; at += 1) {
    if (at !== point && (text.charCodeAt(at) < 48 || text.charCodeAt(at) > 57)) return false;
  }
  return text.length > digits;
}

/** The digits of a decimal text as one integer: decimals of one instrument compare as these do. */
export const mantissa = (text: string): bigint => BigInt(text.replace(".", ""));

/** Whether it is zero: "0", "0.00". */
export function isZero(text: string): boolean {
  for (let at = 0; at < text.length; at += 1) if (text.charCodeAt(at) > 48) return false;
  return true;
}

/** Compares two decimal texts, also of unlike precision: below, at or above 0, as `sort` wants it. */
export function compareDecimals(a: string, b: string): number {
  const isNegative = a.startsWith("-");
  if (isNegative !== b.startsWith("-")) return isNegative ? -1 : 1;
  return isNegative ? magnitude(b.slice(1), a.slice(1)) : magnitude(a, b);
}

function magnitude(a: string, b: string): number {
  const [wholeA = "", fractionA = ""] = a.split(".");
  const [wholeB = "", fractionB = ""] = b.split(".");
  if (wholeA.length !== wholeB.length) return wholeA.length - wholeB.length;
  if (wholeA !== wholeB) return wholeA < wholeB ? -1 : 1;
  const digits = Math.max(fractionA.length, fractionB.length);
  const [tailA, tailB] = [fractionA.padEnd(digits, "0"), fractionB.padEnd(digits, "0")];
  return tailA === tailB ? 0 : tailA < tailB ? -1 : 1;
}

/** A ratio times ten to the exponent with four more decimals, rounded half to even; `null` where nothing is divided. */
export function ratio(numerator: bigint, denominator: bigint, exponent: number): string | null {
  if (denominator <= 0n) return null;
  const isNegative = numerator < 0n;
  const scaled = (isNegative ? -numerator : numerator) * 10n ** BigInt(4 + Math.max(exponent, 0));
  let quotient = scaled / denominator;
  const twice = (scaled % denominator) * 2n;
  if (twice > denominator || (twice === denominator && quotient & 1n)) quotient += 1n;
  return decimal(isNegative ? -quotient : quotient, Math.min(exponent, 0) - 4);
}
