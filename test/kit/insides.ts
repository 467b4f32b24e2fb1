/** What only somebody who looks behind the server could know: places in its code, its statements, its libraries. */
export const INSIDES =
  /node_modules|file:\/\/|\/(src|dist)\/\S*\.[cm]?[jt]s|\.[cm]?[jt]s:\d+|(\n|\\n)\s+at |prisma|SQLITE_|SELECT .*FROM|INSERT INTO|UPDATE "|DELETE FROM|ECONN/i;

/** How an answer owns up to a defect of the server, without saying which. */
export const DEFECT = /Unexpected error|"INTERNAL"/;
