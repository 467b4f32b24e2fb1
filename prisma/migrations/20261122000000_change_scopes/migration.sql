-- A row of the log that is no JSON cannot be given a scope: everybody starts over.
UPDATE "ChangeEpoch" SET "epoch" = lower(hex(randomblob(8)))
WHERE EXISTS (SELECT 1 FROM "Change" WHERE NOT json_valid(coalesce("after", "before", '{}')));

-- Triggers that name a table are checked when it is renamed. The server makes them anew in the transaction of this migration.
DROP TRIGGER IF EXISTS "tidings_log_TodoList_insert";
DROP TRIGGER IF EXISTS "tidings_log_TodoList_update";
DROP TRIGGER IF EXISTS "tidings_log_TodoList_rekey";
DROP TRIGGER IF EXISTS "tidings_log_TodoList_delete";
DROP TRIGGER IF EXISTS "tidings_log_Todo_insert";
DROP TRIGGER IF EXISTS "tidings_log_Todo_update";
DROP TRIGGER IF EXISTS "tidings_log_Todo_rekey";
DROP TRIGGER IF EXISTS "tidings_log_Todo_delete";
DROP TRIGGER IF EXISTS "tidings_log_Post_insert";
DROP TRIGGER IF EXISTS "tidings_log_Post_update";
DROP TRIGGER IF EXISTS "tidings_log_Post_rekey";
DROP TRIGGER IF EXISTS "tidings_log_Post_delete";
DROP TRIGGER IF EXISTS "tidings_log_ChatSession_insert";
DROP TRIGGER IF EXISTS "tidings_log_ChatSession_update";
DROP TRIGGER IF EXISTS "tidings_log_ChatSession_rekey";
DROP TRIGGER IF EXISTS "tidings_log_ChatSession_delete";
DROP TRIGGER IF EXISTS "tidings_log_ChatMember_insert";
DROP TRIGGER IF EXISTS "tidings_log_ChatMember_update";
DROP TRIGGER IF EXISTS "tidings_log_ChatMember_rekey";
DROP TRIGGER IF EXISTS "tidings_log_ChatMember_delete";
DROP TRIGGER IF EXISTS "tidings_log_ChatMessage_insert";
DROP TRIGGER IF EXISTS "tidings_log_ChatMessage_update";
DROP TRIGGER IF EXISTS "tidings_log_ChatMessage_rekey";
DROP TRIGGER IF EXISTS "tidings_log_ChatMessage_delete";
DROP TRIGGER IF EXISTS "tidings_log_Note_insert";
DROP TRIGGER IF EXISTS "tidings_log_Note_update";
DROP TRIGGER IF EXISTS "tidings_log_Note_rekey";
DROP TRIGGER IF EXISTS "tidings_log_Note_delete";
DROP TRIGGER IF EXISTS "tidings_log_User_update";
DROP TRIGGER IF EXISTS "tidings_log_User_rekey";
DROP TRIGGER IF EXISTS "tidings_log_User_delete";
DROP TRIGGER IF EXISTS "tidings_log_AuthToken_delete";
DROP TRIGGER IF EXISTS "tidings_log_Session_delete";

-- The images come last: what is before them is read without them.
CREATE TABLE "ScopedChange" (
    "seq" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    "model" TEXT NOT NULL,
    "rowId" INTEGER NOT NULL,
    "action" TEXT NOT NULL,
    "at" DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')),
    "scope" TEXT,
    "otherScope" TEXT,
    "before" TEXT,
    "after" TEXT
);

INSERT INTO "ScopedChange" ("seq", "model", "rowId", "action", "at", "scope", "otherScope", "before", "after")
SELECT "seq", "model", "rowId", "action", "at",
    CASE
        WHEN "model" = 'Post' THEN 'posts'
        WHEN "model" = 'ChatSession' THEN 'chat:' || "rowId"
        WHEN "model" = 'User' THEN 'user:' || "rowId"
        WHEN NOT json_valid(coalesce("after", "before", '{}')) THEN 'none'
        WHEN "model" IN ('ChatMember', 'ChatMessage') THEN 'chat:' || json_extract(coalesce("after", "before"), '$.chatSessionId')
        WHEN "model" IN ('Session', 'AuthToken') THEN 'user:' || json_extract("before", '$.userId')
        ELSE coalesce('owner:' || json_extract(coalesce("after", "before"), '$.ownerId'), 'everybody')
    END,
    CASE
        WHEN NOT json_valid(coalesce("after", "before", '{}')) THEN NULL
        WHEN "model" = 'ChatSession' THEN 'user:' || json_extract(coalesce("after", "before"), '$.ownerId')
        WHEN "model" = 'ChatMember' THEN 'user:' || json_extract(coalesce("after", "before"), '$.userId')
        WHEN "action" <> 'UPDATE' OR NOT json_valid("before") THEN NULL
        WHEN "model" = 'ChatMessage' AND json_extract("before", '$.chatSessionId') <> json_extract("after", '$.chatSessionId')
            THEN 'chat:' || json_extract("before", '$.chatSessionId')
        WHEN "model" IN ('TodoList', 'Todo', 'Note') AND json_extract("before", '$.ownerId') IS NOT json_extract("after", '$.ownerId')
            THEN coalesce('owner:' || json_extract("before", '$.ownerId'), 'everybody')
    END,
    "before", "after"
FROM "Change";

DROP TABLE "Change";
ALTER TABLE "ScopedChange" RENAME TO "Change";

-- The primary key is part of each index by itself.
CREATE INDEX "Change_scope_model_seq_idx" ON "Change"("scope", "model");
CREATE INDEX "Change_otherScope_model_seq_idx" ON "Change"("otherScope", "model") WHERE "otherScope" IS NOT NULL;
CREATE INDEX "Change_model_seq_idx" ON "Change"("model");
