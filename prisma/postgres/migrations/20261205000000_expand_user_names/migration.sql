-- Users are found by the beginning of a name.
CREATE INDEX "User_firstName_id_idx" ON "User"("firstName", "id");
CREATE INDEX "User_lastName_id_idx" ON "User"("lastName", "id");

-- Who hides whether they are online. It is the last statement, since no request with a credential is answered from here to the end of the transaction.
ALTER TABLE "User" ADD COLUMN "presence" TEXT COLLATE "C" NOT NULL DEFAULT 'VISIBLE' CHECK ("presence" IN ('VISIBLE', 'INVISIBLE'));
