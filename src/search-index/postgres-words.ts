import { MAX_INDEXED_TEXT, MAX_INDEXED_TITLE } from './source.ts';
import { LATIN_LETTERS, LOWER_CASE, MAX_WORD, UPPER_CASE } from './words.ts';

/**
 * The characters above ASCII that separate words, as ranges in hexadecimal: those that the tokenizer `unicode61` of SQLite separates words at (everything but
 * letters, digits, marks and private use in Unicode 6.1), and the pictographs beyond the Basic Multilingual Plane.
 */
const SEPARATORS = [
  '80-a9 ab-b1 b4 b6-b8 bb bf d7 f7 2c2-2c5 2d2-2df 2e5-2eb 2ed 2ef-2ff 375 37e 384-385 387 3f6 482 55a-55f 589-58a 58f 5be 5c0 5c3',
  '5c6 5f3-5f4 600-604 606-60f 61b 61e-61f 66a-66d 6d4 6dd-6de 6e9 6fd-6fe 700-70d 70f 7f6-7f9 830-83e 85e 964-965 970 9f2-9f3',
  '9fa-9fb af0-af1 b70 bf3-bfa c7f d79 df4 e3f e4f e5a-e5b f01-f17 f1a-f1f f34 f36 f38 f3a-f3d f85 fbe-fc5 fc7-fcc fce-fda 104a-104f',
  '109e-109f 10fb 1360-1368 1390-1399 1400 166d-166e 1680 169b-169c 16eb-16ed 1735-1736 17d4-17d6 17d8-17db 1800-180a 180e 1940',
  '1944-1945 19de-19ff 1a1e-1a1f 1aa0-1aa6 1aa8-1aad 1b5a-1b6a 1b74-1b7c 1bfc-1bff 1c3b-1c3f 1c7e-1c7f 1cc0-1cc7 1cd3 1fbd 1fbf-1fc1',
  '1fcd-1fcf 1fdd-1fdf 1fed-1fef 1ffd-1ffe 2000-2064 206a-206f 207a-207e 208a-208e 20a0-20b9 2100-2101 2103-2106 2108-2109 2114',
  '2116-2118 211e-2123 2125 2127 2129 212e 213a-213b 2140-2144 214a-214d 214f 2190-23f3 2400-2426 2440-244a 249c-24e9 2500-26ff',
  '2701-2775 2794-2b4c 2b50-2b59 2ce5-2cea 2cf9-2cfc 2cfe-2cff 2d70 2e00-2e2e 2e30-2e3b 2e80-2e99 2e9b-2ef3 2f00-2fd5 2ff0-2ffb',
  '3000-3004 3008-3020 3030 3036-3037 303d-303f 309b-309c 30a0 30fb 3190-3191 3196-319f 31c0-31e3 3200-321e 322a-3247 3250 3260-327f',
  '328a-32b0 32c0-32fe 3300-33ff 4dc0-4dff a490-a4c6 a4fe-a4ff a60d-a60f a670-a673 a67e a6f2-a6f7 a700-a716 a720-a721 a789-a78a',
  'a828-a82b a836-a839 a874-a877 a8ce-a8cf a8f8-a8fa a92e-a92f a95f a9c1-a9cd a9de-a9df aa5c-aa5f aa77-aa79 aade-aadf aaf0-aaf1 abeb',
  'fb29 fbb2-fbc1 fd3e-fd3f fdfc-fdfd fe10-fe19 fe30-fe52 fe54-fe66 fe68-fe6b feff ff01-ff0f ff1a-ff20 ff3b-ff40 ff5b-ff65 ffe0-ffe6',
  'ffe8-ffee fff9-fffd 1f000-1f0ff 1f110-1fbef e0000-e00ff',
].join(' ');

/** The most words of a text that are indexed, and the largest position that PostgreSQL stores. A document must be smaller than 1 MB. */
const MAX_WORDS = 20_000;
const MAX_POSITION = 16_383;

/** Returns the SQL functions that make the words and the document of a row, independent of the locale and the extensions of the server. */
export function wordFunctions(schema: string): string {
  return `
  CREATE OR REPLACE FUNCTION ${schema}.tidings_search_words(content text) RETURNS text
  LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $body$
  DECLARE
    words text := coalesce(content, '') COLLATE "C";
  BEGIN
    IF octet_length(words) > length(words) THEN
      words := regexp_replace(normalize(words, NFD), '([${LATIN_LETTERS}])[\\u0300-\\u036f]+', '\\1', 'g');
      IF words ~ '[\\u00b5-\\u058f]' THEN
        words := translate(words, '${UPPER_CASE}', '${LOWER_CASE}');
      END IF;
      words := regexp_replace(normalize(words, NFC), '[${bracketOf(SEPARATORS)}]+', ' ', 'g');
    END IF;
    RETURN regexp_replace(lower(words COLLATE "C"), '[\\u0001-\\u002f\\u003a-\\u0060\\u007b-\\u007f]+', ' ', 'g');
  END
  $body$;

  CREATE OR REPLACE FUNCTION ${schema}.tidings_search_document(scopes text[], title text, content text) RETURNS tsvector
  LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $body$
  DECLARE
    titled text[] := string_to_array(trim(${schema}.tidings_search_words(left(title, ${MAX_INDEXED_TITLE}))), ' ');
    words text[] := string_to_array(trim(${schema}.tidings_search_words(left(content, ${MAX_INDEXED_TEXT} / cardinality(scopes)))), ' ');
    document text := '';
    scope text;
    gap int := cardinality(titled) + 1;
  BEGIN
    words := words[1 : ${MAX_WORDS} / cardinality(scopes)];
    FOREACH scope IN ARRAY scopes LOOP
      document := concat_ws(' ', document,
        (SELECT string_agg(concat('''', scope, mark, left(word, ${MAX_WORD}), ''':', least(place, ${MAX_POSITION})), ' ')
         FROM unnest(titled) WITH ORDINALITY AS t(word, place), unnest(ARRAY['^', '/']) AS mark),
        -- The words of the text follow those of the title with a gap, so that no phrase spans both.
        (SELECT string_agg(concat('''', scope, '/', left(word, ${MAX_WORD}), ''':', least(place + gap, ${MAX_POSITION})), ' ')
         FROM unnest(words) WITH ORDINALITY AS t(word, place)));
    END LOOP;
    RETURN document::tsvector;
  END
  $body$;`;
}

/** Returns ranges as the content of a bracket of a regular expression of PostgreSQL. */
function bracketOf(ranges: string): string {
  const escaped = (code: string): string =>
    code.length > 4 ? `\\U${code.padStart(8, '0')}` : `\\u${code.padStart(4, '0')}`;
  return ranges
    .split(' ')
    .map((range) => range.split('-').map(escaped).join('-'))
    .join('');
}
