// A page's end of the way to the worker.

import { PAGE_ALIVE_EVERY_MS } from "./limits.ts";
import type { Batch, Choices, FromFeed, Health, ToFeed, Wishes } from "./messages.ts";

interface Heard {
  batch(batch: Batch): void;
  health(health: Health): void;
  notice(text: string): void;
}

export class Link {
  readonly #port: { postMessage(message: ToFeed): void; onmessage: ((event: MessageEvent<FromFeed>) => void) | null };
  #wishes: Wishes;
  #choices: Choices;

  constructor(wishes: Wishes, choices: Choices, heard: Heard) {
    this.#wishes = wishes;
    this.#choices = choices;
    this.#port =
      typeof SharedWorker === "function"
        ? new SharedWorker(new URL("./shared.ts", import.meta.url), { type: "module", name: "tickwire" }).port
        : new Worker(new URL("./own.ts", import.meta.url), { type: "module", name: "tickwire" });
    this.#port.onmessage = ({ data }) => {
      if (data.kind === "batch") heard.batch(data);
      else if (data.kind === "health") this.#health(data, heard);
      else heard.notice(data.text);
    };
    this.#hello();
    addEventListener("pagehide", () => this.#say({ kind: "bye" }));
    // A page that the browser had put aside begins anew.
    addEventListener("pageshow", (event) => event.persisted && this.#hello());
    document.addEventListener("visibilitychange", () => this.wish({ isVisible: !document.hidden }));
    setInterval(() => this.#say({ kind: "wishes", wishes: this.#wishes }), PAGE_ALIVE_EVERY_MS);
  }

  get wishes(): Readonly<Wishes> {
    return this.#wishes;
  }

  get choices(): Readonly<Choices> {
    return this.#choices;
  }

  wish(change: Partial<Wishes>): void {
    this.#wishes = { ...this.#wishes, ...change };
    this.#say({ kind: "wishes", wishes: this.#wishes });
  }

  choose(change: Partial<Choices>): void {
    this.#say({ kind: "choices", change });
  }

  drawn(): void {
    this.#say({ kind: "drawn" });
  }

  connect(): void {
    this.#say({ kind: "connect" });
  }

  /** Another page may have chosen. */
  #health(health: Health, heard: Heard): void {
    this.#choices = health.chosen;
    heard.health(health);
  }

  #hello(): void {
    this.#say({ kind: "hello", url: new URL(".", location.href).href, choices: this.#choices, wishes: this.#wishes });
  }

  #say(message: ToFeed): void {
    this.#port.postMessage(message);
  }
}
