// Percentiles of the newest samples.

export interface Percentiles {
  p50: number;
  p95: number;
  p99: number;
  max: number;
}

/** Holds so many samples; more replace the oldest. */
export class Samples {
  readonly #values: Float64Array;
  #count = 0;

  constructor(size: number) {
    this.#values = new Float64Array(size);
  }

  add(value: number): void {
    this.#values[this.#count % this.#values.length] = value;
    this.#count += 1;
  }

  /** `null` where there are none. */
  percentiles(): Percentiles | null {
    const sorted = this.#values.slice(0, Math.min(this.#count, this.#values.length)).sort();
    if (sorted.length === 0) return null;
    const at = (part: number): number => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))]!;
    return { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1) };
  }

  clear(): void {
    this.#count = 0;
  }
}
