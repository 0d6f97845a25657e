// In place of test/db-utils.js in a checkout of connect-pg-simple: the table that its tests make
// and drop may be a map.

'use strict';

const fs = require('node:fs');
const path = require('node:path');
const pg = require('pg');

const conObject = {database: process.env.PGDATABASE};
const pool = new pg.Pool(conObject);
const definition = process.env.KIND === 'map' ? process.env.DEFINITION : path.resolve(__dirname, '../table.sql');

module.exports = Object.freeze({
	conObject,
	queryPromise: pool.query.bind(pool),
	removeTables: async () => {
		const {rows} = await pool.query("SELECT relkind FROM pg_class WHERE oid = to_regclass('session')");
		for (const {relkind} of rows)
			await pool.query(`DROP ${relkind === 'f' ? 'FOREIGN ' : ''}TABLE session`);
	},
	initTables: () => pool.query(fs.readFileSync(definition, 'utf8').replace(/^-- for[^]*/m, '')),
});
