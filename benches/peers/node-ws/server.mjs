// Node with `ws`: encoded once, `send` for each follower. (A frame that is prepared once is not in its public interface.)
//   benches/peers/run node-ws --symbols 200 --rate 20 [--port 0] [--compress] [--precise]
import { WebSocketServer } from 'ws';
import { Market, options } from '../quotes.mjs';

const { port, compress, ...stream } = options();
const market = new Market(stream);
const followers = new Map(market.quotes.map((quote) => [quote, new Set()]));

// Its default is to compress nothing below 1 KiB, which is to compress nothing here.
const perMessageDeflate = compress && { threshold: 0 };
const server = new WebSocketServer({ host: '127.0.0.1', port, backlog: 4096, perMessageDeflate });

server.on('connection', (socket) => {
  const followed = new Set();
  socket.on('message', (text) => {
    const { messages, quotes } = market.answer(text);
    for (const message of messages) socket.send(message);
    for (const quote of quotes) {
      followers.get(quote).add(socket);
      followed.add(quote);
    }
  });
  socket.on('close', () => {
    for (const quote of followed) followers.get(quote).delete(socket);
  });
  socket.on('error', (error) => console.error(error.message));
});

const sending = { binary: false, compress };
market.play((quote) => {
  const sockets = followers.get(quote);
  if (sockets.size === 0) return;
  const update = Buffer.from(quote.update());
  for (const socket of sockets) socket.send(update, sending);
});
server.on('listening', () => console.log(`http://127.0.0.1:${server.address().port}`));
