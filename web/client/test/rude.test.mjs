// What the Rust client is held to by its rude server, in the same order: src/client/tests.rs.
import assert from "node:assert/strict";
import { test } from "node:test";
import { checksum } from "../dist/index.js";
import { BOOK, client, QUOTE, RudeServer, snapshot, update } from "./rude.mjs";

const bid = (follower, symbol) => follower.get(QUOTE, symbol)?.bid ?? null;

test("quotes follow their updates, and sides that empty come back", async (t) => {
  const server = await RudeServer.start(t);
  const { client: follower, seq } = client(t, server);
  follower.subscribe(QUOTE, ["AAPL"]);
  const peer = await server.accept();
  assert.deepEqual((await peer.grant("quote", ["AAPL"])).params, { channel: "quote", symbols: ["AAPL"] });
  peer.say(snapshot("AAPL", "e1", 1, "1.00"), update("AAPL", 2, 1, "1.10"), update("AAPL", 3, 2, null, { bid_size: null }), update("AAPL", 4, 3, "0.90", { bid_size: "7" }));
  await seq("AAPL", 4);
  assert.deepEqual(follower.get(QUOTE, "AAPL"), { bid: "0.90", bid_size: "7", ask: null, ask_size: null });
  assert.deepEqual(follower.topics(), { followed: 1, known: 1 });
  const { snapshots, updates, gaps, ignored } = follower.stats;
  assert.deepEqual([snapshots, updates, gaps, ignored], [1, 3, 0, 0]);
});

test("books prove themselves", async (t) => {
  const server = await RudeServer.start(t);
  const { client: follower, until } = client(t, server);
  follower.subscribe(BOOK, ["AAPL"]);
  const peer = await server.accept();
  await peer.grant("book", ["AAPL"]);
  const head = { channel: "book", depth: 10, symbol: "AAPL", ts_event: 1 };
  const bids = [["1.00", "5"], ["0.99", "6"]];
  peer.say({ ...head, type: "snapshot", epoch: "e1", seq: 1, bids, asks: [], checksum: checksum(bids, []) });
  const after = [["1.01", "2"], ["1.00", "5"]];
  const asks = [["1.03", "1"], ["1.05", "4"]];
  peer.say({ ...head, type: "update", seq: 5, prev_seq: 1, n: 3, bids: [["0.99", "0"], ["1.01", "2"], ["0.50", "0"]], asks: [["1.05", "4"], ["1.03", "1"]], checksum: checksum(after, asks) });
  await until("state", (topic) => topic.seq === 5);
  assert.deepEqual([follower.get(BOOK, "AAPL").bids, follower.get(BOOK, "AAPL").asks], [after, asks]);
  assert.deepEqual([follower.stats.checksumsOk, follower.stats.checksumsFailed, follower.stats.merged], [2, 0, 3]);
});

test("a gap costs one symbol its state and no other", async (t) => {
  const server = await RudeServer.start(t);
  const { client: follower, until, seq } = client(t, server);
  follower.subscribe(QUOTE, ["A", "B"]);
  const peer = await server.accept();
  await peer.grant("quote", ["A", "B"]);
  peer.say(snapshot("A", "e1", 10, "1.00"), snapshot("B", "e1", 20, "2.00"));
  peer.say(update("A", 12, 11, "1.10"), update("B", 21, 20, "2.10"));
  assert.deepEqual(await until("diverged", (topic, divergence) => topic.symbol === "A" && divergence), { kind: "gap", expected: 10, found: 11 });
  assert.equal(bid(follower, "A"), null);
  await seq("B", 21);
  assert.equal(bid(follower, "B"), "2.10");
  // Was on its way already.
  peer.say(update("A", 13, 12, "1.11"));
  assert.deepEqual(await peer.grant("quote", ["A"]), { method: "resync", params: { channel: "quote", symbol: "A", seq: 10 } });
  peer.say(update("A", 11, 10, "1.05"), update("A", 14, 11, "1.20"), update("A", 15, 14, "1.30"));
  await seq("A", 15);
  assert.equal(bid(follower, "A"), "1.30");
  assert.deepEqual([follower.stats.gaps, follower.stats.ignored, follower.stats.reconnects, follower.stats.resyncs], [1, 1, 0, 1]);
});

test("a wrong checksum voids the book and at last the connection", async (t) => {
  const server = await RudeServer.start(t);
  const { client: follower, until } = client(t, server);
  follower.subscribe(BOOK, ["AAPL"]);
  const peer = await server.accept();
  const wrong = { channel: "book", depth: 10, type: "snapshot", symbol: "AAPL", epoch: "e1", seq: 1, ts_event: 1, bids: [["10.00", "1"]], asks: [], checksum: 1 };
  for (let attempt = 0; attempt <= 8; attempt += 1) {
    const { method, params } = await peer.grant("book", ["AAPL"]);
    if (attempt > 0) assert.deepEqual([method, params.seq], ["resync", undefined]);
    peer.say(wrong);
  }
  assert.match(await until("connection", ({ state, reason }) => state === "lost" && reason), /again and again/);
  const again = await server.accept();
  await again.grant("book", ["AAPL"]);
  await until("subscribed");
  assert.deepEqual([follower.stats.checksumsFailed, follower.stats.reconnects], [9, 1]);
});

test("a book deeper than its topic is not believed", async (t) => {
  const server = await RudeServer.start(t);
  const { client: follower, until } = client(t, server);
  follower.subscribe(BOOK, ["AAPL"]);
  const peer = await server.accept();
  await peer.grant("book", ["AAPL"]);
  const head = { channel: "book", depth: 10, symbol: "AAPL", ts_event: 1 };
  peer.say({ ...head, type: "snapshot", epoch: "e1", seq: 1, bids: [], asks: [], checksum: 0 });
  peer.say({ ...head, type: "update", seq: 2, prev_seq: 1, bids: Array.from({ length: 11 }, (_, price) => [`${price}.00`, "1"]) });
  assert.deepEqual(await until("diverged", (_topic, divergence) => divergence), { kind: "overfull", levels: 11 });
});

test("whatever ends a connection, the client comes back with all it follows", async (t) => {
  const server = await RudeServer.start(t);
  const { client: follower, until } = client(t, server, { silenceMs: 1000 });
  follower.subscribe(QUOTE, ["A"]);
  follower.subscribe({ channel: "trade" }, ["*"]);
  const ends = [
    [() => {}, /silent/],
    [(peer) => peer.socket.close(4007, "why"), /why \(4007\)/],
    [(peer) => peer.socket.close(4321, "why"), /why \(4321\)/],
    [(peer) => peer.socket.send('[{"channel":"quote"'), /does not keep to the protocol/],
    [(peer) => peer.socket.send('{"channel":"quote"}'), /no array/],
    [(peer) => peer.say(snapshot("A", "e1", 2, "1.001")), /`1.001`/],
    [(peer) => peer.say({ channel: "quote", type: "update", symbol: "A" }), /`seq`/],
    [(peer) => peer.records("ffffffffffffffffffffff"), /longer than it may be/],
    [(peer) => peer.socket.terminate(), /broke/],
  ];
  for (const [end, reason] of ends) {
    const peer = await server.accept();
    await peer.grant("quote", ["A"]);
    assert.deepEqual((await peer.grant("trade", ["A"])).params.symbols, ["*"]);
    peer.say(snapshot("A", "e1", 1, "1.00"));
    end(peer);
    assert.match(await until("connection", ({ state, reason }) => state === "lost" && reason), reason);
    assert.deepEqual([follower.topics(), bid(follower, "A")], [{ followed: 0, known: 0 }, null]);
  }
  await server.accept();
  assert.equal(follower.stats.reconnects, ends.length);
});

test("a server that says no is not asked again", async (t) => {
  const server = await RudeServer.start(t);
  for (const code of [1008, 4002, 4006, 4009]) {
    const { client: follower, until } = client(t, server);
    (await server.accept()).socket.close(code, "why");
    const refused = await until("connection", (connection) => connection.state === "refused" && connection);
    assert.deepEqual(refused, { state: "refused", reason: "why", code });
    assert.equal(follower.connection.state, "refused");
    follower.connect();
    (await server.accept()).socket.close(1000);
    await until("connection", ({ state }) => state === "lost");
    follower.close();
  }
});

test("no server is met with patience, and what it asks to be waited is waited", async (t) => {
  const server = await RudeServer.start(t);
  const { port } = server;
  const { client: follower, until } = client(t, server, { transport: "socket", backoffMs: { first: 2, max: 300 } });
  const peer = await server.accept();
  peer.say({ channel: "system", type: "shutdown", reconnect_after_ms: 250 });
  peer.socket.close(1012);
  assert.equal(await until("connection", ({ state, retryMs }) => state === "lost" && retryMs), 250);
  server.stop();
  await until("connection", () => follower.stats.connectFailures >= 2);
  const again = await RudeServer.start(t, port);
  await Promise.all([again.accept(), until("connection", ({ state }) => state === "live")]);
});

test("waits double up to their limit, and are jittered", async (t) => {
  const server = await RudeServer.start(t);
  const { until } = client(t, server, { transport: "socket", backoffMs: { first: 10, max: 80 } });
  const peer = await server.accept();
  server.onUpgrade((_request, socket) => socket.destroy());
  peer.socket.close(1012);
  for (const whole of [10, 20, 40, 80, 80]) {
    const wait = await until("connection", ({ state, retryMs }) => state === "lost" && retryMs);
    assert.ok(wait >= whole / 2 && wait <= whole, `${wait} of ${whole} ms`);
  }
});

test("a new epoch voids what the old one said", async (t) => {
  const server = await RudeServer.start(t);
  const { client: follower, until, seq } = client(t, server);
  follower.subscribe(QUOTE, ["A", "B"]);
  const peer = await server.accept();
  await peer.grant("quote", ["A", "B"]);
  peer.say(snapshot("A", "e1", 10, "1.00"), snapshot("B", "e1", 20, "2.00"));
  await seq("B", 20);
  peer.say(snapshot("A", "e2", 1, "3.00"), update("B", 21, 20, "2.10"));
  assert.equal(await until("epoch", (epoch) => epoch), "e2");
  await seq("A", 1);
  assert.deepEqual([bid(follower, "A"), bid(follower, "B")], ["3.00", null]);
  peer.say(snapshot("B", "e2", 1, "4.00"));
  await seq("B", 1);
  assert.deepEqual([bid(follower, "A"), bid(follower, "B")], ["3.00", "4.00"]);
  assert.deepEqual([follower.stats.ignored, follower.stats.gaps], [1, 0]);
});

test("trades are counted, and a gap that the server tells is no fault", async (t) => {
  const server = await RudeServer.start(t);
  const { client: follower, until } = client(t, server);
  follower.subscribe({ channel: "trade" }, ["AAPL"]);
  const peer = await server.accept();
  await peer.grant("trade", ["AAPL"]);
  const trade = { channel: "trade", symbol: "AAPL", ts_event: 1, price: "1.00", size: "3", side: "sell", id: "18446744073709551615" };
  peer.say({ ...trade, type: "snapshot", epoch: "e1", seq: 5 });
  peer.say({ channel: "trade", type: "gap", symbol: "AAPL", from: 6, to: 8, seq: 8, prev_seq: 5, ts_event: 1 });
  peer.say({ ...trade, type: "update", seq: 9, prev_seq: 8, side: "buy" });
  assert.equal(await until("gap", (_topic, lost) => lost), 3);
  assert.deepEqual(await until("trade", (topic) => topic.values), { price: "1.00", size: "3", side: "buy", id: "18446744073709551615" });
  assert.deepEqual([follower.stats.lost, follower.stats.gaps], [3, 0]);
});

test("a slow client is caught up, and no change is missing in the count", async (t) => {
  const server = await RudeServer.start(t);
  const { client: follower, until, seq } = client(t, server);
  follower.subscribe(QUOTE, ["A"]);
  const peer = await server.accept();
  await peer.grant("quote", ["A"]);
  peer.say({ channel: "heartbeat", ts: 1, lag_us: 900, laggard: true });
  assert.equal(await until("heartbeat", ({ lag_us, laggard }) => laggard && lag_us), 900);
  peer.say(snapshot("A", "e1", 10, "1.00"), update("A", 14, 10, "1.10", { n: 4 }), snapshot("A", "e1", 40, "1.20", { prev_seq: 14, n: 26 }), update("A", 41, 40, "1.30"));
  await seq("A", 41);
  peer.say(snapshot("A", "e1", 50, "1.40", { prev_seq: 42, n: 8 }));
  assert.deepEqual(await until("diverged", (_topic, divergence) => divergence), { kind: "gap", expected: 41, found: 42 });
  const { snapshots, updates, merged, merges, gaps } = follower.stats;
  assert.deepEqual([snapshots, updates, merged, merges, gaps], [2, 2, 31, 2, 1]);
});

test("what is held goes on after a reconnection, and what is of another epoch is void", async (t) => {
  const server = await RudeServer.start(t);
  const { client: follower, until, seq } = client(t, server);
  follower.subscribe(QUOTE, ["A", "B", "C"]);
  let peer = await server.accept();
  await peer.grant("quote", ["A", "B", "C"]);
  peer.say(snapshot("A", "e1", 10, "1.00"), snapshot("B", "e1", 20, "2.00"));
  await seq("B", 20);
  peer.socket.close(4007);

  peer = await server.accept();
  assert.deepEqual((await peer.grant("quote", ["A", "B", "C"])).params.resume, { epoch: "e1", seq: { A: 10, B: 20 } });
  await until("subscribed");
  assert.deepEqual([bid(follower, "A"), follower.topics()], ["1.00", { followed: 3, known: 2 }]);
  peer.say(update("A", 12, 10, "1.20"), snapshot("B", "e1", 29, "2.90"));
  await seq("B", 29);
  peer.socket.close(4007);

  peer = await server.accept();
  assert.deepEqual((await peer.grant("quote", ["A"], { epoch: "e2" })).params.resume, { epoch: "e1", seq: { A: 12, B: 29 } });
  assert.equal(await until("epoch", (epoch) => epoch), "e2");
  peer.say(snapshot("A", "e2", 1, "9.00"));
  await seq("A", 1);
  assert.deepEqual([bid(follower, "A"), bid(follower, "B")], ["9.00", null]);
});

test("what was left is not followed, and what is followed at another rate is asked for again", async (t) => {
  const server = await RudeServer.start(t);
  const { client: follower, until, seq } = client(t, server);
  follower.subscribe(QUOTE, ["A", "B"]);
  const peer = await server.accept();
  await peer.grant("quote", ["A", "B"]);
  await until("subscribed");
  follower.unsubscribe(QUOTE, ["A"]);
  const { method, params, req_id } = await peer.request();
  assert.deepEqual([method, params], ["unsubscribe", { channel: "quote", symbols: ["A"] }]);
  peer.say(snapshot("A", "e1", 10, "1.00"), snapshot("B", "e1", 20, "2.00"));
  peer.say({ method, success: true, req_id, result: { channel: "quote", removed: ["A"], rejected: [] } });
  await seq("B", 20);
  assert.deepEqual([bid(follower, "A"), follower.topics()], [null, { followed: 1, known: 1 }]);
  follower.subscribe(QUOTE, [], "1s");
  assert.deepEqual((await peer.grant("quote", ["B"])).params, { channel: "quote", symbols: ["B"], max_frequency: "1s" });
});

test("a topic that the server does not give anew costs the connection", async (t) => {
  const server = await RudeServer.start(t);
  const { client: follower, until } = client(t, server);
  follower.subscribe(QUOTE, ["A"]);
  const peer = await server.accept();
  await peer.grant("quote", ["A"]);
  peer.say(snapshot("A", "e1", 1, "1.00"), update("A", 3, 2, "1.10"));
  const { req_id } = await peer.request();
  peer.say({ method: "resync", success: false, req_id, error: { code: "BUSY", message: "m", retryable: true } });
  assert.match(await until("connection", ({ state, reason }) => state === "lost" && reason), /anew/);
  assert.equal((await (await server.accept()).request()).params.resume.seq.A, 1);
});

test("records that were missed are asked for, and those on their way meanwhile are left aside", async (t) => {
  const server = await RudeServer.start(t);
  const { client: follower, until, seq } = client(t, server, { encoding: "binary" });
  follower.subscribe(QUOTE, ["A"]);
  const peer = await server.accept();
  assert.equal(peer.offered, "tickwire.v1.bin");
  await peer.grant("quote", ["A"]);
  // tests/vectors/quote.json, for topic 0 in the place of 12: 918240, then 918242 without 918241, which is asked for.
  const [whole, first, second] = ["02e0853880e9d9d2c18da206046b3366391fbca7021ebea70232", "00f1a104b1", "00f200f1"];
  peer.records(whole + second);
  assert.deepEqual(await until("diverged", (_topic, divergence) => divergence), { kind: "gap", expected: 918240, found: null });
  peer.records(first);
  assert.equal((await peer.grant("quote", ["A"])).params.seq, 918240);
  peer.records(first + second);
  await seq("A", 918242);
  assert.deepEqual(follower.get(QUOTE, "A"), { bid: "189.09", bid_size: "300", ask: "189.11", ask_size: "500" });
  assert.deepEqual([follower.stats.gaps, follower.stats.reconnects], [1, 0]);
});

test("a token is presented beside the protocol, renewed before its end, and got anew when it was refused", async (t) => {
  const server = await RudeServer.start(t);
  let tokens = 0;
  const { client: follower, until } = client(t, server, { token: async () => `t${(tokens += 1)}` });
  let peer = await server.accept();
  assert.equal(peer.offered, "tickwire.v1.json,tickwire.token.t1");
  peer.say({ channel: "system", type: "token_expiring", expires: 1 });
  const { method, params, req_id } = await peer.request();
  assert.deepEqual([method, params], ["auth", { token: "t2" }]);
  peer.say({ method, success: true, req_id, result: { expires: 2 } });
  peer.socket.close(4004, "token expired");
  await until("connection", ({ state }) => state === "lost");
  [peer] = await Promise.all([server.accept(), until("connection", ({ state }) => state === "live")]);
  assert.equal(peer.offered, "tickwire.v1.json,tickwire.token.t3");
  const pong = follower.ping();
  const ping = await peer.request();
  peer.say({ method: "ping", success: true, req_id: ping.req_id, result: { ts: 5 } });
  assert.equal((await pong).server, 5);
  const cut = follower.ping();
  peer.socket.terminate();
  await assert.rejects(cut, /broke/);
});

test("a listener's error is told, and costs no state", async (t) => {
  const server = await RudeServer.start(t);
  const { client: follower, seq } = client(t, server);
  const thrown = new Promise((resolve) => process.setUncaughtExceptionCaptureCallback(resolve));
  t.after(() => process.setUncaughtExceptionCaptureCallback(null));
  follower.on("state", (topic) => {
    if (topic.seq === 1) throw new Error("of the listener");
  });
  follower.subscribe(QUOTE, ["A"]);
  const peer = await server.accept();
  await peer.grant("quote", ["A"]);
  peer.say(snapshot("A", "e1", 1, "1.00"), update("A", 2, 1, "1.10"));
  await seq("A", 2);
  assert.match(String(await thrown), /of the listener/);
  assert.equal(follower.stats.gaps, 0);
});
