-- What a user needs to recognise their sessions and keys. Of an older session, only the time of the sign-in is known.
ALTER TABLE "Session" ADD COLUMN "lastUsedAt" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP;
ALTER TABLE "Session" ADD COLUMN "userAgent" TEXT COLLATE "C";
ALTER TABLE "Session" ADD COLUMN "address" TEXT COLLATE "C";
UPDATE "Session" SET "lastUsedAt" = "createdAt";

ALTER TABLE "AuthToken" ADD COLUMN "name" TEXT COLLATE "C";
