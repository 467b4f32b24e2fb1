ALTER TABLE "Change" ADD COLUMN "scope" TEXT COLLATE "C", ADD COLUMN "otherScope" TEXT COLLATE "C";

UPDATE "Change" SET
    "scope" = CASE
        WHEN "model" = 'Beginning' THEN NULL
        WHEN "model" = 'Post' THEN 'posts'
        WHEN "model" = 'ChatSession' THEN 'chat:' || "rowId"
        WHEN "model" = 'User' THEN 'user:' || "rowId"
        WHEN "model" IN ('ChatMember', 'ChatMessage') THEN 'chat:' || (coalesce("after", "before")::json ->> 'chatSessionId')
        WHEN "model" IN ('Session', 'AuthToken') THEN 'user:' || ("before"::json ->> 'userId')
        ELSE coalesce('owner:' || (coalesce("after", "before")::json ->> 'ownerId'), 'everybody')
    END,
    "otherScope" = CASE
        WHEN "model" = 'ChatSession' THEN 'user:' || (coalesce("after", "before")::json ->> 'ownerId')
        WHEN "model" = 'ChatMember' THEN 'user:' || (coalesce("after", "before")::json ->> 'userId')
        WHEN "action" <> 'UPDATE' THEN NULL
        WHEN "model" = 'ChatMessage' AND "before"::json ->> 'chatSessionId' <> "after"::json ->> 'chatSessionId'
            THEN 'chat:' || ("before"::json ->> 'chatSessionId')
        WHEN "model" IN ('TodoList', 'Todo', 'Note') AND "before"::json ->> 'ownerId' IS DISTINCT FROM "after"::json ->> 'ownerId'
            THEN coalesce('owner:' || ("before"::json ->> 'ownerId'), 'everybody')
    END;

CREATE INDEX "Change_scope_model_seq_idx" ON "Change"("scope", "model", "seq");
CREATE INDEX "Change_otherScope_model_seq_idx" ON "Change"("otherScope", "model", "seq") WHERE "otherScope" IS NOT NULL;
-- An expression, so that no query by scope is planned over this index: before the table is analysed, PostgreSQL takes both for equally good.
CREATE INDEX "Change_model_seq_idx" ON "Change"(("model" || ''), "seq");
