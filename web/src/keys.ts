// Keys that work anywhere on the page, unless somebody types. They can be switched off, for those who speak to their computer.

import { keep, kept } from "./kept.ts";

const isOn = (): boolean => kept("keys", true, (value) => typeof value === "boolean");

/** `keys`: what each does. Returns whether they are on, and how to change that. */
export function listen(keys: Readonly<Record<string, () => void>>): { isOn: () => boolean; set(isOn: boolean): void } {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || !isOn()) return;
    const target = event.target as HTMLElement;
    if (target.matches("input, textarea, select, dialog *")) return;
    const act = keys[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  return { isOn, set: (isOn) => keep("keys", isOn) };
}
