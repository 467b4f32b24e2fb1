-- Who was removed from a chat and may not join it by its uri, and whom others may add to a chat unasked.
CREATE TABLE "ChatRemoval" (
    "id" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    "chatSessionId" INTEGER NOT NULL,
    "userId" INTEGER NOT NULL,
    "createdAt" DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')),
    CONSTRAINT "ChatRemoval_chatSessionId_fkey" FOREIGN KEY ("chatSessionId") REFERENCES "ChatSession" ("id") ON DELETE CASCADE ON UPDATE CASCADE,
    CONSTRAINT "ChatRemoval_userId_fkey" FOREIGN KEY ("userId") REFERENCES "User" ("id") ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE UNIQUE INDEX "ChatRemoval_chatSessionId_userId_key" ON "ChatRemoval"("chatSessionId", "userId");
CREATE INDEX "ChatRemoval_userId_idx" ON "ChatRemoval"("userId");

ALTER TABLE "User" ADD COLUMN "addableBy" TEXT NOT NULL DEFAULT 'EVERYBODY' CHECK ("addableBy" IN ('EVERYBODY', 'CONTACTS'));
