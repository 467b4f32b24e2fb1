-- The address that a user was shown to receive mail at. Nobody was asked before.
ALTER TABLE "User" ADD COLUMN "verifiedEmail" TEXT NOT NULL DEFAULT '';

-- Where links that set a new password are sent. Addresses of before stay good for that.
ALTER TABLE "User" ADD COLUMN "resetEmail" TEXT NOT NULL DEFAULT '';
UPDATE "User" SET "resetEmail" = "email" WHERE "email" <> '';
