// What is kept over a visit. Where the browser keeps nothing, the page works without.

const PREFIX = "tickwire.";

/** What was kept, if it is still understood. */
export function kept<Value>(name: string, fallback: Value, isRight: (value: unknown) => boolean): Value {
  try {
    const text = localStorage.getItem(PREFIX + name);
    const value: unknown = text === null ? undefined : JSON.parse(text);
    return isRight(value) ? (value as Value) : fallback;
  } catch {
    return fallback;
  }
}

export function keep(name: string, value: unknown): void {
  try {
    localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // Full, or forbidden.
  }
}
