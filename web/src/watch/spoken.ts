// The rows of the watch-list in sight, as a screen reader finds them.

import type { Row } from "../market.ts";
import { COLUMNS, shown } from "./columns.ts";

const SPOKEN = COLUMNS.filter(({ name }) => name !== "spark");

/** Writes what differs; `first`: the number of the first of them in the list. Returns the id of the selected row, if it is there. */
export function writeRows(place: HTMLElement, rows: readonly Row[], first: number, selected: string | null): string | null {
  while (place.childElementCount > rows.length) place.lastElementChild!.remove();
  while (place.childElementCount < rows.length) place.append(newRow());
  let active: string | null = null;
  rows.forEach((row, index) => {
    const element = place.children[index] as HTMLElement;
    const isSelected = row.symbol === selected;
    element.id = `instrument-${row.number}`;
    // The heads are the first row.
    element.ariaRowIndex = String(first + index + 2);
    element.ariaSelected = String(isSelected);
    if (isSelected) active = element.id;
    SPOKEN.forEach((column, at) => put(element.children[at]!, shown(column, row)));
    put(element.lastElementChild!, row.status?.state ?? "");
  });
  return active;
}

function newRow(): HTMLElement {
  const row = document.createElement("div");
  row.role = "row";
  for (let cell = 0; cell <= SPOKEN.length; cell += 1) {
    const element = document.createElement("div");
    element.role = cell === 0 ? "rowheader" : "gridcell";
    row.append(element);
  }
  return row;
}

function put(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}
