-- Where the log of this epoch is stored, by which a copy of the database is recognised.
ALTER TABLE "ChangeEpoch" ADD COLUMN "storage" TEXT COLLATE "C";
