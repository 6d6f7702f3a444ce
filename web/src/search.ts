// The search: narrows the watch-list while it is typed.

interface Searched {
  filter(text: string): void;
  readonly found: number;
  /** The symbol of the first that was found. */
  readonly first: string | null;
}

/** `take` is called with the symbol that Enter takes, `leave` when the keys are to go to what was found. */
export function listenToSearch(input: HTMLInputElement, told: HTMLElement, list: Searched, take: (symbol: string) => void, leave: () => void): void {
  input.addEventListener("input", () => {
    list.filter(input.value.trim().toUpperCase());
    told.textContent = input.value ? `${list.found} found` : "";
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && input.value) {
      input.value = "";
      input.dispatchEvent(new Event("input"));
    } else if (event.key === "Enter" && list.first !== null) {
      take(list.first);
      leave();
    } else if (event.key === "ArrowDown") {
      event.preventDefault();
      leave();
    }
  });
}
