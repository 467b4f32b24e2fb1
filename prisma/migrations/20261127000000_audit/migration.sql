-- Who did what to whose account. No column references "User": an entry outlives the users that it names.
CREATE TABLE "AuditEntry" (
    "id" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    "at" DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')),
    "actorId" INTEGER,
    "actorName" TEXT NOT NULL,
    "source" TEXT NOT NULL,
    "action" TEXT NOT NULL,
    "subjectId" INTEGER NOT NULL,
    "subjectName" TEXT NOT NULL,
    "details" TEXT
);
CREATE INDEX "AuditEntry_at_id_idx" ON "AuditEntry"("at");
CREATE INDEX "AuditEntry_actorId_id_idx" ON "AuditEntry"("actorId");
CREATE INDEX "AuditEntry_subjectId_id_idx" ON "AuditEntry"("subjectId");

-- The orders in which staff list users. SQLite adds the id to each index by itself.
CREATE INDEX "User_username_id_idx" ON "User"("username");
CREATE INDEX "User_createdAt_id_idx" ON "User"("createdAt");
CREATE INDEX "User_isStaff_id_idx" ON "User"("isStaff");
