// The least that a broadcast over WebSocket can cost: one text, made once, sent to every socket with the `ws` library. It knows no subscriptions, no
// rights and no log. `POST /?id=<operation id>` with a payload sends it as the result of that operation.
import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';

const http = createServer(async (request, response) => {
  let payload = '';
  for await (const chunk of request) {
    payload += chunk;
  }
  const frame = `{"id":"1","type":"next","payload":${payload}}`;
  for (const client of server.clients) {
    client.send(frame);
  }
  response.end('{"data":{}}');
});
const server = new WebSocketServer({
  server: http,
  perMessageDeflate: false,
  handleProtocols: () => 'graphql-transport-ws',
});
server.on('connection', (socket) => {
  socket.on('message', (data) => {
    const { type, id } = JSON.parse(String(data));
    if (type === 'connection_init') {
      socket.send('{"type":"connection_ack"}');
    } else if (id === '2') {
      socket.send('{"id":"2","type":"complete"}');
    }
  });
});
http.listen(0, '127.0.0.1', () => {
  process.stdout.write(`http://127.0.0.1:${http.address().port}\n`);
});
