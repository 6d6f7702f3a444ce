// The page's own logic, without a browser: exact figures, orders, places.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { createServer } from "vite";

const storage = new Map();
globalThis.localStorage = { getItem: (name) => storage.get(name) ?? null, setItem: (name, text) => storage.set(name, text) };
globalThis.matchMedia = () => ({ matches: false, addEventListener: () => {} });
globalThis.document = { documentElement: { dataset: {} } };

let vite;
before(async () => {
  const root = fileURLToPath(new URL("..", import.meta.url));
  vite = await createServer({ root, configFile: `${root}vite.config.ts`, logLevel: "error", server: { middlewareMode: true, ws: false, watch: null }, optimizeDeps: { noDiscovery: true } });
});
after(() => vite.close());
const load = (path) => vite.ssrLoadModule(`/src/${path}`);

test("numbers are shown whole, or rounded exactly", async () => {
  const { direction, grouped, percent, quantity, rounded, signed } = await load("format.ts");
  assert.equal(grouped("-1234567.12345678"), "-1,234,567.12345678");
  assert.deepEqual(["2250.00000000", "0.10", "100", "0.00"].map(quantity), ["2,250", "0.1", "100", "0"]);
  assert.deepEqual(["0.0100", "-0.0100", "-0.0000"].map(signed), ["+0.0100", "−0.0100", "0.0000"]);
  assert.deepEqual(["1.2350", "1.2450", "-1.2351", "0.0049", "-0.0049", "9007199254740993.0051"].map(percent), ["+1.24%", "+1.24%", "−1.24%", "0.00%", "0.00%", "+9007199254740993.01%"]);
  assert.deepEqual([rounded("5", 2), rounded("5.1", 2), rounded("5.999", 2)], ["5", "5.1", "6.00"]);
  assert.deepEqual(["0.01", "-0.01", "0.00", "−0.40%", "+1%", null, undefined].map(direction), ["rise", "fall", "still", "fall", "rise", "still", "still"]);
});

test("a book is summed up exactly", async () => {
  const { spread, sumUp } = await load("panels/levels.ts");
  const { bids, asks } = sumUp([["1.00", "9007199254740993.1"], ["0.99", "0.2"]], [["1.01", "0.1"]], 2);
  assert.deepEqual(bids.map(({ sum }) => sum), ["9007199254740993.1", "9007199254740993.3"]);
  assert.deepEqual([asks[0].sum, bids[1].sumPart], ["0.1", 1]);
  assert.equal(sumUp([["1.00", "1"], ["0.99", "1"]], [], 1).bids.length, 1);
  assert.deepEqual(spread("0.00000637", "0.00000638"), { spread: "0.00000001", middle: "0.000006375" });
  assert.deepEqual(spread("25000", "25005"), { spread: "5", middle: "25002.5" });
  assert.equal(spread(undefined, "1"), null);
});

test("rows are sorted by what they are worth, and those without a value stand last", async () => {
  const { arrange, chosen } = await load("watch/order.ts");
  const row = (symbol, last) => ({ symbol, ticker: last === null ? null : { last, change_percent: null, volume: null }, quote: null });
  const rows = [row("B", "10.0"), row("A", "9.5"), row("D", null), row("C", "10.00")];
  const symbols = (filter, by, isDescending) => arrange(rows, filter, { by, isDescending }).map(({ symbol }) => symbol).join("");
  assert.deepEqual([symbols("", "symbol", false), symbols("", "symbol", true), symbols("", "last", true), symbols("", "last", false), symbols("B", "last", true)], ["ABCD", "DCBA", "BCAD", "ABCD", "B"]);
  assert.deepEqual(chosen({ by: "symbol", isDescending: false }, { name: "last" }), { by: "last", isDescending: true });
  assert.deepEqual(chosen({ by: "last", isDescending: true }, { name: "last" }), { by: "last", isDescending: false });
});

test("columns that have no room are left out, the dearest last", async () => {
  const { place } = await load("watch/columns.ts");
  const names = (width) => place(width).map(({ column }) => column.name).join();
  assert.equal(names(1000), "symbol,spark,last,change,bid_size,bid,ask,ask_size,volume");
  assert.equal(names(465), "symbol,spark,last,change,bid,ask");
  assert.equal(names(380), "symbol,spark,last,change");
  assert.ok(place(100).length >= 1);
  const total = place(700).reduce((sum, { width }) => sum + width, 0);
  assert.ok(Math.abs(total - 700) < 1e-6);
});

test("panels move, hide and come back, and what was kept wrongly is forgotten", async () => {
  const { Arrangement } = await load("layout/arrangement.ts");
  const told = ({ columns }) => columns.map(({ slots }) => slots.map(({ id }) => id).join("+")).join(" ");
  const arrangement = new Arrangement();
  assert.equal(told(arrangement), "watch chart+depth ladder+tape");
  arrangement.step("tape", "up");
  arrangement.step("depth", "left");
  arrangement.hide("ladder");
  assert.equal(told(arrangement), "watch+depth chart tape");
  arrangement.step("watch", "left");
  assert.equal(told(arrangement), "watch depth chart tape");
  arrangement.step("watch", "left");
  arrangement.step("tape", "right");
  assert.equal(told(arrangement), "watch depth chart tape", "alone at the edge");
  arrangement.move("tape", 2, 0);
  arrangement.show("connection");
  assert.equal(told(arrangement), "watch depth+connection tape+chart");
  assert.equal(told(new Arrangement()), told(arrangement), "kept");
  const [first, second] = arrangement.columns;
  const sum = first.share + second.share;
  arrangement.shift(arrangement.columns, 0, 100);
  assert.ok(second.share > 0 && Math.abs(first.share + second.share - sum) < 1e-9);
  for (const wrong of ["nonsense", "{}", '[{"share":1,"slots":[{"id":"watch","share":1},{"id":"watch","share":1}]}]', '[{"share":-1,"slots":[]}]', '[{"share":1,"slots":[{"id":"else","share":1}]}]']) {
    storage.set("tickwire.layout", wrong);
    assert.equal(told(new Arrangement()), "watch chart+depth ladder+tape", wrong);
  }
});

test("a cell lights up when it moves, and fades in steps", async () => {
  const { Flash } = await load("watch/flash.ts");
  const flash = new Flash();
  flash.set("1.00", 0);
  assert.equal(flash.light(0).light, 0, "what is new has not moved");
  flash.set("1.10", 1000);
  assert.deepEqual([flash.light(1000).light, flash.isUp, flash.isFading], [1, true, true]);
  assert.equal(flash.light(1001).isNew, false);
  flash.set("0.90", 1100);
  assert.equal(flash.isUp, false);
  assert.deepEqual([flash.light(5000), flash.isFading], [{ light: 0, isNew: true }, false]);
});

test("percentiles are of the newest samples", async () => {
  const { Samples } = await load("feed/samples.ts");
  const samples = new Samples(100);
  assert.equal(samples.percentiles(), null);
  for (let value = 0; value < 200; value += 1) samples.add(value);
  assert.deepEqual(samples.percentiles(), { p50: 150, p95: 195, p99: 199, max: 199 });
});

test("trades are in order and once, however they come", async () => {
  const { Market } = await load("market.ts");
  const market = new Market();
  const trade = (seq) => ({ seq, ts_event: seq, price: "1", size: "1", side: "buy" });
  const batch = (trades, more = {}) => ({ kind: "batch", isReset: false, symbols: [], rows: [], newest: 1, sent: 0, detail: { symbol: "A", interval: "1m", trades: trades.map(trade) }, ...more });
  market.take(batch([], { symbols: ["A", "B"], rows: [{ row: 1, quote: { bid: "1", bid_size: "1", ask: null, ask_size: null } }], detail: null }));
  assert.equal(market.row("B").quote.bid, "1");
  market.show("A");
  market.take(batch([7, 8]));
  market.addEarlier("A", [4, 5, 6, 7].map(trade));
  market.take(batch([8, 11]));
  market.addEarlier("A", [8, 9, 10, 11].map(trade));
  assert.deepEqual(market.detail.trades.map(({ seq }) => seq), [11, 10, 9, 8, 7, 6, 5, 4]);
  market.take(batch([], { isReset: true, symbols: ["C"], detail: null }));
  assert.deepEqual([market.rows.length, market.isLost, market.detail.trades.length], [1, true, 0]);
});

test("a recording is told by its time that goes on, and no market that is only quiet", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval", "Date"], now: 1_763_848_800_000 });
  t.mock.method(globalThis, "fetch", async () => ({ json: async () => ({ ready: true, feed: "running" }) }));
  document.createElement = () => ({ dataset: {}, textContent: "", append: () => {}, removeAttribute: () => {} });
  const { ReplayBar } = await load("replay.ts");
  const bar = new ReplayBar();
  const health = { epochs: 0, clockOffset: 0, isDelayed: false };
  const now = Date.now() * 1000;
  const shown = (newest, more = {}) => {
    bar.tell(newest, { ...health, ...more });
    return !bar.element.hidden;
  };
  const closed = now - 3_600_000_000;
  assert.deepEqual([0, closed, closed, closed].map((time) => shown(time)), [false, false, false, false], "a market that has closed");
  assert.deepEqual([1, 2, 3].map((second) => shown(closed + second * 1_000_000)), [false, true, true], "a recording");
  assert.equal(shown(closed + 4_000_000, { isDelayed: true }), false, "late data");
  assert.equal(shown(now), false, "a market that goes on");
});
