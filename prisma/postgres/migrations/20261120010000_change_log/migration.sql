CREATE TABLE "Change" (
    "seq" BIGSERIAL PRIMARY KEY,
    "model" TEXT COLLATE "C" NOT NULL,
    "rowId" INTEGER NOT NULL,
    "action" TEXT COLLATE "C" NOT NULL,
    "before" TEXT COLLATE "C",
    "after" TEXT COLLATE "C",
    "at" TIMESTAMPTZ(3) NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE "ChangeEpoch" (
    "id" INTEGER NOT NULL PRIMARY KEY,
    "epoch" TEXT COLLATE "C" NOT NULL
);
INSERT INTO "ChangeEpoch" ("id", "epoch") VALUES (1, substr(replace(gen_random_uuid()::text, '-', ''), 1, 16));

-- The first row stands for the beginning: numbers that rolled back transactions drew leave gaps, so nothing else could tell it from a pruned log.
INSERT INTO "Change" ("seq", "model", "rowId", "action", "at") VALUES (0, 'Beginning', 0, 'INSERT', to_timestamp(0));
-- From now on the last number drawn is known, as the safe horizon wants it.
SELECT setval('"Change_seq_seq"', 1);
