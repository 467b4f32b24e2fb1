-- Who was removed from a chat and may not join it by its uri, and whom others may add to a chat unasked.
CREATE TABLE "ChatRemoval" (
    "id" SERIAL PRIMARY KEY,
    "chatSessionId" INTEGER NOT NULL,
    "userId" INTEGER NOT NULL,
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "ChatRemoval_chatSessionId_fkey" FOREIGN KEY ("chatSessionId") REFERENCES "ChatSession" ("id") ON DELETE CASCADE ON UPDATE CASCADE,
    CONSTRAINT "ChatRemoval_userId_fkey" FOREIGN KEY ("userId") REFERENCES "User" ("id") ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE UNIQUE INDEX "ChatRemoval_chatSessionId_userId_key" ON "ChatRemoval"("chatSessionId", "userId");
CREATE INDEX "ChatRemoval_userId_idx" ON "ChatRemoval"("userId");

ALTER TABLE "User" ADD COLUMN "addableBy" TEXT COLLATE "C" NOT NULL DEFAULT 'EVERYBODY' CHECK ("addableBy" IN ('EVERYBODY', 'CONTACTS'));
