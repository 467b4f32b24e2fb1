/** A username as it is stored: Unicode NFKC, so that look-alike spellings of one text are one name. */
export function normaliseUsername(username: string): string {
  return username.normalize('NFKC');
}

/** What makes a username unique: its stored form in any case of letters. */
export function usernameKey(username: string): string {
  // Upper case unfolds letters like ß that lower case alone would leave apart from their capitals; lower case first, since some capitals
  // (İ) unfold only there; and what unfolding leaves need not be NFKC any more.
  return normaliseUsername(normaliseUsername(username).toLowerCase().toUpperCase().toLowerCase());
}
