-- The full-text index of `Query.search`: an entry for each searched row, with the id `16 * id + code of the model`. Triggers, which the server makes of its slices,
-- keep it, and a background task of the server indexes older rows.
CREATE TABLE "SearchEntry" (
    "id" BIGINT PRIMARY KEY,
    "document" TSVECTOR NOT NULL
);
-- A search reads the list of pending entries in full, so it is kept short.
CREATE INDEX "SearchEntry_document_idx" ON "SearchEntry" USING GIN ("document") WITH (gin_pending_list_limit = 256);

CREATE TABLE "SearchBackfill" (
    "model" TEXT COLLATE "C" PRIMARY KEY,
    "belowId" INTEGER NOT NULL
);
