// Why there are two versions, and until when: ../README.md.
const NODE_API_OF_13 = 10;

const name = Number(process.versions.napi) >= NODE_API_OF_13 ? 'better-sqlite3-13' : 'better-sqlite3-12';
try {
  module.exports = require(name);
} catch (cause) {
  if (cause.code !== 'MODULE_NOT_FOUND') {
    throw cause;
  }
  throw new Error(
    `The SQLite driver for Node ${process.versions.node}, ${name}, is not installed. Run \`npm ci\` with this version of Node; version 12 may need Python, make and a C++ compiler.`,
    { cause },
  );
}
