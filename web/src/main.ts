// The page: joins the feed, the panels, the search and the keys.

import "./style/page.css";
import type { Interval } from "tickwire-client";
import { Link } from "./feed/link.ts";
import { type Batch, type Choices, type Health, sharedNow } from "./feed/messages.ts";
import { Samples } from "./feed/samples.ts";
import { request } from "./frame.ts";
import { Header } from "./header.ts";
import { keep, kept } from "./kept.ts";
import { listen } from "./keys.ts";
import { Layout } from "./layout/layout.ts";
import { Market } from "./market.ts";
import { Chart } from "./panels/chart.ts";
import { Connection } from "./panels/connection.ts";
import { Depth } from "./panels/depth.ts";
import { Ladder } from "./panels/ladder.ts";
import type { Panel, PanelId } from "./panels/panel.ts";
import { Tape } from "./panels/tape.ts";
import { ReplayBar } from "./replay.ts";
import { earlierBars, earlierTrades } from "./rest.ts";
import { listenToSearch } from "./search.ts";
import { WatchList } from "./watch/list.ts";

const EVERY_SECOND_MS = 1_000;
/** Keys that walk through the list choose many instruments: the last one is followed. */
const CHOICE_SETTLES_MS = 120;

const part = <Element extends HTMLElement>(id: string): Element => document.getElementById(id) as Element;
const isOneOf = <Value>(...values: Value[]) => (value: unknown): boolean => values.includes(value as Value);

const market = new Market();
const painted = new Samples(512);
let health: Health | null = null;
let depth = kept<10 | 25 | 100>("depth", 25, isOneOf(10, 25, 100));
let interval = kept<Interval>("interval", "1s", isOneOf("1s", "1m", "5m", "1h", "1d"));

const choices: Choices = {
  form: kept("form", "binary", isOneOf("binary", "json", "sse")),
  rate: kept("rate", "raw", isOneOf("raw", "100ms", "250ms", "1s")),
  // It is for as long as the page is open, and stands nowhere.
  token: null,
};

const watch = new WatchList(market, (symbol) => choose(symbol));
const watchPanel: Panel = { id: "watch", title: "Watch-list", short: "Watch", body: watch.element };
const chart = new Chart(market, interval, (chosen) => {
  interval = chosen;
  keep("interval", interval);
  link.wish({ interval });
  if (market.detail) {
    chart.begin(market.detail.symbol, interval);
    void loadEarlier(market.detail.symbol);
  }
});
const ladder = new Ladder(market, depth, (chosen) => {
  depth = chosen;
  keep("depth", depth);
  link.wish({ depth });
});
const depths = new Depth(market);
const tape = new Tape(market);
const connection = new Connection(choices, (change) => {
  if (change.form) keep("form", change.form);
  if (change.rate) keep("rate", change.rate);
  link.choose(change);
});
const layout = new Layout(part("desk"), part("tabs"), [watchPanel, chart, ladder, depths, tape, connection]);
const header = new Header(() => link.connect(), () => layout.focus("connection"));
header.panels(layout);
const replay = new ReplayBar();
part("replay-place").append(replay.element);

const link = new Link({ isVisible: !document.hidden, symbol: null, depth, interval }, choices, {
  batch: take,
  health: (told) => {
    const wasLive = health?.connection.state === "live";
    health = told;
    header.connection(told.connection, told.isLaggard);
    watch.void(told.connection.state !== "live");
    connection.health(told, painted.percentiles());
    // What was missed meanwhile is in the history.
    if (!wasLive && told.connection.state === "live" && market.detail) void loadEarlier(market.detail.symbol);
  },
  notice: (text) => header.notice(text),
});

function take(batch: Batch): void {
  const changes = market.take(batch);
  watch.changed(changes.rows, changes.isLonger || changes.isReset);
  if (changes.isReset && market.detail) {
    chart.begin(market.detail.symbol, interval);
    void loadEarlier(market.detail.symbol);
  }
  if (changes.hasDetail || changes.isReset) {
    ladder.changed();
    depths.changed();
    tape.changed();
    chart.session();
    if (changes.bars.length > 0) chart.live(changes.bars);
  }
  if (changes.isLonger) arrive();
  request({
    draw: () => {
      painted.add(sharedNow() - batch.sent);
      link.drawn();
      return false;
    },
  });
}

let loading = new AbortController();

/** What was before the page followed the instrument. Without it, the live part is shown alone. */
async function loadEarlier(symbol: string): Promise<void> {
  loading.abort();
  loading = new AbortController();
  const { signal } = loading;
  const { token } = link.choices;
  try {
    const [bars, trades] = await Promise.all([earlierBars(symbol, interval, token, signal), earlierTrades(symbol, token, signal)]);
    if (signal.aborted) return;
    chart.earlier(bars.values);
    market.addEarlier(symbol, trades.values);
    tape.changed();
  } catch (error) {
    if (!signal.aborted) console.warn(`no history of ${symbol}:`, error);
  }
}

document.addEventListener("visibilitychange", () => !document.hidden && market.detail && void loadEarlier(market.detail.symbol));

let settling: ReturnType<typeof setTimeout> | undefined;

function choose(symbol: string): void {
  if (symbol === market.detail?.symbol) return layout.look();
  market.show(symbol);
  watch.select(symbol);
  chart.begin(symbol, interval);
  for (const panel of [ladder, depths, tape]) panel.changed();
  document.title = `${symbol} · Tickwire`;
  history.replaceState(null, "", `#${encodeURIComponent(symbol)}`);
  keep("symbol", symbol);
  clearTimeout(settling);
  settling = setTimeout(() => {
    link.wish({ symbol });
    void loadEarlier(symbol);
  }, CHOICE_SETTLES_MS);
  if (isUsed) layout.look();
}

/** Instruments have become known: the one of the address, or of the last visit, or the first, is shown. */
let isUsed = false;
function arrive(): void {
  if (market.detail) return;
  const wanted = [named(), kept("symbol", "", (value) => typeof value === "string"), watch.first ?? ""];
  const symbol = wanted.find((symbol) => market.row(symbol));
  if (symbol) choose(symbol);
  isUsed = true;
}

function named(): string {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return "";
  }
}

addEventListener("hashchange", () => market.row(named()) && choose(named()));

const search = part<HTMLInputElement>("search");
listenToSearch(search, part("found"), watch, choose, () => layout.focus("watch"));

const help = part<HTMLDialogElement>("help");
const panelKeys = Object.fromEntries([...layout.list()].map(({ id }, index): [string, () => void] => [String(index + 1), () => layout.focus(id as PanelId)]));
const keys = listen({
  "/": () => search.focus(),
  "?": () => help.showModal(),
  t: () => part("scheme").click(),
  ...panelKeys,
});
part("help-open").addEventListener("click", () => help.showModal());
const keysBox = part<HTMLInputElement>("keys");
keysBox.checked = keys.isOn();
keysBox.addEventListener("change", () => keys.set(keysBox.checked));

let secondsLost = 0;
setInterval(() => {
  // A market that begins anew may have other instruments, which come one by one.
  secondsLost = market.isLost ? secondsLost + 1 : 0;
  if (secondsLost > 1) {
    market.detail = null;
    arrive();
  }
  market.sample();
  watch.sampled();
  replay.tell(market.newest, health);
  part("time").textContent = market.newest > 0 ? new Date(market.newest / 1000).toISOString().slice(11, 19) : "";
  part("rate").textContent = health ? health.updatesPerSecond.toLocaleString("en") : "";
}, EVERY_SECOND_MS);
