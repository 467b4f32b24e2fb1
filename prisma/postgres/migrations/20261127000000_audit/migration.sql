-- Who did what to whose account. No column references "User": an entry outlives the users that it names.
CREATE TABLE "AuditEntry" (
    "id" SERIAL PRIMARY KEY,
    "at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "actorId" INTEGER,
    "actorName" TEXT COLLATE "C" NOT NULL,
    "source" TEXT COLLATE "C" NOT NULL,
    "action" TEXT COLLATE "C" NOT NULL,
    "subjectId" INTEGER NOT NULL,
    "subjectName" TEXT COLLATE "C" NOT NULL,
    "details" TEXT COLLATE "C"
);
CREATE INDEX "AuditEntry_at_id_idx" ON "AuditEntry"("at", "id");
CREATE INDEX "AuditEntry_actorId_id_idx" ON "AuditEntry"("actorId", "id");
CREATE INDEX "AuditEntry_subjectId_id_idx" ON "AuditEntry"("subjectId", "id");

-- The orders in which staff list users.
CREATE INDEX "User_username_id_idx" ON "User"("username", "id");
CREATE INDEX "User_createdAt_id_idx" ON "User"("createdAt", "id");
CREATE INDEX "User_isStaff_id_idx" ON "User"("isStaff", "id");
