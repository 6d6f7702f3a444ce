// Typed events.

type Listeners<Events extends Record<string, unknown[]>> = { [Name in keyof Events]?: Set<(...values: Events[Name]) => void> };

export class Emitter<Events extends Record<string, unknown[]>> {
  readonly #listeners: Listeners<Events> = {};

  /** Calls `listener` at each such event; returns what ends that. */
  on<Name extends keyof Events>(name: Name, listener: (...values: Events[Name]) => void): () => void {
    const listeners = (this.#listeners[name] ??= new Set());
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }

  protected emit<Name extends keyof Events>(name: Name, ...values: Events[Name]): void {
    for (const listener of this.#listeners[name] ?? []) {
      try {
        listener(...values);
      } catch (error) {
        // It is the listener's, and is told as such; what else came with the message is taken nevertheless.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
