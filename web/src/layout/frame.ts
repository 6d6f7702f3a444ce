// A panel's frame: its title, its tools, and the menu that moves it.

import type { Panel } from "../panels/panel.ts";

export type Towards = "left" | "right" | "up" | "down";
const MOVES: readonly [Towards, string][] = [["left", "Move left"], ["right", "Move right"], ["up", "Move up"], ["down", "Move down"]];

export interface FrameActions {
  step(towards: Towards): void;
  hide(): void;
  /** The title was taken by a pointer. */
  drag(event: PointerEvent): void;
}

export function frame(panel: Panel, actions: FrameActions): HTMLElement {
  const element = document.createElement("section");
  element.className = "panel";
  element.id = `panel-${panel.id}`;
  const heading = document.createElement("h2");
  heading.id = `title-${panel.id}`;
  heading.textContent = panel.title;
  element.setAttribute("aria-labelledby", heading.id);
  const bar = document.createElement("header");
  const handle = document.createElement("div");
  handle.className = "handle";
  handle.append(heading);
  handle.addEventListener("pointerdown", (event) => event.button === 0 && event.pointerType === "mouse" && actions.drag(event));
  bar.append(handle, ...(panel.tools ?? []), menu(panel, actions));
  element.append(bar, panel.body);
  return element;
}

function menu(panel: Panel, actions: FrameActions): HTMLElement {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "more";
  button.textContent = "⋯";
  button.ariaLabel = `${panel.title}: move or hide`;
  const list = document.createElement("div");
  list.className = "menu";
  list.popover = "auto";
  list.id = `menu-${panel.id}`;
  button.setAttribute("popovertarget", list.id);
  const entry = (text: string, act: () => void): void => {
    const item = document.createElement("button");
    item.type = "button";
    item.textContent = text;
    item.addEventListener("click", () => {
      list.hidePopover();
      act();
    });
    // The keys go to the first as soon as the menu is there.
    item.autofocus = list.childElementCount === 0;
    list.append(item);
  };
  for (const [towards, text] of MOVES) entry(text, () => actions.step(towards));
  entry("Hide", () => actions.hide());
  list.addEventListener("toggle", () => {
    if (!list.matches(":popover-open")) return;
    const { right, bottom } = button.getBoundingClientRect();
    list.style.top = `${Math.min(bottom + 4, innerHeight - list.offsetHeight - 8)}px`;
    list.style.left = `${Math.max(8, right - list.offsetWidth)}px`;
  });
  const both = document.createElement("div");
  both.append(button, list);
  return both;
}
