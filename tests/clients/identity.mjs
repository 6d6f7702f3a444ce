// Says how it was let in, and shows the first quote: TOKEN=… node identity.mjs URL header|subprotocol|message|nothing
import WebSocket from "ws";

const [url, how] = process.argv.slice(2);
const token = process.env.TOKEN;
const say = (text) => process.stdout.write(`${text}\n`);
const send = (method, params) => socket.send(JSON.stringify({ method, params, req_id: 1 }));
const subscribe = () => send("subscribe", { channel: "quote", symbols: ["SYM00000"] });

const protocols = how === "subprotocol" ? ["tickwire.v1.json", `tickwire.token.${token}`] : [];
const headers = how === "header" ? { Authorization: `Bearer ${token}` } : {};
const socket = new WebSocket(url, protocols, { headers });
socket.on("unexpected-response", (_, answer) => { say(answer.statusCode); process.exit(0); });
socket.on("open", () => {
  if (socket.protocol) say(socket.protocol);
  if (how === "message") send("auth", { token });
  else subscribe();
});
socket.on("close", (code) => { say(code); process.exit(0); });
socket.on("message", (text) => {
  for (const message of JSON.parse(text)) {
    if (message.error) {
      say(message.error.code);
      if (how === "nothing") process.exit(0);
    } else if (message.method === "auth") {
      subscribe();
    } else if (message.channel === "quote") {
      say(`quote ${message.symbol}`);
      process.exit(0);
    }
  }
});
