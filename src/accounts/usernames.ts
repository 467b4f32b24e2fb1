import unhomoglyph from 'unhomoglyph';

/** The scripts in modern use, by their long names: the tables 5 and 7 of UAX 31. Historic ones are in no use for names. */
const SCRIPTS = [
  ...['Latin', 'Greek', 'Cyrillic', 'Armenian', 'Georgian', 'Hebrew', 'Arabic', 'Syriac', 'Thaana', 'Nko', 'Adlam'],
  ...['Devanagari', 'Bengali', 'Gurmukhi', 'Gujarati', 'Oriya', 'Tamil', 'Telugu', 'Kannada', 'Malayalam', 'Sinhala'],
  ...['Thai', 'Lao', 'Tibetan', 'Myanmar', 'Khmer', 'Ethiopic', 'Mongolian', 'Cherokee', 'Canadian_Aboriginal'],
  ...['Balinese', 'Bamum', 'Batak', 'Chakma', 'Cham', 'Hanifi_Rohingya', 'Javanese', 'Kayah_Li', 'Lepcha', 'Limbu'],
  ...['Lisu', 'Mandaic', 'Meetei_Mayek', 'Miao', 'New_Tai_Lue', 'Newa', 'Nyiakeng_Puachue_Hmong', 'Ol_Chiki', 'Osage'],
  ...['Saurashtra', 'Sundanese', 'Syloti_Nagri', 'Tai_Le', 'Tai_Tham', 'Tai_Viet', 'Tifinagh', 'Vai', 'Wancho', 'Yi'],
];
/** The scripts that one language writes together count as one: Japanese, Korean, Chinese with Bopomofo. */
const SCRIPTS_TOGETHER = [
  ['Han', 'Hiragana', 'Katakana'],
  ['Han', 'Hangul'],
  ['Han', 'Bopomofo'],
];
/** A regular expression for each set of scripts: texts of these alone, with what belongs to every script. */
const SINGLE_SCRIPT = [...SCRIPTS.map((script) => [script]), ...SCRIPTS_TOGETHER].map((scripts) => {
  const classes = [...scripts, 'Common', 'Inherited'].map((script) => `\\p{Script_Extensions=${script}}`);
  return new RegExp(`^[${classes.join('')}]*$`, 'u');
});

/** More UTF-16 units than any username has in any normal form of Unicode. Bringing a text into one takes time that grows with its length squared. */
const MAX_KEYED_LENGTH = 2_000;
/** The key of a name that is too long: that of nobody, since names have no spaces. */
const NOBODYS_KEY = ' ';

const ALLOWED = /^[\p{L}\p{N}\p{M}_@.+-]*$/u;
/**
 * What cannot be seen, or not be told from something else: characters that are not shown, a mark that stands on no letter, one that is repeated or takes the place
 * of the dot of an i, and more than four marks on a letter (UTS 39, section 5.4).
 */
const UNSEEN =
  /\p{Default_Ignorable_Code_Point}|(?<![\p{L}\p{M}])\p{M}|(\p{Mn})\1|\p{Soft_Dotted}\p{Mn}*\u0307|\p{Mn}{5}/u;

/**
 * What a name looks like (UTS 39, section 4): names that could be taken for one another have the same one, whatever their scripts and the case of their letters. It is
 * for comparison alone.
 */
export function usernameSkeleton(username: string): string {
  return unhomoglyph(username.normalize('NFD')).normalize('NFD').toLowerCase();
}

/** A username as it is stored: Unicode NFKC, so that look-alike spellings of one text are one name. */
export function normaliseUsername(username: string): string {
  return username.normalize('NFKC');
}

/**
 * Why a name, as {@link normaliseUsername} gives it, may not be given to a user, or null when it may: it consists of letters, digits and a few signs that can be
 * seen, all of one script (UTS 39, section 5.1), so that no letter stands in for a similar one of another script. Names that were given before stay.
 */
export function usernameProblem(username: string): string | null {
  if (!ALLOWED.test(username)) {
    return 'Enter a valid username. This value may contain only letters, numbers, and @/./+/-/_ characters.';
  }
  if (UNSEEN.test(username)) {
    return 'Enter a valid username. This value may not contain characters or accents that cannot be seen.';
  }
  if (!SINGLE_SCRIPT.some((script) => script.test(username))) {
    return 'Enter a valid username. Its letters have to be of one script in modern use, not Latin and Cyrillic together, say.';
  }
  return null;
}

/** What makes a username unique: its stored form in any case of letters. */
export function usernameKey(username: string): string {
  if (username.length > MAX_KEYED_LENGTH) {
    return NOBODYS_KEY;
  }
  // Upper case unfolds letters like ß that lower case alone would leave apart from their capitals; lower case first, since some capitals
  // (İ) unfold only there; and what unfolding leaves need not be NFKC any more.
  return normaliseUsername(normaliseUsername(username).toLowerCase().toUpperCase().toLowerCase());
}
