-- Users are found by the beginning of a name.
CREATE INDEX "User_firstName_id_idx" ON "User"("firstName", "id");
CREATE INDEX "User_lastName_id_idx" ON "User"("lastName", "id");
