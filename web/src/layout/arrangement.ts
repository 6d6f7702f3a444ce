// Which panel stands where, and how large: columns of panels, each with its share. Kept over visits.

import { keep, kept } from "../kept.ts";
import type { PanelId } from "../panels/panel.ts";

export interface Slot {
  id: PanelId;
  share: number;
}

export interface Column {
  share: number;
  slots: Slot[];
}

export const PANEL_IDS: readonly PanelId[] = ["watch", "chart", "ladder", "depth", "tape", "connection"];
const COLUMNS_MAX = 4;
const SHARE_MIN = 0.08;

const DEFAULT: readonly Column[] = [
  { share: 1.35, slots: [{ id: "watch", share: 1 }] },
  { share: 1.5, slots: [{ id: "chart", share: 1.7 }, { id: "depth", share: 1 }] },
  { share: 0.8, slots: [{ id: "ladder", share: 1.5 }, { id: "tape", share: 1 }] },
];

export class Arrangement {
  columns: Column[] = copy(kept<readonly Column[]>("layout", DEFAULT, isArrangement));

  reset(): void {
    this.columns = copy(DEFAULT);
    this.#keep();
  }

  has(id: PanelId): boolean {
    return this.#find(id) !== null;
  }

  hide(id: PanelId): void {
    const found = this.#find(id);
    if (!found) return;
    this.columns[found.column]!.slots.splice(found.slot, 1);
    this.#tidy();
  }

  /** At the end of the shortest column. */
  show(id: PanelId): void {
    if (this.has(id)) return;
    const shortest = this.columns.reduce((best, column) => (column.slots.length <= best.slots.length ? column : best), this.columns[0] ?? this.#newColumn());
    shortest.slots.push({ id, share: 1 });
    this.#tidy();
  }

  /** Before that slot of that column; a column that is not there yet is made, where there may be one more. */
  move(id: PanelId, column: number, slot: number): void {
    const from = this.#find(id);
    if (!from) return;
    const moved = this.columns[from.column]!.slots[from.slot]!;
    let target = this.columns[column];
    if (!target) {
      if (this.columns.length >= COLUMNS_MAX) return;
      target = { share: 1, slots: [] };
      if (column < 0) this.columns.unshift(target);
      else this.columns.push(target);
    }
    const source = this.columns.find(({ slots }) => slots.includes(moved))!;
    const at = source === target && from.slot < slot ? slot - 1 : slot;
    source.slots.splice(source.slots.indexOf(moved), 1);
    target.slots.splice(Math.max(0, Math.min(at, target.slots.length)), 0, moved);
    this.#tidy();
  }

  /** By one place, as keys do. */
  step(id: PanelId, towards: "left" | "right" | "up" | "down"): void {
    const from = this.#find(id);
    if (!from) return;
    if (towards === "up") this.move(id, from.column, from.slot - 1);
    else if (towards === "down") this.move(id, from.column, from.slot + 2);
    else {
      const isAlone = this.columns[from.column]!.slots.length === 1;
      const to = from.column + (towards === "left" ? -1 : 1);
      // Alone at the edge, it is there already.
      if (isAlone && (to < 0 || to >= this.columns.length)) return;
      this.move(id, to, from.slot);
    }
  }

  /** Gives to one of two neighbours what the other has to spare. */
  shift(pair: { share: number }[], index: number, by: number): void {
    const [before, after] = [pair[index], pair[index + 1]];
    if (!before || !after) return;
    const least = SHARE_MIN * pair.reduce((sum, { share }) => sum + share, 0);
    const given = Math.max(least - before.share, Math.min(by, after.share - least));
    before.share += given;
    after.share -= given;
    this.#keep();
  }

  #find(id: PanelId): { column: number; slot: number } | null {
    for (const [column, { slots }] of this.columns.entries()) {
      const slot = slots.findIndex((slot) => slot.id === id);
      if (slot >= 0) return { column, slot };
    }
    return null;
  }

  #newColumn(): Column {
    const column = { share: 1, slots: [] };
    this.columns.push(column);
    return column;
  }

  #tidy(): void {
    this.columns = this.columns.filter(({ slots }) => slots.length > 0);
    this.#keep();
  }

  #keep(): void {
    keep("layout", this.columns);
  }
}

const copy = (columns: readonly Column[]): Column[] => structuredClone(columns) as Column[];

function isArrangement(value: unknown): boolean {
  if (!Array.isArray(value) || value.length > COLUMNS_MAX) return false;
  const seen = new Set<unknown>();
  const isShare = (share: unknown): boolean => typeof share === "number" && Number.isFinite(share) && share > 0;
  return value.every(
    (column: Partial<Column> | null) =>
      isShare(column?.share) && Array.isArray(column?.slots) && column.slots.every(({ id, share }) => PANEL_IDS.includes(id) && isShare(share) && !seen.has(id) && seen.add(id)),
  );
}
