// Prints live quotes, and ends after so many updates: node quotes.mjs URL UPDATES SYMBOL…
import WebSocket from "ws";

const [url, updates, ...symbols] = process.argv.slice(2);
const quotes = new Map();
let left = Number(updates);

const socket = new WebSocket(url);
socket.on("open", () =>
  socket.send(JSON.stringify({ method: "subscribe", params: { channel: "quote", symbols }, req_id: 1 })));
socket.on("close", () => { throw new Error(`closed ${left} updates too early`); });
socket.on("message", (text) => {
  for (const message of JSON.parse(text)) {
    const refused = message.error ?? message.result?.rejected[0];
    if (refused) throw new Error(JSON.stringify(refused));
    if (message.channel !== "quote") continue;
    const known = message.type === "update" ? quotes.get(message.symbol) : {};
    if (message.type === "update" && message.prev_seq !== known.seq) throw new Error(`${message.symbol}: missed an update`);
    const quote = { ...known, ...message }; // an update holds what has changed
    quotes.set(quote.symbol, quote);
    console.log(quote.symbol, quote.bid, quote.ask);
    if (message.type === "update" && --left === 0) process.exit(0);
  }
});
