// The best levels of one instrument's book, kept from a snapshot and the updates after it.

import { compare, isZero } from "./decimal.js";

export class Book {
  constructor() {
    this.bids = []; // [price, size] as text, best first
    this.asks = [];
  }

  /** Applies a message of the `book` channel; whether its checksum agrees, or undefined when it has none. */
  apply(message) {
    if (message.type === "snapshot") this.bids = this.asks = [];
    this.bids = merged(this.bids, message.bids ?? [], -1);
    this.asks = merged(this.asks, message.asks ?? [], 1);
    return message.checksum === undefined ? undefined : this.checksum() === message.checksum;
  }

  /** Kraken's rule: CRC32 of price and size of the ten best asks, then bids, without point and leading zeros. */
  checksum() {
    let crc = 0xffffffff;
    for (const digit of [...this.asks.slice(0, 10), ...this.bids.slice(0, 10)].flat().map(digits).join("")) {
      crc ^= digit.charCodeAt(0);
      for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc >>> 0;
  }
}

const digits = (text) => text.replace(".", "").replace(/^(-?)0+/, "$1");

function merged(side, changes, sign) {
  const levels = new Map(side);
  for (const [price, size] of changes) {
    if (isZero(size)) levels.delete(price);
    else levels.set(price, size);
  }
  return [...levels].sort(([a], [b]) => sign * compare(a, b));
}
