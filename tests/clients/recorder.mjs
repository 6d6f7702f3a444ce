// Connects, subscribes to all quotes when it is told to, writes down what it gets, and closes after so many updates:
// node recorder.mjs URL SUBPROTOCOL plain|compressed UPDATES, then a line on its standard input. Each line it prints is
// `text` or `binary` and what came, in base64.
import { createInterface } from "node:readline";
import WebSocket from "ws";

const [url, subprotocol, form, updates] = process.argv.slice(2);
let left = Number(updates);

const socket = new WebSocket(url, subprotocol, { perMessageDeflate: form === "compressed" });
socket.on("open", () => console.log("open"));
socket.on("close", (code) => {
  if (left > 0) throw new Error(`closed with ${code} ${left} updates too early`);
  process.exit(0);
});
socket.on("message", (data, isBinary) => {
  console.log(isBinary ? "binary" : "text", data.toString("base64"));
  // Of binary messages each counts as one.
  left -= isBinary ? 1 : JSON.parse(data).filter((object) => object.type === "update").length;
  if (left <= 0 && socket.readyState === WebSocket.OPEN) socket.close(1000, "seen enough");
});
createInterface({ input: process.stdin }).once("line", () =>
  socket.send(JSON.stringify({ method: "subscribe", params: { channel: "quote", symbols: ["*"] }, req_id: 7 })));
