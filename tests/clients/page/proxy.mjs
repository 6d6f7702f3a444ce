// The proxy of a company, through which a browser has pages and events, but no WebSocket.
import { once } from "node:events";
import { createServer, request as ask } from "node:http";

/** What a browser is told to use it, and how often it was asked for a socket. */
export async function withoutSockets() {
  let refused = 0;
  const proxy = createServer((request, response) => {
    const asked = ask(request.url, { method: request.method, headers: request.headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.on("data", (bytes) => response.write(bytes));
      answer.on("end", () => response.end());
      answer.on("close", () => answer.complete || response.destroy());
    });
    asked.on("error", () => (response.headersSent ? response.destroy() : response.writeHead(502).end("there is nobody")));
    response.on("close", () => asked.destroy());
    request.pipe(asked);
  });
  // A WebSocket goes through a tunnel, also without TLS.
  for (const tunnel of ["connect", "upgrade"]) {
    proxy.on(tunnel, (_request, socket) => {
      refused += 1;
      socket.on("error", () => {});
      socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    });
  }
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  return {
    flags: [`--proxy-server=http://127.0.0.1:${proxy.address().port}`, "--proxy-bypass-list=<-loopback>"],
    refused: () => refused,
    close() {
      proxy.closeAllConnections();
      proxy.close();
    },
  };
}
