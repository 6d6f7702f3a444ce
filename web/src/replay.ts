// The bar of a recording: which time it is there, how fast that runs, and how far it has come.

import type { Health } from "./feed/messages.ts";
import { clock, day } from "./format.ts";

/** What `/health/ready` tells. */
interface Ready {
  feed: string;
  reached?: string | null;
  from?: string;
}

const ASK_EVERY_MS = 2_000;
/** Further from the service's clock, events are of a recording. */
const APART_MICROS = 60_000_000;
/** Of so long the pace is told: over less it would be that of a few events. */
const PACE_OVER_MS = 20_000;
const PACE_FROM_MS = 5_000;
/** So often the time must have gone on, far from the service's clock: what stands still is a market that is quiet or closed. */
const MOVES_OF_A_RECORDING = 2;
const NO_BREAK = "\u00a0";

export class ReplayBar {
  readonly element = document.createElement("section");
  readonly #text = document.createElement("p");
  readonly #progress = document.createElement("progress");
  readonly #points: { wall: number; feed: number }[] = [];
  #ready: Ready | null = null;
  #epochs = 0;
  #newest = 0;
  #moves = 0;

  constructor() {
    this.element.id = "replay";
    this.element.ariaLabel = "Replay";
    this.element.hidden = true;
    this.#progress.ariaLabel = "Way to the time at which the recording is to begin";
    this.element.append(this.#text, this.#progress);
    setInterval(() => void this.#ask(), ASK_EVERY_MS);
    void this.#ask();
  }

  /** Once a second: `newest` is the time of the newest event. */
  tell(newest: number, health: Health | null): void {
    if (health && health.epochs !== this.#epochs) {
      this.#epochs = health.epochs;
      this.#points.length = this.#newest = this.#moves = 0;
    }
    const now = performance.now();
    if (newest > 0) this.#points.push({ wall: now, feed: newest });
    while (this.#points.length > 1 && now - this.#points[0]!.wall > PACE_OVER_MS) this.#points.shift();
    const feed = this.#ready?.feed ?? "running";
    this.#move(newest, Date.now() * 1000 + (health?.clockOffset ?? 0));
    const isRecorded = this.#moves >= MOVES_OF_A_RECORDING && !health?.isDelayed;
    const isOdd = feed === "waiting" || feed === "seeking" || feed === "ended" || feed === "failed";
    this.element.hidden = !isRecorded && !isOdd;
    if (this.element.hidden) return;
    this.element.dataset.feed = feed;
    const time = newest > 0 ? [day(newest), clock(newest).slice(0, 8), "UTC"].join(NO_BREAK) : "";
    const text = [words(feed), time, feed === "running" ? this.#pace() : ""].filter(Boolean).join(`${NO_BREAK}· `);
    if (this.#text.textContent !== text) this.#text.textContent = text;
    this.#tellProgress(feed);
  }

  /** Once a second too: whether what comes is of another time than the service's. */
  #move(newest: number, now: number): void {
    if (newest === this.#newest) return;
    if (Math.abs(now - newest) < APART_MICROS) this.#moves = 0;
    else if (this.#newest > 0) this.#moves += 1;
    this.#newest = newest;
  }

  #pace(): string {
    const [first, last] = [this.#points[0], this.#points.at(-1)];
    if (!first || !last || last.wall - first.wall < PACE_FROM_MS) return "";
    const pace = (last.feed - first.feed) / 1000 / (last.wall - first.wall);
    return pace > 0 ? `${pace >= 10 ? Math.round(pace) : pace.toFixed(1)}${NO_BREAK}× as fast as it was` : "";
  }

  #tellProgress(feed: string): void {
    this.#progress.hidden = feed !== "seeking";
    if (feed !== "seeking") return;
    this.#progress.removeAttribute("value");
    this.#text.textContent = `Seeking ${this.#ready?.from ?? ""}, now at ${this.#ready?.reached ?? "its beginning"}`;
  }

  async #ask(): Promise<void> {
    if (document.hidden) return;
    try {
      // It answers 503 with the same words while it is not ready.
      const response = await fetch("health/ready", { cache: "no-store" });
      this.#ready = (await response.json()) as Ready;
    } catch {
      this.#ready = null;
    }
  }
}

function words(feed: string): string {
  if (feed === "ended") return "The recording has ended: this is its last state";
  if (feed === "failed") return "The recording is damaged from here on";
  if (feed === "waiting") return "The recording waits for its clients";
  return "Replay of a recording";
}
