// The page: joins the feed, the table and the panel, and keeps each instrument's newest fields.

import { Feed } from "./feed.js";
import { clock, Panel } from "./panel.js";
import { QuoteTable } from "./table.js";

const part = (id) => document.getElementById(id);
const records = new Map(); // symbol → the newest fields of its quote, ticker and status
let newest = 0; // time of the newest event, microseconds

const table = new QuoteTable(records, show);
const url = new URL("v1/ws", location.href);
url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
url.hash = "";
const feed = new Feed(url, { state, reset, granted, message, void: distrusted, problem: notice });
const panel = new Panel(records, feed, hide);
for (const channel of ["quote", "ticker", "status"]) feed.subscribe({ channel, symbols: ["*"] });

function message(message) {
  const { channel, symbol } = message;
  if (message.ts_event > newest) newest = message.ts_event;
  const record = instrument(symbol);
  if (channel === "quote") {
    assign(record, message, ["bid", "bid_size", "ask", "ask_size"]);
    record.void = false;
  } else if (channel === "ticker") {
    assign(record, message, ["last", "open", "high", "low", "volume", "vwap", "change", "change_percent", "trades"]);
  } else if (channel === "status") {
    assign(record, message, ["state", "reason"]);
  }
  table.changed(symbol);
  panel.message(message);
}

function assign(record, message, fields) {
  for (const field of fields) if (field in message) record[field] = message[field];
}

function instrument(symbol) {
  let record = records.get(symbol);
  if (!record) {
    record = { symbol };
    records.set(symbol, record);
    rearrange();
  }
  return record;
}

let arranging;
/** Many instruments come at once: they are put in order together. */
function rearrange() {
  arranging ??= setTimeout(() => {
    arranging = undefined;
    table.arrange();
    part("empty").hidden = table.order.length > 0;
    part("empty").textContent = records.size > 0 ? `No symbol has “${table.filter}” in it.` : "Waiting for the first quotes …";
    part("count").textContent = table.filter ? `${table.order.length} of ${records.size}` : records.size;
  });
}

function granted(result) {
  for (const { symbol } of result.granted) instrument(symbol);
}

function distrusted(channel, symbol) {
  if (channel !== "quote") return;
  instrument(symbol).void = true;
  table.changed(symbol);
}

function reset() {
  records.clear();
  newest = 0;
  panel.reset();
  rearrange();
  notice("");
}

function state(state, text) {
  part("connection").dataset.state = state;
  part("connection-text").textContent = text;
  part("reconnect").hidden = state === "connecting" || state === "live";
}

function notice(text) {
  part("notice").textContent = text;
  part("notice").hidden = !text;
}

part("reconnect").addEventListener("click", () => feed.connect());

let counted = 0;
setInterval(() => {
  part("rate").textContent = (feed.updates - counted).toLocaleString("en");
  counted = feed.updates;
  part("gaps").textContent = feed.gaps.toLocaleString("en");
  part("gaps").classList.toggle("some", feed.gaps > 0);
  part("time").textContent = newest ? `${new Date(newest / 1000).toISOString().slice(0, 10)} ${clock(newest).slice(0, 8)}` : "–";
  const ended = records.size > 0 && [...records.values()].every((record) => record.state === "ended");
  if (ended) notice("The recording has ended: what you see is its last state.");
  else if (part("notice").textContent.startsWith("The recording")) notice("");
}, 1000);

// The open instrument is in the address, so that it can be linked to.
function show(symbol) {
  location.hash = encodeURIComponent(symbol);
}

function hide() {
  const symbol = panel.symbol;
  history.replaceState(null, "", location.pathname + location.search);
  follow();
  table.focus(symbol);
}

function follow() {
  const symbol = decodeURIComponent(location.hash.slice(1));
  if (symbol === (panel.symbol ?? "")) return;
  if (symbol) panel.show(symbol);
  else panel.hide();
  table.mark(symbol || undefined);
}
addEventListener("hashchange", follow);
follow();

part("search").addEventListener("input", (event) => {
  table.filter = event.target.value.trim().toUpperCase();
  rearrange();
});
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && panel.symbol) hide();
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.target === part("search")) return;
  event.preventDefault();
  part("search").focus();
});
