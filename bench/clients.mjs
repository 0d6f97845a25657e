// clients.mjs: what a client of Node does in a second, for ./clients
//
// usage: node clients.mjs WHAT TABLE SECONDS
// Prints how often a second, and how often in all, with what came before that was measured.

import {promisify} from 'node:util';
import connectPgSimple from 'connect-pg-simple';
import session from 'express-session';
import pg from 'pg';
import {RateLimiterPostgres} from 'rate-limiter-flexible';

const [what, table, seconds] = process.argv.slice(2);
const keys = 10000;
const at_once = 8;
const pool = new pg.Pool({max: 4});
const any = (n) => Math.floor(Math.random() * n);

// A session as Express has them: a cookie, a user, something in a cart.
const content = {
	cookie: {originalMaxAge: 3600000, expires: new Date(Date.now() + 3600000), httpOnly: true, path: '/'},
	user: {id: 4711, name: 'Alice Example', roles: ['reader', 'author']},
	cart: Array.from({length: 5}, (_, i) => ({product: 1000 + i, quantity: 1})),
};

const sessions = async () => {
	const store = new (connectPgSimple(session))({pool, tableName: table, pruneSessionInterval: false});
	const [get, set, touch] = ['get', 'set', 'touch'].map((name) => promisify(store[name].bind(store)));
	const {rows: [{count}]} = await pool.query(`SELECT count(*) FROM ${table}`);
	for (let i = Number(count); i < keys; i += 100)
		await Promise.all(Array.from({length: 100}, (_, j) => set(`session-${i + j}`, content)));
	const one = () => `session-${any(keys)}`;
	return {
		set: () => set(one(), content),
		get: () => get(one()),
		// what Express does for a request that changes its session, and for one that does not
		change: async () => { const sid = one(); await get(sid); await set(sid, content); },
		look: async () => { const sid = one(); await get(sid); await touch(sid, content); },
	};
};

const limiter = async () => {
	const consumer = new RateLimiterPostgres({
		storeClient: pool, tableName: table, tableCreated: true, points: 1000000000, duration: 3600, clearExpiredByTimeout: false,
	});
	return {
		consume: () => consumer.consume(any(keys)),
		hot: () => consumer.consume('hot'),
	};
};

const run = (what in {set: 1, get: 1, change: 1, look: 1} ? await sessions() : await limiter())[what];
const during = async (ms) => {
	const end = Date.now() + ms;
	let done = 0;
	await Promise.all(Array.from({length: at_once}, async () => {
		while (Date.now() < end) {
			await run();
			done++;
		}
	}));
	return done;
};
const before = await during(300);
const begun = Date.now();
const done = await during(seconds * 1000);
console.log(Math.round(done * 1000 / (Date.now() - begun)), before + done);
await pool.end();
