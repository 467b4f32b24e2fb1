-- The sessions of browsers, which are found by their cookie.
ALTER TABLE "Session" ADD COLUMN "cookieHash" TEXT;

CREATE UNIQUE INDEX "Session_cookieHash_key" ON "Session"("cookieHash");
