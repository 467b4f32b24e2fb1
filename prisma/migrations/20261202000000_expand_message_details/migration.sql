-- Titles of chats; replies, edits, deletions, reactions and mentions of messages.
ALTER TABLE "ChatSession" ADD COLUMN "title" TEXT;

ALTER TABLE "ChatMessage" ADD COLUMN "replyToId" INTEGER REFERENCES "ChatMessage" ("id") ON DELETE SET NULL ON UPDATE CASCADE;
ALTER TABLE "ChatMessage" ADD COLUMN "editedAt" DATETIME;
ALTER TABLE "ChatMessage" ADD COLUMN "deletedAt" DATETIME;
CREATE INDEX "ChatMessage_replyToId_idx" ON "ChatMessage"("replyToId");

CREATE TABLE "ChatReaction" (
    "id" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    "messageId" INTEGER NOT NULL,
    "chatSessionId" INTEGER NOT NULL,
    "userId" INTEGER NOT NULL,
    "emoji" TEXT NOT NULL,
    "createdAt" DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')),
    CONSTRAINT "ChatReaction_messageId_fkey" FOREIGN KEY ("messageId") REFERENCES "ChatMessage" ("id") ON DELETE CASCADE ON UPDATE CASCADE,
    CONSTRAINT "ChatReaction_userId_fkey" FOREIGN KEY ("userId") REFERENCES "User" ("id") ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE UNIQUE INDEX "ChatReaction_messageId_emoji_userId_key" ON "ChatReaction"("messageId", "emoji", "userId");
CREATE INDEX "ChatReaction_userId_idx" ON "ChatReaction"("userId");

CREATE TABLE "ChatMention" (
    "id" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    "messageId" INTEGER NOT NULL,
    "chatSessionId" INTEGER NOT NULL,
    "userId" INTEGER NOT NULL,
    "createdAt" DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')),
    CONSTRAINT "ChatMention_messageId_fkey" FOREIGN KEY ("messageId") REFERENCES "ChatMessage" ("id") ON DELETE CASCADE ON UPDATE CASCADE,
    CONSTRAINT "ChatMention_userId_fkey" FOREIGN KEY ("userId") REFERENCES "User" ("id") ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE UNIQUE INDEX "ChatMention_messageId_userId_key" ON "ChatMention"("messageId", "userId");
CREATE INDEX "ChatMention_userId_messageId_idx" ON "ChatMention"("userId", "messageId");
