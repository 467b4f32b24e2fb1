-- Up to which message each participant has read a chat, which messages were there when a member joined, and who hides whether they are online.
CREATE TABLE "ChatReadMark" (
    "id" SERIAL PRIMARY KEY,
    "chatSessionId" INTEGER NOT NULL,
    "userId" INTEGER NOT NULL,
    "messageId" INTEGER NOT NULL,
    "updatedAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "ChatReadMark_chatSessionId_fkey" FOREIGN KEY ("chatSessionId") REFERENCES "ChatSession" ("id") ON DELETE CASCADE ON UPDATE CASCADE,
    CONSTRAINT "ChatReadMark_userId_fkey" FOREIGN KEY ("userId") REFERENCES "User" ("id") ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE UNIQUE INDEX "ChatReadMark_chatSessionId_userId_key" ON "ChatReadMark"("chatSessionId", "userId");
CREATE INDEX "ChatReadMark_userId_idx" ON "ChatReadMark"("userId");
CREATE INDEX "ChatMention_userId_chatSessionId_messageId_idx" ON "ChatMention"("userId", "chatSessionId", "messageId");

ALTER TABLE "ChatMember" ADD COLUMN "joinedAfter" INTEGER NOT NULL DEFAULT 0;
ALTER TABLE "User" ADD COLUMN "presence" TEXT COLLATE "C" NOT NULL DEFAULT 'VISIBLE' CHECK ("presence" IN ('VISIBLE', 'INVISIBLE'));

-- Messages that were sent before read marks existed count as read.
INSERT INTO "ChatReadMark" ("chatSessionId", "userId", "messageId")
SELECT "participant"."chatSessionId", "participant"."userId", "newest"."id"
FROM (
    SELECT "id" AS "chatSessionId", "ownerId" AS "userId" FROM "ChatSession"
    UNION
    SELECT "chatSessionId", "userId" FROM "ChatMember"
) AS "participant"
JOIN (SELECT "chatSessionId", max("id") AS "id" FROM "ChatMessage" GROUP BY "chatSessionId") AS "newest"
    ON "newest"."chatSessionId" = "participant"."chatSessionId";
