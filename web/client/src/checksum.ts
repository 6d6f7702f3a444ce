// The checksum of a book, by the rule of the protocol, which is Kraken's.

import type { Level } from "./messages.ts";

const LEVELS = 10;

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  return crc >>> 0;
});

/** CRC32 of the digits of the ten best asks, then of the ten best bids; both sides best first. */
export function checksum(bids: readonly Level[], asks: readonly Level[]): number {
  let crc = 0xffffffff;
  for (const side of [asks, bids]) {
    for (let index = 0; index < LEVELS && index < side.length; index += 1) {
      const [price, size] = side[index]!;
      crc = withDigits(withDigits(crc, price), size);
    }
  }
  return ~crc >>> 0;
}

/** Without sign, point and leading zeros: of zero nothing is left. */
function withDigits(crc: number, text: string): number {
  let isLeading = true;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code < 48 || (isLeading && code === 48)) continue;
    isLeading = false;
    crc = (crc >>> 8) ^ TABLE[(crc ^ code) & 0xff]!;
  }
  return crc;
}
