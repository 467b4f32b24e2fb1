-- A session can have several refresh tokens at a time: each of two tabs that refresh at once gets one.
CREATE TABLE "RefreshToken" (
    "hash" TEXT NOT NULL PRIMARY KEY,
    "sessionId" INTEGER NOT NULL,
    "expiresAt" DATETIME NOT NULL,
    "usedAt" DATETIME,
    CONSTRAINT "RefreshToken_sessionId_fkey" FOREIGN KEY ("sessionId") REFERENCES "Session" ("id") ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE INDEX "RefreshToken_sessionId_idx" ON "RefreshToken"("sessionId");

INSERT INTO "RefreshToken" ("hash", "sessionId", "expiresAt") SELECT "refreshHash", "id", "expiresAt" FROM "Session";
ALTER TABLE "Session" DROP COLUMN "refreshHash";
