// How long to wait before connecting anew.

import { BACKOFF_MS_MAX, BACKOFF_MS_MIN } from "./limits.ts";

/**
 * Waits that double up to a limit, each jittered between its half and its whole, so that the clients of a server that
 * went away do not come back at once.
 */
export class Backoff {
  readonly #first: number;
  readonly #max: number;
  #next: number;
  #atLeast = 0;

  constructor(first: number = BACKOFF_MS_MIN, max: number = BACKOFF_MS_MAX) {
    this.#first = first;
    this.#max = max;
    this.#next = first;
  }

  nextWait(): number {
    const whole = Math.min(this.#next, this.#max);
    this.#next = Math.min(whole * 2, this.#max);
    const atLeast = this.#atLeast;
    this.#atLeast = 0;
    return Math.max(atLeast, whole / 2 + (Math.random() * whole) / 2);
  }

  /** The next wait is not shorter than what the server asks for, up to the limit: it sends nobody away for days. */
  waitAtLeast(ms: number): void {
    this.#atLeast = Math.min(ms, this.#max);
  }

  reset(): void {
    this.#next = this.#first;
  }
}
