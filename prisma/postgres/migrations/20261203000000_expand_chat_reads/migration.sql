-- Which messages were there when a member joined. The read marks are in the migration before, and the column of `User` is in the last one, for the reason there.
CREATE INDEX "ChatMention_userId_chatSessionId_messageId_idx" ON "ChatMention"("userId", "chatSessionId", "messageId");

ALTER TABLE "ChatMember" ADD COLUMN "joinedAfter" INTEGER NOT NULL DEFAULT 0;
