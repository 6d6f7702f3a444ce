// The page's own logic, without a browser: exact decimals, the book and its checksum, the chain of states.
import assert from "node:assert/strict";
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";

// Node takes a .js file for a module only beside a package.json that says so, which the page itself does not need.
const folder = mkdtempSync(join(tmpdir(), "tickwire-page-"));
cpSync(fileURLToPath(new URL("../../web", import.meta.url)), folder, { recursive: true });
writeFileSync(join(folder, "package.json"), '{"type":"module"}');
const load = (file) => import(pathToFileURL(join(folder, file)));
const { compare, direction, grouped, percent } = await load("decimal.js");
const { Book } = await load("book.js");
const { Feed } = await load("feed.js");
after(() => rmSync(folder, { recursive: true }));

test("decimals compare by value, beyond what a number holds", () => {
  const ascending = ["-10.5", "-9.99", "-0.01", "0", "0.000000001", "0.5", "1", "9.99", "10", "10.01", "9007199254740993", "9007199254740994"];
  for (const [i, a] of ascending.entries()) for (const [j, b] of ascending.entries()) assert.equal(Math.sign(compare(a, b)), Math.sign(i - j), `${a} ${b}`);
  assert.equal(compare("1.50", "1.5"), 0);
});

test("numbers are shown whole", () => {
  assert.equal(grouped("1234567.12345678"), "1,234,567.12345678");
  assert.equal(grouped("-1000"), "-1,000");
  assert.deepEqual(["0.0100", "-0.0100", "0.0000", "-0.0000"].map(percent), ["+0.0100%", "−0.0100%", "0.0000%", "0.0000%"]);
  assert.deepEqual(["0.0100", "-0.0100", "0.0000", null].map(direction), ["rise", "fall", "", ""]);
});

test("a book follows its updates, and its checksum is CRC32 of the digits", () => {
  const book = new Book();
  // CRC32 of "123456789" is 0xcbf43926, the check value of every CRC catalogue: asks 1.2 × 3 and 4.5 × 6, bid 0.78 × 9.
  const snapshot = { type: "snapshot", bids: [["0.78", "9"]], asks: [["1.2", "3"], ["4.5", "6"]], checksum: 0xcbf43926 };
  assert.equal(book.apply(snapshot), true);
  assert.equal(book.apply({ ...snapshot, checksum: 1 }), false);
  assert.equal(book.apply({ type: "update", asks: [["1.2", "0.00"], ["10.0", "7"]] }), undefined);
  assert.equal(book.apply({ type: "update", bids: [["0.80", "2"]] }), undefined);
  assert.deepEqual(book.asks, [["4.5", "6"], ["10.0", "7"]]);
  assert.deepEqual(book.bids, [["0.80", "2"], ["0.78", "9"]]);
});

/** A feed on a socket that the test speaks for; what the page is told is kept in `told`. */
function feed(t) {
  t.mock.timers.enable({ apis: ["setInterval", "setTimeout"] });
  const sockets = [];
  globalThis.addEventListener ??= () => {};
  globalThis.WebSocket = class {
    static OPEN = 1;
    readyState = 0;
    sent = [];
    constructor() { sockets.push(this); }
    send(text) { const { method, params } = JSON.parse(text); this.sent.push(`${method} ${params.channel} ${params.symbols}`); }
    close() { this.readyState = 3; }
    opens() { this.readyState = 1; this.onopen(); }
    says(...messages) { this.onmessage({ data: JSON.stringify(messages) }); }
  };
  const told = [];
  const on = {
    state: (state) => told.push(state),
    reset: () => told.push("reset"),
    granted: () => {},
    problem: (text) => told.push(text),
    void: (channel, symbol) => told.push(`void ${channel} ${symbol}`),
    message: ({ type, symbol, seq }) => told.push(`${type} ${symbol} ${seq}`),
  };
  const feed = new Feed("ws://test", on);
  feed.subscribe({ channel: "quote", symbols: ["*"] });
  sockets[0].opens();
  told.length = 0;
  return { feed, sockets, told, tick: (ms) => t.mock.timers.tick(ms) };
}
const snapshot = (symbol, seq, epoch = "a") => ({ channel: "quote", type: "snapshot", symbol, seq, epoch });
const update = (symbol, prev_seq, seq) => ({ channel: "quote", type: "update", symbol, seq, prev_seq });

test("a missed update is not papered over: that symbol alone is asked for again", (t) => {
  const { feed: page, sockets: [socket], told, tick } = feed(t);
  socket.says(snapshot("A", 5), snapshot("B", 7), update("A", 5, 9), update("B", 8, 9), update("B", 9, 10), update("A", 9, 10));
  assert.deepEqual(told, ["snapshot A 5", "snapshot B 7", "update A 9", "void quote B", "update A 10"]);
  tick(250);
  assert.deepEqual(socket.sent, ["subscribe quote *", "unsubscribe quote B", "subscribe quote B"]);
  socket.says(snapshot("B", 12), update("B", 12, 13));
  assert.deepEqual(told.slice(-2), ["snapshot B 12", "update B 13"]);
  assert.equal(page.gaps, 1);
});

test("a new epoch voids everything of the old one", (t) => {
  const { sockets: [socket], told } = feed(t);
  socket.says(snapshot("A", 5), snapshot("B", 7), snapshot("A", 1, "b"), update("B", 7, 8), update("A", 1, 2));
  assert.deepEqual(told, ["snapshot A 5", "snapshot B 7", "reset", "snapshot A 1", "update A 2"]);
});

test("a lost connection comes back and subscribes again; a refused one does not", (t) => {
  const { sockets, told, tick } = feed(t);
  sockets[0].onclose({ code: 1012, reason: "restart" });
  tick(500);
  sockets[1].opens();
  assert.deepEqual(told, ["lost", "connecting", "reset"]);
  assert.deepEqual(sockets[1].sent, ["subscribe quote *"]);
  sockets[1].onclose({ code: 4006, reason: "connection limit" });
  tick(60_000);
  assert.equal(told.at(-1), "refused");
  assert.equal(sockets.length, 2);
});

test("an announced gap counts, and the trades after it go on", (t) => {
  const { feed: page, sockets: [socket], told } = feed(t);
  const trade = (message) => ({ ...message, channel: "trade" });
  socket.says(trade(snapshot("A", 5)), trade({ type: "gap", symbol: "A", seq: 9, prev_seq: 5 }), trade(update("A", 9, 10)));
  assert.deepEqual(told, ["snapshot A 5", "update A 10"]);
  assert.equal(page.gaps, 1);
});
