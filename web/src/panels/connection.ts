// How good the connection is, as measured here, and what may be chosen about it.

import type { Rate } from "tickwire-client";
import type { Percentiles } from "../feed/samples.ts";
import type { Choices, Health } from "../feed/messages.ts";
import { frameTimes } from "../frame.ts";
import { bytes, count, milliseconds, NONE } from "../format.ts";
import { type Choice, choice, type Panel } from "./panel.ts";

const FORMS = { Binary: "binary", JSON: "json", Events: "sse" } as const;
const NAMES = Object.keys(FORMS) as (keyof typeof FORMS)[];
const RATES = ["raw", "100ms", "250ms", "1s"] as const satisfies readonly Rate[];

export class Connection implements Panel {
  readonly id = "connection";
  readonly title = "Connection";
  readonly short = "Link";
  readonly body = document.createElement("div");
  readonly #terms = new Map<string, HTMLElement>();
  readonly #list = document.createElement("dl");
  readonly #form: Choice<keyof typeof FORMS>;
  readonly #rate: Choice<(typeof RATES)[number]>;

  constructor(choices: Choices, choose: (change: Partial<Choices>) => void) {
    this.body.className = "connection";
    this.#form = choice("Form of the data", NAMES, named(choices.form), (name) => choose({ form: FORMS[name] }));
    this.#rate = choice("Updates of an instrument at most every", RATES, choices.rate as (typeof RATES)[number], (rate) => choose({ rate }));
    const row = document.createElement("div");
    row.className = "choices";
    row.append(this.#form.element, this.#rate.element);
    this.body.append(row, this.#list, this.#tokens(choices, choose));
  }

  health(health: Health, paint: Percentiles | null): void {
    const { stats, connection } = health;
    const frames = frameTimes();
    const proven = stats.checksumsFailed === 0 ? `${count(stats.checksumsOk)} agree` : `${count(stats.checksumsOk)} agree, ${count(stats.checksumsFailed)} did not`;
    const changes = Math.max(stats.merged, stats.updates);
    this.#form.press(named(health.chosen.form));
    this.#rate.press(health.chosen.rate as (typeof RATES)[number]);
    this.#put("Transport", transport(health));
    this.#put("Rate", health.rate === "raw" ? "every change" : `at most every ${health.rate}`, "Of quotes, tickers, books and bars; trades come all");
    this.#put("Round trip", percentiles(health.roundTrip), "Of a ping to the service and back: median, 99 of 100");
    this.#put("Age", health.age ? percentiles(health.age, true) : NONE, "From the venue's time of an event until it was decoded here: median, 95 and 99 of 100, in the last second");
    this.#put("To the screen", percentiles(paint), "From there until it was drawn: median, 99 of 100");
    this.#put("Frames", frames.gap ? `${Math.round(1000 / frames.gap.p50)}/s, script p95 ${milliseconds(frames.script?.p95 ?? 0)}` : NONE);
    this.#put("Updates", `${count(health.updatesPerSecond)}/s`);
    this.#put("Conflated", stats.merges > 0 ? `${count(stats.merges)} of ${count(stats.updates)}, for ${count(changes)} changes` : "none", "Updates that stand for several changes");
    this.#put("Lag", health.lagMs === null ? NONE : `${milliseconds(health.lagMs)}${health.isLaggard ? ", catching up" : ""}`, "Age of what the service is sending, as it says");
    this.#put("Checksums", proven, "Of order books, after each change that carries one");
    this.#put("Gaps", stats.gaps + stats.lost === 0 ? "none" : `${count(stats.gaps)} found, ${count(stats.lost)} told, ${count(stats.resyncs)} asked anew`);
    this.#put("Received", `${bytes(stats.bytes)}, ${bytes(health.bytesPerSecond)}/s`, "Before the browser's own compression is taken off");
    this.#put("Compression", health.ratio === null ? NONE : `${health.ratio.toFixed(1)} × smaller than JSON`, "Against the same in JSON, of which one in 64 is written to tell");
    this.#put("Topics", `${count(health.topics.known)} of ${count(health.topics.followed)}`);
    this.#put("Reconnects", count(stats.reconnects));
    this.#put("Epoch", health.epoch ?? NONE);
    this.#put("Pages", health.pages === 1 ? "this one" : `${health.pages} share it`);
    this.body.dataset.connection = connection.state;
  }

  #put(term: string, text: string, title = ""): void {
    let value = this.#terms.get(term);
    if (!value) {
      const row = document.createElement("div");
      const name = document.createElement("dt");
      name.textContent = term;
      row.title = title;
      value = document.createElement("dd");
      row.append(name, value);
      this.#list.append(row);
      this.#terms.set(term, value);
    }
    if (value.textContent !== text) value.textContent = text;
  }

  /** For services that ask who it is. */
  #tokens(choices: Choices, choose: (change: Partial<Choices>) => void): HTMLElement {
    const form = document.createElement("form");
    const label = document.createElement("label");
    label.textContent = "Token or API key";
    const input = document.createElement("input");
    input.type = "password";
    input.autocomplete = "off";
    input.value = choices.token ?? "";
    label.append(input);
    const button = document.createElement("button");
    button.textContent = "Use";
    form.append(label, button);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      choose({ token: input.value.trim() || null });
    });
    return form;
  }
}

const named = (form: Choices["form"]): keyof typeof FORMS => NAMES.find((name) => FORMS[name] === form)!;

function transport({ connection, stats }: Health): string {
  if (connection.state !== "live") return NONE;
  if (connection.transport === "sse") return "Server-sent events, JSON";
  const isDeflated = connection.extensions.includes("permessage-deflate");
  return `WebSocket${isDeflated ? ", deflate agreed" : ""}${stats.frames === 0 ? "" : `, ${Math.max(1, Math.round(stats.messages / stats.frames))} a message`}`;
}

function percentiles(told: Percentiles | null, withP95 = false): string {
  if (!told) return NONE;
  const { p50, p95, p99 } = told;
  return (withP95 ? [p50, p95, p99] : [p50, p99]).map(milliseconds).join(" · ");
}
