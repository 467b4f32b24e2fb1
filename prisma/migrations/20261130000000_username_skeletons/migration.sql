-- What names look like. SQL cannot work it out: the server does, for older names once it runs.
ALTER TABLE "User" ADD COLUMN "usernameSkeleton" TEXT;
CREATE UNIQUE INDEX "User_usernameSkeleton_key" ON "User"("usernameSkeleton");
