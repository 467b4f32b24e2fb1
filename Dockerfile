# Builds with everything, runs with what serving needs.
FROM node:22-bookworm AS build
WORKDIR /app
COPY package.json package-lock.json ./
COPY drivers drivers
COPY clients/package.json clients/
RUN npm ci --no-audit --no-fund
COPY LICENSE tsconfig.json tsconfig.build.json ./
COPY prisma prisma
COPY scripts scripts
COPY graphiql graphiql
COPY public public
COPY bin bin
COPY src src
RUN npm run build && npm run image-tree -- /image
# The bill of materials of the packages in the image.
RUN cd /image && npm sbom --omit dev --sbom-format cyclonedx > sbom.cdx.json

FROM node:22-bookworm-slim
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Tidings" \
  org.opencontainers.image.description="One server for todos, posts, chat and notes, with live subscriptions that miss nothing" \
  org.opencontainers.image.licenses="MIT" \
  org.opencontainers.image.version="${VERSION}" \
  org.opencontainers.image.revision="${REVISION}"
ENV NODE_ENV=production HOST=0.0.0.0 PORT=8000 DATABASE_URL=file:/data/tidings.db
WORKDIR /app
# Root owns the files, so that the server cannot change its own program. It writes to /data alone.
COPY --from=build /image ./
RUN mkdir /data && chown node:node /data
USER node
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/ready`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
CMD ["bin/tidings"]
