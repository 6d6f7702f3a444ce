// Light and dark. The colours are in the style sheet, for what is drawn too.

import { kept, keep } from "./kept.ts";

export type Scheme = "light" | "dark" | "system";

/** The colours that canvases draw with, by the names of the style sheet. */
const NAMES = ["sheet", "line", "grid", "text", "soft", "faint", "accent", "up", "down", "up-flash", "down-flash", "up-bar", "down-bar", "hover", "select", "warn"] as const;
export type Colours = Record<(typeof NAMES)[number], string>;

const system = matchMedia("(prefers-color-scheme: dark)");
const stillness = matchMedia("(prefers-reduced-motion: reduce)");
const listeners = new Set<() => void>();
let colours: Colours | null = null;

export const isStill = (): boolean => stillness.matches;

export function theme(): Colours {
  if (!colours) {
    const style = getComputedStyle(document.documentElement);
    colours = Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()])) as Colours;
  }
  return colours;
}

export function onTheme(listener: () => void): void {
  listeners.add(listener);
}

export const scheme = (): Scheme => kept<Scheme>("scheme", "system", (value) => value === "light" || value === "dark");

export const isDark = (): boolean => (scheme() === "system" ? system.matches : scheme() === "dark");

export function setScheme(value: Scheme): void {
  keep("scheme", value);
  apply();
}

function apply(): void {
  document.documentElement.dataset.scheme = isDark() ? "dark" : "light";
  colours = null;
  for (const listener of listeners) listener();
}

system.addEventListener("change", apply);
apply();
