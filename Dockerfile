# Builds with everything, runs with what serving needs.
FROM node:22-bookworm AS build
WORKDIR /app
COPY package.json package-lock.json ./
COPY drivers drivers
RUN npm ci --no-audit --no-fund
COPY prisma prisma
COPY scripts scripts
COPY graphiql graphiql
COPY tsconfig.json tsconfig.build.json ./
COPY src src
RUN npm run build && npm prune --omit=dev

FROM node:22-bookworm-slim
ENV NODE_ENV=production HOST=0.0.0.0 PORT=8000 DATABASE_URL=file:/data/tidings.db
WORKDIR /app
COPY --from=build --chown=node:node /app/package.json ./
COPY --from=build --chown=node:node /app/drivers drivers
COPY --from=build --chown=node:node /app/node_modules node_modules
COPY --from=build --chown=node:node /app/dist dist
COPY --from=build --chown=node:node /app/prisma prisma
COPY --chown=node:node public public
RUN mkdir /data && chown node:node /data
USER node
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:8000/ready').then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
# With the flags of `npm start`: V8 by itself lets garbage grow to some hundred megabytes before it looks for it.
CMD ["node", "--max-semi-space-size=8", "--heap-growing-percent=50", "dist/main.js"]
