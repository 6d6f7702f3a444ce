// Against the real program: TICKWIRE names it, or the release build of this checkout is taken.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { checksum } from "../dist/index.js";
import { client, within } from "./rude.mjs";

const program = process.env.TICKWIRE ?? fileURLToPath(new URL("../../../target/release/tickwire", import.meta.url));
const skip = existsSync(program) ? false : `${program} is missing: \`cargo build --release\` makes it`;
if (skip && process.env.CLIENTS_REQUIRED) throw new Error(skip);
const CHANNELS = [{ channel: "quote" }, { channel: "trade" }, { channel: "book", depth: 25 }, { channel: "ticker" }, { channel: "bar", interval: "1s" }, { channel: "status" }];

async function serve(t, flags, listen = "127.0.0.1:0") {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("TICKWIRE")));
  const child = spawn(program, ["serve", "--listen", listen, "--drain", "0s", ...flags], { env, stdio: ["ignore", "pipe", "ignore"] });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  t.after(() => child.kill("SIGKILL"));
  for await (const line of createInterface(child.stdout)) {
    const port = Number(line.match(/^listening on http:\/\/127\.0\.0\.1:(\d+)/)?.[1]);
    if (port) return { port, stop: async () => (child.kill("SIGKILL"), ended) };
  }
  throw new Error("it does not listen");
}

for (const encoding of ["json", "binary"]) {
  test(`a market is followed in ${encoding}, and proven`, { skip }, async (t) => {
    const server = await serve(t, ["--sim-mode", "market", "--sim-instruments", "20", "--sim-rate", "100"]);
    const { client: follower, until } = client(t, server, { encoding });
    for (const channel of CHANNELS) follower.subscribe(channel, ["*"]);
    await until("state", () => follower.stats.checksumsOk >= 200 && follower.stats.updates > 2_000);
    const { gaps, checksumsFailed, reconnects, ignored } = follower.stats;
    assert.deepEqual({ gaps, checksumsFailed, reconnects, ignored }, { gaps: 0, checksumsFailed: 0, reconnects: 0, ignored: 0 });
    assert.deepEqual(follower.topics(), { followed: 120, known: 120 });
    const [{ symbol }] = (await follower.request("list")).subscriptions;
    const { bids, asks } = follower.get(CHANNELS[2], symbol);
    assert.ok(bids.length > 0 && asks.length > 0 && checksum(bids, asks) > 0);
    const { roundTrip, server: clock } = await follower.ping();
    assert.ok(roundTrip > 0 && Math.abs(clock / 1000 - Date.now()) < 60_000);
  });
}

test("both encodings tell the same states", { skip }, async (t) => {
  const recording = fileURLToPath(new URL("../../../feeds/recordings/kraken-20210417.jsonl.zst", import.meta.url));
  const server = await serve(t, ["--feed", `replay:${recording}`, "--speed", "max", "--wait-clients", "2"]);
  const followers = ["json", "binary"].map((encoding) => client(t, server, { encoding }));
  const states = await Promise.all(followers.map(async ({ client: follower, until }) => {
    for (const channel of CHANNELS) follower.subscribe(channel, ["*"]);
    const ended = new Set();
    await until("state", (topic) => topic.channel === "status" && topic.values.state === "ended" && ended.add(topic.symbol).size > 0);
    const symbols = (await follower.request("list")).subscriptions.filter(({ channel }) => channel === "status").map(({ symbol }) => symbol);
    await within((async () => {
      while (symbols.some((symbol) => follower.get({ channel: "status" }, symbol)?.state !== "ended")) await until("state");
    })(), "the end");
    await follower.request("list");
    const told = {};
    for (const channel of CHANNELS) {
      for (const symbol of symbols) {
        const { values, seq, epoch } = follower.topic(channel, symbol);
        told[`${channel.channel} ${symbol}`] = { seq, epoch, values: channel.channel === "book" ? { bids: values.bids, asks: values.asks } : values };
      }
    }
    return told;
  }));
  assert.deepEqual(states[0], states[1]);
  assert.ok(Object.keys(states[0]).length >= 6);
});

test("a server that is killed and comes back has the client back, in the new epoch", { skip }, async (t) => {
  const flags = ["--sim-mode", "quotes", "--sim-instruments", "3", "--sim-rate", "50"];
  const server = await serve(t, flags);
  const { client: follower, until } = client(t, server, { encoding: "binary", transport: "socket" });
  follower.subscribe({ channel: "quote" }, ["*"]);
  await until("state", (topic) => topic.seq > 5);
  await server.stop();
  await until("connection", ({ state }) => state === "lost");
  await serve(t, flags, `127.0.0.1:${server.port}`);
  await until("epoch");
  await until("state", (_topic, message) => message.type === "update");
  assert.deepEqual(follower.topics(), { followed: 3, known: 3 });
  assert.equal(follower.stats.gaps, 0);
});
