// The heads of the watch-list's columns, whose buttons sort.

import type { Placed } from "./columns.ts";
import { chosen, type Sorting } from "./order.ts";

/** Writes them anew; `sort` is called with the order that the user chose. */
export function writeHeads(row: HTMLElement, placed: readonly Placed[], sorting: Sorting, sort: (sorting: Sorting) => void): void {
  const focused = row.contains(document.activeElement) ? document.activeElement!.parentElement!.dataset.column : undefined;
  row.replaceChildren(
    ...placed.map(({ column, width }) => {
      const head = document.createElement("div");
      head.role = "columnheader";
      head.className = `column ${column.name}`;
      head.dataset.column = column.name;
      head.style.width = `${width}px`;
      if (column.name === "spark") {
        head.textContent = column.title;
        return head;
      }
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = column.title;
      button.ariaLabel = `Sort by ${column.spoken ?? column.title}`;
      if (sorting.by === column.name) {
        head.ariaSort = sorting.isDescending ? "descending" : "ascending";
        button.dataset.sorted = sorting.isDescending ? "▾" : "▴";
      }
      button.addEventListener("click", () => sort(chosen(sorting, column)));
      head.append(button);
      return head;
    }),
  );
  if (focused !== undefined) row.querySelector<HTMLElement>(`.${focused} button`)?.focus();
}
