// Bounds on what a worker holds for its pages, and a page of a worker.

/** Pages of one connection; another is told so. */
export const PAGES_MAX = 32;
/** A page that has said nothing for so long is gone: one in the background speaks once a minute. */
export const PAGE_SILENCE_MS_MAX = 180_000;
/** How often a page says that it is there. */
export const PAGE_ALIVE_EVERY_MS = 20_000;
/** Trades that wait for a page which does not draw; of more, the newest. */
export const TRADES_WAITING_MAX = 200;
/** Bars that wait likewise. */
export const BARS_WAITING_MAX = 200;
/** Instruments that a page knows. */
export const ROWS_MAX = 50_000;
/** Samples of which percentiles are told. */
export const SAMPLES = 4096;
/** An older event is of a recording, or late: its age says nothing about this connection. */
export const AGE_MS_MAX = 60_000;
