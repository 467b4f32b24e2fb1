-- What a user needs to recognise their sessions and keys. Of an older session, only the time of the sign-in is known.
-- SQLite adds no column whose default is the present; every insertion gives the value.
ALTER TABLE "Session" ADD COLUMN "lastUsedAt" DATETIME NOT NULL DEFAULT '1970-01-01T00:00:00.000+00:00';
ALTER TABLE "Session" ADD COLUMN "userAgent" TEXT;
ALTER TABLE "Session" ADD COLUMN "address" TEXT;
UPDATE "Session" SET "lastUsedAt" = "createdAt";

ALTER TABLE "AuthToken" ADD COLUMN "name" TEXT;
