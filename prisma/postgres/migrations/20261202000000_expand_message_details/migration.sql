-- Up to which message each participant has read a chat; titles of chats; replies, edits, deletions, reactions and mentions of messages.
--
-- All pending migrations are one transaction, which keeps its locks to the end. So the marks, for which all messages are read, come before the first `ALTER TABLE` of
-- the additive migrations: until then users can sign in, and messages can be read and sent.
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

CREATE TABLE "ChatReaction" (
    "id" SERIAL PRIMARY KEY,
    "messageId" INTEGER NOT NULL,
    "chatSessionId" INTEGER NOT NULL,
    "userId" INTEGER NOT NULL,
    "emoji" TEXT COLLATE "C" NOT NULL,
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "ChatReaction_messageId_fkey" FOREIGN KEY ("messageId") REFERENCES "ChatMessage" ("id") ON DELETE CASCADE ON UPDATE CASCADE,
    CONSTRAINT "ChatReaction_userId_fkey" FOREIGN KEY ("userId") REFERENCES "User" ("id") ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE UNIQUE INDEX "ChatReaction_messageId_emoji_userId_key" ON "ChatReaction"("messageId", "emoji", "userId");
CREATE INDEX "ChatReaction_userId_idx" ON "ChatReaction"("userId");

CREATE TABLE "ChatMention" (
    "id" SERIAL PRIMARY KEY,
    "messageId" INTEGER NOT NULL,
    "chatSessionId" INTEGER NOT NULL,
    "userId" INTEGER NOT NULL,
    "createdAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "ChatMention_messageId_fkey" FOREIGN KEY ("messageId") REFERENCES "ChatMessage" ("id") ON DELETE CASCADE ON UPDATE CASCADE,
    CONSTRAINT "ChatMention_userId_fkey" FOREIGN KEY ("userId") REFERENCES "User" ("id") ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE UNIQUE INDEX "ChatMention_messageId_userId_key" ON "ChatMention"("messageId", "userId");
CREATE INDEX "ChatMention_userId_messageId_idx" ON "ChatMention"("userId", "messageId");

ALTER TABLE "ChatSession" ADD COLUMN "title" TEXT COLLATE "C";

-- Deferrable for `npm run move`, whose batches may contain a reply before the message that it replies to.
ALTER TABLE "ChatMessage" ADD COLUMN "replyToId" INTEGER CONSTRAINT "ChatMessage_replyToId_fkey" REFERENCES "ChatMessage" ("id") ON DELETE SET NULL ON UPDATE CASCADE DEFERRABLE;
ALTER TABLE "ChatMessage" ADD COLUMN "editedAt" TIMESTAMPTZ(3);
ALTER TABLE "ChatMessage" ADD COLUMN "deletedAt" TIMESTAMPTZ(3);
CREATE INDEX "ChatMessage_replyToId_idx" ON "ChatMessage"("replyToId");
