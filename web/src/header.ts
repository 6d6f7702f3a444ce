// The top of the page: how the connection is, and what may be chosen for the page as a whole.

import type { ConnectionState } from "tickwire-client";
import type { Layout } from "./layout/layout.ts";
import { isDark, setScheme } from "./theme.ts";

const part = <Element extends HTMLElement>(id: string): Element => document.getElementById(id) as Element;

export class Header {
  readonly #state = part("connection");
  readonly #words = part("connection-text");
  readonly #again = part<HTMLButtonElement>("reconnect");
  readonly #notice = part("notice");

  constructor(connect: () => void, tellMore: () => void) {
    this.#again.addEventListener("click", connect);
    this.#state.addEventListener("click", tellMore);
    part("scheme").addEventListener("click", () => setScheme(isDark() ? "light" : "dark"));
    part("notice-close").addEventListener("click", () => this.notice(""));
  }

  connection(connection: ConnectionState, isLaggard: boolean): void {
    const [state, words] = told(connection, isLaggard);
    this.#state.dataset.state = state;
    if (this.#words.textContent !== words) this.#words.textContent = words;
    this.#again.hidden = connection.state !== "lost" && connection.state !== "refused" && connection.state !== "closed";
  }

  notice(text: string): void {
    part("notice-text").textContent = text;
    this.#notice.hidden = text === "";
  }

  /** The menu of panels: which are shown, and the way back to how it was. */
  panels(layout: Layout): void {
    const menu = part("panels");
    menu.addEventListener("toggle", () => {
      if (!menu.matches(":popover-open")) return;
      menu.replaceChildren(
        ...[...layout.list()].map(({ id, title, isShown }) => {
          const label = document.createElement("label");
          const box = document.createElement("input");
          box.type = "checkbox";
          box.checked = isShown;
          box.addEventListener("change", () => layout.toggle(id));
          label.append(box, title);
          return label;
        }),
        this.#reset(layout, menu),
      );
      menu.querySelector("input")?.focus();
    });
  }

  #reset(layout: Layout, menu: HTMLElement): HTMLElement {
    const reset = document.createElement("button");
    reset.type = "button";
    reset.textContent = "As at first";
    reset.addEventListener("click", () => {
      menu.hidePopover();
      layout.reset();
    });
    return reset;
  }
}

function told(connection: ConnectionState, isLaggard: boolean): [state: string, words: string] {
  switch (connection.state) {
    case "live":
      return ["live", isLaggard ? "Live, catching up" : connection.transport === "sse" ? "Live by events" : "Live"];
    case "lost":
      return ["lost", "Connection lost, trying again"];
    case "refused":
      return ["refused", `Closed by the service: ${connection.reason}`];
    case "closed":
      return ["lost", "Not connected"];
    case "connecting":
      return ["connecting", "Connecting"];
  }
}
