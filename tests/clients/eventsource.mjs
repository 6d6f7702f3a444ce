// Follows quotes as a browser does, by an EventSource, and prints what it holds when it was connected so often and has seen
// so many updates since: node eventsource.mjs URL UPDATES CONNECTIONS
import { EventSource } from "eventsource";

const [url, updates, connections] = process.argv.slice(2);
const quotes = new Map();
const seen = { updates: 0, connections: 0, snapshots: 0, shutdowns: 0 };
let since = 0;

const source = new EventSource(url);
source.onopen = () => {
  seen.connections++;
  since = 0;
};
source.onerror = (error) => {
  if (source.readyState === EventSource.CLOSED) throw new Error(`given up: ${error.code} ${error.message}`);
};
source.onmessage = ({ data }) => {
  for (const message of JSON.parse(data)) {
    if (message.type === "shutdown") seen.shutdowns++;
    if (message.channel !== "quote") continue;
    const known = message.type === "update" ? quotes.get(message.symbol) : {};
    if (message.type === "snapshot") seen.snapshots++;
    else if (message.prev_seq !== known.seq) throw new Error(`${message.symbol}: missed an update`);
    else [seen.updates, since] = [seen.updates + 1, since + 1];
    quotes.set(message.symbol, { ...known, ...message });
  }
  if (since >= Number(updates) && seen.connections >= Number(connections)) {
    console.log(JSON.stringify({ ...seen, quotes: [...quotes.values()] }));
    source.close();
    process.exit(0);
  }
  if (since === Number(updates)) console.error("enough");
};
