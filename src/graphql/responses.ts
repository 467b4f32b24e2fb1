import type { FastifyReply } from 'fastify';

/** Sends a response of Yoga. */
export async function sendResponse(response: Response, reply: FastifyReply): Promise<void> {
  reply.status(response.status);
  for (const [name, value] of response.headers) {
    // The HTTP server sets the headers of the connection itself.
    if (!/^(connection|transfer-encoding)$/i.test(name)) {
      reply.header(name, value);
    }
  }
  reply.send(response.body ? await response.text() : '');
}
