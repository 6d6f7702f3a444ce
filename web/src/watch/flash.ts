// Cells that light up when their value moves, and fade.

import { compareDecimals } from "tickwire-client";
import { isStill } from "../theme.ts";

const FADE_MS = 420;
/** A fade is drawn in so many steps: each costs a row. */
const STEPS = 5;

/** One cell's value as it was drawn, and its light. */
export class Flash {
  #value: string | null = null;
  #since = Number.NEGATIVE_INFINITY;
  #step = STEPS;
  isUp = false;

  /** Another value; one where there was none is no movement. */
  set(value: string | null, now: number): void {
    const before = this.#value;
    if (value === before) return;
    this.#value = value;
    if (value === null || before === null || isStill()) return;
    this.isUp = compareDecimals(value, before) > 0;
    this.#since = now;
  }

  /** How bright it is, 0 to 1, and whether that differs from when this was asked last. */
  light(now: number): { light: number; isNew: boolean } {
    const step = Math.min(STEPS, Math.floor(((now - this.#since) / FADE_MS) * STEPS));
    const isNew = step !== this.#step;
    this.#step = step;
    return { light: 1 - step / STEPS, isNew };
  }

  get isFading(): boolean {
    return this.#step < STEPS;
  }
}
