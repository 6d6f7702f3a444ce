// What a canvas shows, as a table for screen readers, written once a second where it has changed.

const EVERY_MS = 1000;

export class Mirror {
  readonly #body: HTMLTableSectionElement;
  readonly #rows: () => readonly (readonly string[])[];
  #written = "";
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(place: HTMLElement, caption: string, heads: readonly string[], rows: () => readonly (readonly string[])[]) {
    const table = document.createElement("table");
    table.className = "unseen";
    table.createCaption().textContent = caption;
    const head = table.createTHead().insertRow();
    for (const text of heads) {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.textContent = text;
      head.append(cell);
    }
    this.#body = table.createTBody();
    this.#rows = rows;
    place.append(table);
  }

  changed(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#write();
    }, EVERY_MS);
  }

  #write(): void {
    const rows = this.#rows();
    const text = JSON.stringify(rows);
    if (text === this.#written) return;
    this.#written = text;
    this.#body.replaceChildren(
      ...rows.map((cells) => {
        const row = document.createElement("tr");
        for (const cell of cells) row.insertCell().textContent = cell;
        return row;
      }),
    );
  }
}
