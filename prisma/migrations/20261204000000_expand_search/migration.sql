-- The full-text index of `Query.search`: an entry for each searched row, with the id `16 * id + code of the model`. Triggers, which the server makes of its slices,
-- keep it, and a background task of the server indexes older rows. It contains the texts, since a table without them requires the old text for each deletion
-- (`content=''`), or SQLite 3.43 in all programs that write (`contentless_delete`). The prefix indexes are for the last word of a query: without them, FTS5 would
-- first merge the lists of all words that begin with it.
CREATE VIRTUAL TABLE "SearchEntry" USING fts5(
    "scope", "title", "text",
    tokenize = "unicode61 remove_diacritics 2 categories 'L* N* Co Mn Mc'",
    prefix = '1 2 3 4 5 6 7 8'
);

CREATE TABLE "SearchBackfill" (
    "model" TEXT NOT NULL PRIMARY KEY,
    "belowId" INTEGER NOT NULL
);
