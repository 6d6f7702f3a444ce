// The numbers and texts that records of `tickwire.v1.bin` are made of.

/** What is no record: where, and why. */
export class RecordError extends Error {
  readonly offset: number;
  readonly fault: string;

  constructor(offset: number, fault: string) {
    super(`at byte ${offset} of a binary message: ${fault}`);
    this.offset = offset;
    this.fault = fault;
  }
}

const OVERLONG = "a number is longer than it may be";
const TRUNCATED = "the message ends within a record";
const SCALES = [1n, 10n, 10_000n, 100_000n] as const;
/** Microseconds that nanoseconds in 64 bits hold. */
const MICROS_MAX = 9_223_372_036_854_776n;
/** Bits of a number that is put together without BigInt. */
const SMALL_BITS = 28;

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export const overlong = (offset: number): RecordError => new RecordError(offset, OVERLONG);
export const meaningless = (offset: number, bits: number): RecordError =>
  new RecordError(offset, `bits 0x${bits.toString(16)} mean nothing here`);
/** The signed number that an unsigned one stands for. */
export const unzigzag = (value: bigint): bigint => (value & 1n ? -(value >> 1n) - 1n : value >> 1n);
/** A price after a difference, which wraps around. */
export const moved = (price: bigint, difference: bigint): bigint => BigInt.asIntN(64, price + difference);

export class Reader {
  at = 0;
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  byte(): number {
    const byte = this.bytes[this.at];
    if (byte === undefined) throw new RecordError(this.bytes.length, TRUNCATED);
    this.at += 1;
    return byte;
  }

  /** An unsigned number of at most `bits` bits. */
  number(bits = 64): bigint {
    const start = this.at;
    let small = 0;
    for (let shift = 0; shift < SMALL_BITS; shift += 7) {
      const byte = this.byte();
      small |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        if (byte === 0 && shift > 0) throw overlong(start);
        return BigInt(small);
      }
    }
    let value = BigInt(small);
    for (let shift = SMALL_BITS; ; shift += 7) {
      const byte = this.byte();
      value |= BigInt(byte & 0x7f) << BigInt(shift);
      if (value >> BigInt(bits) || byte === 0) throw overlong(start);
      if (byte < 0x80) return value;
    }
  }

  /** A number with a sign. */
  signed(bits = 64): bigint {
    return unzigzag(this.number(bits));
  }

  /** A number that is not 0. */
  positive(field: string, bits?: number): bigint {
    const start = this.at;
    const value = this.number(bits);
    if (value === 0n) throw new RecordError(start, `\`${field}\` is 0`);
    return value;
  }

  time(): bigint {
    const start = this.at;
    const micros = this.signed();
    if (micros > MICROS_MAX || micros < -MICROS_MAX) throw overlong(start);
    return micros;
  }

  /** A size, which was divided by its scale. */
  size(scale: number): bigint {
    const start = this.at;
    const number = this.number();
    if (scale === 0) return BigInt.asIntN(64, number);
    const size = number * SCALES[scale]!;
    if (size >> 63n) throw overlong(start);
    return size;
  }

  text(field: string): string {
    const length = this.number();
    const start = this.at;
    if (length > BigInt(this.bytes.length - start)) throw new RecordError(this.bytes.length, TRUNCATED);
    this.at += Number(length);
    try {
      return utf8.decode(this.bytes.subarray(start, this.at));
    } catch {
      throw new RecordError(start, `\`${field}\` is not UTF-8`);
    }
  }

  /** 0: there is nothing; 1: something follows. */
  exists(): boolean {
    const start = this.at;
    const byte = this.byte();
    if (byte > 1) throw meaningless(start, byte);
    return byte === 1;
  }

  checksum(): number {
    return (this.byte() | (this.byte() << 8) | (this.byte() << 16) | (this.byte() << 24)) >>> 0;
  }

  /** A bitmap of known bits; each of `pairs` is a bit and those that cannot be there with it. */
  bitmap(known: number, pairs: readonly (readonly [number, number])[] = []): number {
    const start = this.at;
    const fields = Number(this.number(32));
    const unknown = (fields & ~known) >>> 0;
    if (unknown) throw meaningless(start, unknown);
    for (const [gone, of] of pairs) if (fields & gone && fields & of) throw meaningless(start, fields & (gone | of));
    return fields;
  }
}
