// Server-sent events, where no WebSocket can be opened.
import assert from "node:assert/strict";
import { test } from "node:test";
import { EventStream } from "../dist/transport/event_stream.js";
import { BOOK, client, Queue, QUOTE, RudeServer, snapshot, update } from "./rude.mjs";

/** A server whose proxy lets no upgrade through; its streams come one by one. */
async function streaming(t) {
  const server = await RudeServer.start(t);
  const streams = new Queue();
  server.onUpgrade((_request, socket) => socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
  server.onRequest = (request, response) => {
    if (request.url === "/health/live") return response.end("live");
    const url = new URL(request.url, "http://server");
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    response.flushHeaders();
    const say = (...messages) => response.write(messages.map((message) => `id: e1:${message.seq}\ndata: ${JSON.stringify(message)}\n\n`).join(""));
    streams.put({ path: url.pathname, query: Object.fromEntries(url.searchParams), authorization: request.headers.authorization, response, say });
  };
  return { server, next: () => streams.take("a stream") };
}

test("where no socket opens, messages come as events, are checked and asked for anew", async (t) => {
  const { server, next } = await streaming(t);
  const { client: follower, until, seq } = client(t, server, { token: "secret" });
  follower.subscribe(QUOTE, ["A", "B"], "250ms");
  assert.equal(await until("connection", ({ state, transport }) => state === "live" && transport), "sse");
  let stream = await next();
  assert.deepEqual([stream.path, stream.query, stream.authorization], ["/v1/sse", { channel: "quote", symbols: "A,B", max_frequency: "250ms" }, "Bearer secret"]);
  stream.say(snapshot("A", "e1", 1, "1.00"), update("A", 2, 1, "1.10"), snapshot("C", "e1", 1, "9.00"));
  await seq("A", 2);
  assert.deepEqual([follower.get(QUOTE, "A").bid, follower.get(QUOTE, "C"), follower.stats.ignored], ["1.10", null, 1]);

  stream.say(update("A", 4, 3, "1.20"));
  await until("diverged");
  stream = await next();
  // An array of objects, as on the socket, is understood as well.
  stream.response.write(`data: ${JSON.stringify([snapshot("A", "e1", 4, "1.20"), snapshot("B", "e1", 1, "2.00")])}\r\n\r\n`);
  await seq("B", 1);
  assert.deepEqual([follower.get(QUOTE, "A").bid, follower.topics()], ["1.20", { followed: 2, known: 2 }]);

  follower.subscribe(QUOTE, ["D"]);
  assert.equal((await next()).query.symbols, "A,B,D");
  follower.subscribe({ channel: "book", depth: 25 }, ["A"]);
  const book = await next();
  assert.deepEqual(book.query, { channel: "book", depth: "25", symbols: "A" });
  book.response.end();
  await until("connection", ({ state }) => state === "lost");
  const again = [await next(), await next()].map(({ query }) => query.channel);
  assert.deepEqual(again.sort(), ["book", "quote"]);
});

test("a server without events is asked for a socket again", async (t) => {
  const { server } = await streaming(t);
  server.onRequest = (request, response) => response.writeHead(request.url === "/health/live" ? 200 : 404).end();
  const { client: follower, until } = client(t, server);
  follower.subscribe(QUOTE, ["A"]);
  assert.match(await until("connection", ({ state, reason }) => state === "lost" && reason.includes("404") && reason), /status 404/);
  const attempts = follower.stats.connectFailures;
  await until("connection", () => follower.stats.connectFailures > attempts + 1);
  follower.close();
  const { until: alone } = client(t, server, { transport: "sse" });
  const only = client(t, server, { transport: "sse" });
  only.client.subscribe(QUOTE, ["A"]);
  assert.match(await only.until("connection", ({ state, reason }) => state === "refused" && reason), /404/);
  assert.ok(await alone("connection", ({ state }) => state === "live"), "with nothing to follow, nothing is asked");
});

test("a server that was away is not taken for one that lets no socket through", async (t) => {
  const server = await RudeServer.start(t);
  const { port } = server;
  const { client: follower, until } = client(t, server);
  follower.subscribe(QUOTE, ["A"]);
  await server.accept();
  server.stop();
  await until("connection", () => follower.stats.connectFailures >= 5);
  const again = await RudeServer.start(t, port);
  again.onRequest = (_request, response) => response.writeHead(200).end();
  assert.equal(await until("connection", ({ state, transport }) => state === "live" && transport), "socket");
  await again.accept();
});

test("there are no more streams than a browser has connections for", async (t) => {
  const { server, next } = await streaming(t);
  const { client: follower, until } = client(t, server, { transport: "sse" });
  await until("connection", ({ state }) => state === "live");
  for (const interval of ["1s", "1m", "5m", "1h", "1d"]) follower.subscribe({ channel: "bar", interval }, ["A"]);
  follower.subscribe(QUOTE, ["A"]);
  assert.equal(await until("failed", (_method, { code }) => code), "TOO_MANY_SUBSCRIPTIONS");
  for (let stream = 0; stream < 5; stream += 1) assert.equal((await next()).query.channel, "bar");
});

test("a stream that is refused leaves the others alone", async (t) => {
  const { server, next } = await streaming(t);
  const stream = server.onRequest;
  const refuse = (response, status, code, detail) => response.writeHead(status, { "Content-Type": "application/problem+json" }).end(JSON.stringify({ code, detail, status, retryable: false }));
  server.onRequest = (request, response) => (request.url.includes("symbols=GONE") ? refuse(response, 404, "UNKNOWN_SYMBOL", "there is no GONE") : stream(request, response));
  const { client: follower, until, seq } = client(t, server, { transport: "sse" });
  follower.subscribe(QUOTE, ["A"]);
  const quotes = await next();
  follower.subscribe(BOOK, ["GONE"]);
  assert.deepEqual(await until("failed", (method, failure) => [method, failure]), ["subscribe", { code: "UNKNOWN_SYMBOL", message: "there is no GONE", retryable: false }]);
  quotes.say(snapshot("A", "e1", 1, "1.00"));
  await seq("A", 1);
  assert.equal(follower.connection.state, "live");
  follower.unsubscribe(BOOK, ["GONE"]);
  follower.subscribe(BOOK, ["A"]);
  assert.deepEqual((await next()).query, { channel: "book", depth: "10", symbols: "A" });

  // Who may not come in at all is told so once.
  server.onRequest = (_request, response) => refuse(response, 401, "AUTH_REQUIRED", "say who you are");
  const stranger = client(t, server, { transport: "sse" });
  stranger.client.subscribe(QUOTE, ["A"]);
  assert.equal(await stranger.until("failed", (_method, { code }) => code), "AUTH_REQUIRED");
  assert.deepEqual(await stranger.until("connection", (state) => state.state === "refused" && state), { state: "refused", reason: "say who you are", code: 4002 });
});

test("the last event says whether to come back", async (t) => {
  const { server, next } = await streaming(t);
  const { client: follower, until } = client(t, server, { transport: "sse" });
  follower.subscribe(QUOTE, ["A"]);
  const { response } = await next();
  response.end('data: [{"channel":"system","type":"closing","code":4009,"reason":"entitlement revoked"}]\n\n');
  assert.deepEqual(await until("connection", (state) => state.state === "refused" && state), { state: "refused", reason: "entitlement revoked", code: 4009 });
});

test("a server that is full is not asked before it said", async (t) => {
  const server = await RudeServer.start(t);
  server.onRequest = (_request, response) => response.writeHead(503, { "Retry-After": "3" }).end();
  const { client: follower, until } = client(t, server, { transport: "sse", backoffMs: { first: 2, max: 5_000 } });
  follower.subscribe(QUOTE, ["A"]);
  assert.equal(await until("connection", ({ state, retryMs }) => state === "lost" && retryMs), 3_000);
});

test("whoever has found events goes back to them after one more try of a socket", async (t) => {
  const { server, next } = await streaming(t);
  const { client: follower, until } = client(t, server);
  follower.subscribe(QUOTE, ["A"]);
  const { response } = await next();
  const { connectFailures } = follower.stats;
  response.destroy();
  await until("connection", ({ state }) => state === "lost");
  await next();
  await until("connection", ({ state, transport }) => state === "live" && transport === "sse");
  assert.equal(follower.stats.connectFailures, connectFailures + 1);
});

test("what has found no stream gets one that is given up", async (t) => {
  const { server, next } = await streaming(t);
  const { client: follower, until } = client(t, server, { transport: "sse" });
  for (const interval of ["1s", "1m", "5m", "1h", "1d"]) follower.subscribe({ channel: "bar", interval }, ["A"]);
  follower.subscribe(QUOTE, ["A"]);
  await until("failed");
  for (let stream = 0; stream < 5; stream += 1) await next();
  follower.unsubscribe({ channel: "bar", interval: "5m" }, ["A"]);
  assert.deepEqual((await next()).query, { channel: "quote", symbols: "A" });
});

test("a stream is cut into events however it comes", () => {
  const text = ": heartbeat\n\nid: e1:7\ndata: one\ndata:two\n\nretry: 250\r\nevent: x\r\ndata\r\n\r\n\n\ndata: äöü\n\ndata: unfinished\n";
  const whole = [...new EventStream().take(text)];
  assert.deepEqual(whole, [{ data: "one\ntwo", id: "e1:7" }, { data: "", id: "e1:7" }, { data: "äöü", id: "e1:7" }]);
  const stream = new EventStream();
  assert.deepEqual([...text].flatMap((crumb) => [...stream.take(crumb)]), whole);
  assert.deepEqual([stream.lastId, stream.retry], ["e1:7", 250]);
  assert.throws(() => [...new EventStream().take(`data: ${"x".repeat(16 * 1024 * 1024)}`)], RangeError);
});
