-- The address that a user was shown to receive mail at. Nobody was asked before.
ALTER TABLE "User" ADD COLUMN "verifiedEmail" TEXT NOT NULL DEFAULT '';
