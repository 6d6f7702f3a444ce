// Places the panels: in columns on a desk, one at a time on a phone.

import type { Panel, PanelId } from "../panels/panel.ts";
import { Arrangement, PANEL_IDS } from "./arrangement.ts";
import { frame, type Towards } from "./frame.ts";
import { splitter } from "./splitter.ts";

const PHONE = matchMedia("(max-width: 760px)");
/** So far a title is moved before that is a drag. */
const DRAG_FROM = 6;

export class Layout {
  readonly #place: HTMLElement;
  readonly #tabs: HTMLElement;
  readonly #panels: ReadonlyMap<PanelId, Panel>;
  readonly #frames: ReadonlyMap<PanelId, HTMLElement>;
  readonly #arrangement = new Arrangement();
  #shown: PanelId = "watch";

  constructor(place: HTMLElement, tabs: HTMLElement, panels: readonly Panel[]) {
    this.#place = place;
    this.#tabs = tabs;
    this.#panels = new Map(panels.map((panel) => [panel.id, panel]));
    this.#frames = new Map(
      panels.map((panel) => [
        panel.id,
        frame(panel, { step: (towards) => this.#step(panel.id, towards), hide: () => this.toggle(panel.id), drag: (event) => this.#drag(panel.id, event) }),
      ]),
    );
    PHONE.addEventListener("change", () => this.#build());
    this.#build();
  }

  /** Panels in the order of their names in the menu, and whether each is shown. */
  *list(): Generator<{ id: PanelId; title: string; isShown: boolean }> {
    for (const id of PANEL_IDS) yield { id, title: this.#panels.get(id)!.title, isShown: this.#arrangement.has(id) };
  }

  toggle(id: PanelId): void {
    if (this.#arrangement.has(id)) this.#arrangement.hide(id);
    else this.#arrangement.show(id);
    this.#build();
  }

  reset(): void {
    this.#arrangement.reset();
    this.#build();
  }

  /** Brings a panel to sight, and the keys to it. */
  focus(id: PanelId): void {
    if (PHONE.matches) this.#show(id);
    else if (!this.#arrangement.has(id)) this.toggle(id);
    const frame = this.#frames.get(id)!;
    const target = frame.querySelector<HTMLElement>("[role=grid]") ?? frame.querySelector<HTMLElement>("button");
    target?.focus();
  }

  /** On a phone an instrument that was chosen is looked at. */
  look(): void {
    if (PHONE.matches && this.#shown === "watch") this.#show("chart");
  }

  #build(): void {
    const had = document.activeElement;
    if (PHONE.matches) this.#buildPhone();
    else this.#buildDesk();
    // Moving an element takes the keys from it.
    if (had instanceof HTMLElement && had.isConnected) had.focus();
  }

  #buildDesk(): void {
    const { columns } = this.#arrangement;
    this.#tabs.hidden = true;
    this.#place.replaceChildren(
      ...columns.flatMap((column, index) => {
        const element = document.createElement("div");
        element.className = "stack";
        element.append(
          ...column.slots.flatMap(({ id }, slot) => {
            const frame = this.#frames.get(id)!;
            frame.hidden = false;
            if (slot === 0) return [frame];
            const label = `Height of ${this.#panels.get(column.slots[slot - 1]!.id)!.title} and ${this.#panels.get(id)!.title}`;
            const part = share(column.slots, slot - 1);
            return [splitter(false, label, part, () => element.clientHeight, (part) => this.#shift(column.slots, slot - 1, part)), frame];
          }),
        );
        if (index === 0) return [element];
        return [splitter(true, `Width of columns ${index} and ${index + 1}`, share(columns, index - 1), () => this.#place.clientWidth, (part) => this.#shift(columns, index - 1, part)), element];
      }),
    );
    this.#size();
  }

  #buildPhone(): void {
    this.#tabs.hidden = false;
    this.#place.replaceChildren(...this.#frames.values());
    for (const frame of this.#frames.values()) frame.style.removeProperty("flex-grow");
    this.#tabs.replaceChildren(
      ...[...this.#panels.values()].map(({ id, short }) => {
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = short;
        button.dataset.panel = id;
        button.addEventListener("click", () => this.#show(id));
        return button;
      }),
    );
    this.#show(this.#shown);
  }

  #show(id: PanelId): void {
    this.#shown = id;
    for (const [other, frame] of this.#frames) frame.hidden = other !== id;
    for (const button of this.#tabs.querySelectorAll("button")) {
      if (button.dataset.panel === id) button.setAttribute("aria-current", "page");
      else button.removeAttribute("aria-current");
    }
  }

  #size(): void {
    const stacks = this.#place.querySelectorAll<HTMLElement>(".stack");
    this.#arrangement.columns.forEach(({ share, slots }, index) => {
      stacks[index]!.style.flexGrow = String(share);
      for (const { id, share } of slots) this.#frames.get(id)!.style.flexGrow = String(share);
    });
  }

  #shift(pair: { share: number }[], index: number, part: number): void {
    this.#arrangement.shift(pair, index, part * pair.reduce((sum, { share }) => sum + share, 0));
    this.#size();
  }

  #step(id: PanelId, towards: Towards): void {
    this.#arrangement.step(id, towards);
    this.#build();
    this.#frames.get(id)!.querySelector<HTMLElement>(".more")?.focus();
  }

  /** A panel that is dragged by its title goes where it is let go. */
  #drag(id: PanelId, start: PointerEvent): void {
    if (PHONE.matches) return;
    const handle = start.currentTarget as HTMLElement;
    const mark = document.createElement("div");
    mark.className = "drop";
    let target: { column: number; slot: number } | null = null;
    let isDragging = false;
    handle.setPointerCapture(start.pointerId);
    const over = (event: PointerEvent): void => {
      isDragging ||= Math.hypot(event.clientX - start.clientX, event.clientY - start.clientY) > DRAG_FROM;
      if (!isDragging) return;
      this.#place.append(mark);
      target = this.#slotAt(event, mark);
    };
    const end = (event: PointerEvent): void => {
      handle.removeEventListener("pointermove", over);
      handle.removeEventListener("pointerup", end);
      handle.removeEventListener("pointercancel", end);
      mark.remove();
      if (!isDragging || !target || event.type !== "pointerup") return;
      this.#arrangement.move(id, target.column, target.slot);
      this.#build();
    };
    handle.addEventListener("pointermove", over);
    handle.addEventListener("pointerup", end);
    handle.addEventListener("pointercancel", end);
  }

  /** The place under the pointer, which `mark` shows: above or below the panel there, or a column of its own at an edge. */
  #slotAt({ clientX, clientY }: PointerEvent, mark: HTMLElement): { column: number; slot: number } | null {
    const whole = this.#place.getBoundingClientRect();
    const put = (left: number, top: number, width: number, height: number): void => {
      Object.assign(mark.style, { left: `${left - whole.left}px`, top: `${top - whole.top}px`, width: `${width}px`, height: `${height}px` });
    };
    const edge = 36;
    if (clientX > whole.right - edge || clientX < whole.left + edge) {
      const isRight = clientX > whole.right - edge;
      put(isRight ? whole.right - edge : whole.left, whole.top, edge, whole.height);
      return { column: isRight ? this.#arrangement.columns.length : -1, slot: 0 };
    }
    for (const [column, { slots }] of this.#arrangement.columns.entries()) {
      for (const [slot, { id }] of slots.entries()) {
        const { left, top, width, height, right, bottom } = this.#frames.get(id)!.getBoundingClientRect();
        if (clientX < left || clientX > right || clientY < top || clientY > bottom) continue;
        const isLower = clientY > top + height / 2;
        put(left, isLower ? top + height / 2 : top, width, height / 2);
        return { column, slot: isLower ? slot + 1 : slot };
      }
    }
    return null;
  }
}

const share = (pair: readonly { share: number }[], index: number): number => pair[index]!.share / (pair[index]!.share + pair[index + 1]!.share);
