// One loop of animation frames for everything that is drawn: what has changed is drawn once a frame, and nothing runs while
// nothing changes.

import { Samples } from "./feed/samples.ts";

export interface Drawn {
  /** Draws what has changed; `true`: it goes on changing by itself, such as a flash that fades. */
  draw(now: number): boolean;
}

const waiting = new Set<Drawn>();
const spent = new Samples(1024);
const gaps = new Samples(1024);
let requested = false;
let last = 0;

/** `drawn` is drawn in the next frame. */
export function request(drawn: Drawn): void {
  waiting.add(drawn);
  if (requested) return;
  requested = true;
  requestAnimationFrame(run);
}

function run(now: number): void {
  requested = false;
  const start = performance.now();
  const due = [...waiting];
  waiting.clear();
  for (const drawn of due) if (drawn.draw(now)) request(drawn);
  spent.add(performance.now() - start);
  // A pause in which nothing changed is no slow frame.
  if (requested && last > 0 && now - last < 1000) gaps.add(now - last);
  last = requested ? now : 0;
}

/** How much script a frame takes, and how far apart frames are, in milliseconds. */
export const frameTimes = () => ({ script: spent.percentiles(), gap: gaps.percentiles() });
