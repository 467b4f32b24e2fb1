import type { FastifyReply } from 'fastify';

/** Sends a response of Yoga's as the host's answer. */
export async function sendResponse(response: Response, reply: FastifyReply): Promise<void> {
  reply.status(response.status);
  for (const [name, value] of response.headers) {
    // How the bytes are framed is the host's affair.
    if (!/^(connection|transfer-encoding)$/i.test(name)) {
      reply.header(name, value);
    }
  }
  reply.send(response.body ? await response.text() : '');
}
