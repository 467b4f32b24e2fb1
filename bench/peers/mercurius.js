import Fastify from 'fastify';
import mercurius from 'mercurius';
import { announce } from './announce.js';
import { resolvers, typeDefs } from './schema.js';

const app = Fastify();
app.register(mercurius, { schema: typeDefs, resolvers, jit: 1 });
await app.listen({ port: 0, host: '127.0.0.1' });
announce(app.server.address());
