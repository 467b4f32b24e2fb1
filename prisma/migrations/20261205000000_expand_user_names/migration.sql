-- Users are found by the beginning of a name. SQLite adds the id to each index by itself.
CREATE INDEX "User_firstName_id_idx" ON "User"("firstName");
CREATE INDEX "User_lastName_id_idx" ON "User"("lastName");
