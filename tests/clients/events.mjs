// Follows books of three symbols by server-sent events, is cut off again and again, and proves what it holds:
// node events.mjs URL UPDATES CUTS [BEARER]. Cuts are at any byte; the last event's id brings back what was missed.
const [url, updates, cuts, bearer] = process.argv.slice(2);
const books = new Map();
const seen = { updates: 0, snapshots: 0, checksums: 0, resumed: 0, heartbeats: 0 };
let id, retry;

const mantissa = (decimal) => BigInt(decimal.replace(".", ""));
const text = (digits) => (digits === 0n ? "" : String(digits < 0n ? -digits : digits));
const ordered = (side) => [...side].sort(([one], [other]) => (one < other ? -1 : 1));

function checksum({ bids, asks }) {
  const levels = [...ordered(asks).slice(0, 10), ...ordered(bids).reverse().slice(0, 10)];
  let crc = ~0;
  for (const byte of Buffer.from(levels.map(([price, size]) => text(price) + text(size)).join(""))) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

function take(message) {
  if (message.channel === "heartbeat") seen.heartbeats++;
  if (message.channel !== "book") return;
  let book = books.get(message.symbol);
  if (message.type === "snapshot") {
    seen.snapshots++;
    books.set(message.symbol, (book = { bids: new Map(), asks: new Map() }));
  } else {
    if (message.prev_seq !== book?.seq) throw new Error(`${message.symbol}: ${message.prev_seq} does not follow ${book?.seq}`);
    seen.updates++;
  }
  book.seq = message.seq;
  for (const name of ["bids", "asks"]) {
    for (const [price, size] of (message[name] ?? []).map((level) => level.map(mantissa))) {
      if (size === 0n) book[name].delete(price);
      else book[name].set(price, size);
    }
  }
  if ("checksum" in message) {
    if (checksum(book) !== message.checksum) throw new Error(`${message.symbol}: checksum of ${message.seq}`);
    seen.checksums++;
  }
}

function event(lines) {
  for (const line of lines.split("\n")) {
    if (line.startsWith("data: ")) JSON.parse(line.slice(6)).forEach(take);
    if (line.startsWith("id: ")) id = line.slice(4);
    if (line.startsWith("retry: ")) retry = Number(line.slice(7));
  }
}

async function follow(until) {
  const stop = new AbortController();
  const headers = {};
  if (bearer) headers.authorization = `Bearer ${bearer}`;
  if (id !== undefined) headers["last-event-id"] = id;
  const answer = await fetch(url, { headers, signal: stop.signal });
  if (answer.status !== 200) throw new Error(`${answer.status}: ${await answer.text()}`);
  const before = seen.snapshots;
  let rest = "";
  for await (const bytes of answer.body.pipeThrough(new TextDecoderStream())) {
    rest += bytes;
    const events = rest.split("\n\n");
    rest = events.pop();
    events.forEach(event);
    if (seen.updates >= until) break;
  }
  stop.abort();
  if (id !== undefined && seen.snapshots === before) seen.resumed++;
}

for (let cut = 1; cut <= Number(cuts) + 1; cut++) await follow((Number(updates) * cut) / (Number(cuts) + 1));
console.log(JSON.stringify({ ...seen, retry, seqs: Object.fromEntries([...books].map(([symbol, book]) => [symbol, book.seq])) }));
