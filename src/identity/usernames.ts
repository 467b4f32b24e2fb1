import unhomoglyph from 'unhomoglyph';

/** The scripts in modern use, by their long names: tables 5 and 7 of UAX 31. Names in historic scripts are rejected. */
const SCRIPTS = [
  ...['Latin', 'Greek', 'Cyrillic', 'Armenian', 'Georgian', 'Hebrew', 'Arabic', 'Syriac', 'Thaana', 'Nko', 'Adlam'],
  ...['Devanagari', 'Bengali', 'Gurmukhi', 'Gujarati', 'Oriya', 'Tamil', 'Telugu', 'Kannada', 'Malayalam', 'Sinhala'],
  ...['Thai', 'Lao', 'Tibetan', 'Myanmar', 'Khmer', 'Ethiopic', 'Mongolian', 'Cherokee', 'Canadian_Aboriginal'],
  ...['Balinese', 'Bamum', 'Batak', 'Chakma', 'Cham', 'Hanifi_Rohingya', 'Javanese', 'Kayah_Li', 'Lepcha', 'Limbu'],
  ...['Lisu', 'Mandaic', 'Meetei_Mayek', 'Miao', 'New_Tai_Lue', 'Newa', 'Nyiakeng_Puachue_Hmong', 'Ol_Chiki', 'Osage'],
  ...['Saurashtra', 'Sundanese', 'Syloti_Nagri', 'Tai_Le', 'Tai_Tham', 'Tai_Viet', 'Tifinagh', 'Vai', 'Wancho', 'Yi'],
];
/** Scripts that one language combines count as one: Japanese, Korean, Chinese with Bopomofo. */
const SCRIPTS_TOGETHER = [
  ['Han', 'Hiragana', 'Katakana'],
  ['Han', 'Hangul'],
  ['Han', 'Bopomofo'],
];
/** A regular expression for each set of scripts, which matches texts of these scripts and of the characters that all scripts share. */
const SINGLE_SCRIPT = [...SCRIPTS.map((script) => [script]), ...SCRIPTS_TOGETHER].map((scripts) => {
  const classes = [...scripts, 'Common', 'Inherited'].map((script) => `\\p{Script_Extensions=${script}}`);
  return new RegExp(`^[${classes.join('')}]*$`, 'u');
});

/** More UTF-16 units than any username has in any normal form of Unicode. Longer texts are not normalised, since that takes quadratic time. */
const MAX_KEYED_LENGTH = 2_000;
/** The key of a text that is too long for a username. No user has it, since usernames contain no spaces. */
const UNUSED_KEY = ' ';

const ALLOWED = /^[\p{L}\p{N}\p{M}_@.+-]*$/u;
/**
 * Matches characters that are invisible or not distinguishable: ignorable characters, a mark without a letter, a repeated mark, a mark that replaces the dot of an
 * i, and more than four marks on a letter (UTS 39, section 5.4).
 */
const INVISIBLE =
  /\p{Default_Ignorable_Code_Point}|(?<![\p{L}\p{M}])\p{M}|(\p{Mn})\1|\p{Soft_Dotted}\p{Mn}*\u0307|\p{Mn}{5}/u;

/**
 * Returns the skeleton of a name (UTS 39, section 4). Names that look alike have equal skeletons, whatever their scripts and the case of their letters. Use it for
 * comparison only.
 */
export function usernameSkeleton(username: string): string {
  return unhomoglyph(username.normalize('NFD')).normalize('NFD').toLowerCase();
}

/** Returns a username as it is stored: in Unicode NFKC, so that equivalent spellings are one name. */
export function normaliseUsername(username: string): string {
  return username.normalize('NFKC');
}

/**
 * Returns why a new username, as {@link normaliseUsername} returns it, is not acceptable, or null when it is: it has to consist of visible letters, digits and a few
 * signs, and of one script (UTS 39, section 5.1), so that no letter can be mistaken for one of another script. Existing names are not checked.
 */
export function usernameProblem(username: string): string | null {
  if (!ALLOWED.test(username)) {
    return 'Enter a valid username. This value may contain only letters, numbers, and @/./+/-/_ characters.';
  }
  if (INVISIBLE.test(username)) {
    return 'Enter a valid username. This value may not contain characters or accents that cannot be seen.';
  }
  if (!SINGLE_SCRIPT.some((script) => script.test(username))) {
    return 'Enter a valid username. All its letters must be of one modern script: not Latin and Cyrillic together, for example.';
  }
  return null;
}

/** Returns the key by which usernames are unique: the stored form, case-folded. */
export function usernameKey(username: string): string {
  if (username.length > MAX_KEYED_LENGTH) {
    return UNUSED_KEY;
  }
  // An approximation of Unicode case folding: lower, upper, lower maps ß and SS to the same text, and İ too. It is normalised again, since folding can
  // produce a text that is not NFKC.
  return normaliseUsername(normaliseUsername(username).toLowerCase().toUpperCase().toLowerCase());
}
