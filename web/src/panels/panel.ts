// What the layout places: a titled part of the page.

export type PanelId = "watch" | "chart" | "ladder" | "depth" | "tape" | "connection";

export interface Panel {
  readonly id: PanelId;
  readonly title: string;
  /** Where there is little room. */
  readonly short: string;
  readonly body: HTMLElement;
  /** What stands beside the title. */
  readonly tools?: readonly HTMLElement[];
}

/** A row of buttons of which one is pressed; `press`: that it is another now, from elsewhere. */
export interface Choice<Value> {
  element: HTMLElement;
  press(value: Value): void;
}

/** A choice of one of a few. */
export function choice<Value extends string>(label: string, values: readonly Value[], now: Value, choose: (value: Value) => void): Choice<Value> {
  const group = document.createElement("div");
  group.className = "choice";
  group.role = "group";
  group.ariaLabel = label;
  const press = (value: Value): void => {
    for (const button of group.children) button.ariaPressed = String(button.textContent === value);
  };
  for (const value of values) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = value;
    button.addEventListener("click", () => {
      press(value);
      choose(value);
    });
    group.append(button);
  }
  press(now);
  return { element: group, press };
}
