// Node 24.19 and later end the process when garbage of version 12 is collected while nothing else runs (its objects are made with a header
// of Node that assumes the contrary); version 13 is made otherwise, but needs Node-API 10, which Node 20 never got. So both are installed, and whoever
// asks for better-sqlite3, Prisma's adapter included, gets the one that works.
const NODE_API_OF_13 = 10;

module.exports = require(Number(process.versions.napi) >= NODE_API_OF_13 ? 'better-sqlite3-13' : 'better-sqlite3-12');
