CREATE TABLE "IdempotencyKey" (
    "id" TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    "fingerprint" TEXT COLLATE "C" NOT NULL,
    "answer" BYTEA,
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX "IdempotencyKey_createdAt_idx" ON "IdempotencyKey"("createdAt");

CREATE TABLE "Lease" (
    "name" TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    "holder" TEXT COLLATE "C" NOT NULL,
    "expiresAt" TIMESTAMPTZ(3) NOT NULL
);

CREATE TABLE "LogPosition" (
    "name" TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    "cursor" TEXT COLLATE "C" NOT NULL
);

CREATE TABLE "InboundMessage" (
    "id" TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX "InboundMessage_createdAt_idx" ON "InboundMessage"("createdAt");

CREATE TABLE "RateLimit" (
    "key" TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    "count" INTEGER NOT NULL,
    "resetsAt" TIMESTAMPTZ(3) NOT NULL
);
CREATE INDEX "RateLimit_resetsAt_idx" ON "RateLimit"("resetsAt");
