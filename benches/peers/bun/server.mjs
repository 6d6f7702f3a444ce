// Bun's own publish (uWebSockets inside): it frames once, and writes to a socket once a turn of its loop.
//   benches/peers/run bun --symbols 200 --rate 20 [--port 0] [--compress] [--precise]
import { Market, options } from '../quotes.mjs';

const { port, compress, ...stream } = options();
const market = new Market(stream);

const server = Bun.serve({
  hostname: '127.0.0.1',
  port,
  fetch(request, server) {
    if (server.upgrade(request, { headers: { 'Sec-WebSocket-Protocol': 'tickwire.v1.json' } })) return undefined;
    return new Response('a WebSocket is served here\n', { status: 426 });
  },
  websocket: {
    perMessageDeflate: compress,
    // Bun drops what a socket has no room for; a client that was dropped would not know.
    backpressureLimit: 64 << 20,
    closeOnBackpressureLimit: true,
    message(socket, text) {
      const { messages, quotes } = market.answer(text);
      for (const message of messages) socket.send(message);
      for (const { symbol } of quotes) socket.subscribe(symbol);
    },
  },
});

market.play((quote) => {
  if (server.subscriberCount(quote.symbol) > 0) server.publish(quote.symbol, quote.update(), compress);
});
console.log(`http://127.0.0.1:${server.port}`);
