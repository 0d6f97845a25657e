// connect-pg-simple: sessions of Express, its documented interface whole.
//
// Its package has no tests of its own.

import {createServer} from 'node:http';
import {promisify} from 'node:util';
import connectPgSimple from 'connect-pg-simple';
import express from 'express';
import session from 'express-session';
import pg from 'pg';
import pgPromise from 'pg-promise';
import {atEnd, beforeEach, expect, map, pool, rows, run, sleep, test} from './tap.mjs';

const PGStore = connectPgSimple(session);

// A store whose methods return promises.
const stores = [];
const open = (options = {}) => {
	const store = new PGStore({pool, pruneSessionInterval: false, createTableIfMissing: true, ...options});
	stores.push(store);
	return {
		store,
		...Object.fromEntries(['get', 'set', 'destroy', 'touch', 'pruneSessions'].map((name) =>
			[name, promisify(store[name].bind(store))])),
	};
};
const until = (ms) => ({cookie: {expires: new Date(Date.now() + ms)}});
const count = async () => Number((await rows('SELECT count(sid) FROM session'))[0].count);
const expiry = async (sid) =>
	(await rows('SELECT extract(epoch FROM expire::timestamptz)::float8 AS expire FROM session WHERE sid = $1', [sid]))[0]?.expire;

const usual = open();
await pool.query('CREATE SCHEMA IF NOT EXISTS "my ""schema"""');
beforeEach(async () => {
	await usual.get('nobody');		// the table is made if it is missing
	await pool.query('DELETE FROM session');
});

test('createTableIfMissing makes the table, or finds what is there', async () => {
	await Promise.all([1, 2, 3].map(() => open().get('nobody')));
	const [{relkind}] = await rows("SELECT relkind FROM pg_class WHERE oid = to_regclass('session')");
	expect(relkind).toBe(map ? 'f' : 'r');
});

test('set, get', async () => {
	const value = {
		...until(60000), views: 7, user: {name: "O'Neil \"the\" \\ \u00e9\u4e16\ud83d\ude00", roles: ['a', 'b'], none: null},
	};
	await usual.set('s1', value);
	const got = await usual.get('s1');
	expect(got).toEqual(JSON.parse(JSON.stringify(value)));
});

test('set replaces what is there', async () => {
	await usual.set('s1', {...until(60000), n: 1, old: true});
	await usual.set('s1', {...until(120000), n: 2});
	const got = await usual.get('s1');
	expect(got.n).toBe(2);
	expect(got.old).toBeUndefined();
	expect(await count()).toBe(1);
	expect(await expiry('s1')).toBeGreaterThan(Date.now() / 1000 + 100);
});

test('get of a session that is not there', async () => {
	expect(await usual.get('nobody')).toBeUndefined();
});

test('an empty session, one of 200 kB, keys of all kinds', async () => {
	await usual.set('', {cookie: {}});
	expect(await usual.get('')).toEqual({cookie: {}});
	await usual.set("k'\"\\ \u00e9%_ ", {cookie: {}, text: 'x'.repeat(200000)});
	expect((await usual.get("k'\"\\ \u00e9%_ ")).text.length).toBe(200000);
	await usual.set('k'.repeat(300), {cookie: {}, n: 3});
	expect((await usual.get('k'.repeat(300))).n).toBe(3);
	expect(await count()).toBe(3);
});

test('destroy', async () => {
	await usual.set('s1', until(60000));
	await usual.set('s2', until(60000));
	await usual.destroy('s1');
	expect(await usual.get('s1')).toBeUndefined();
	expect(await usual.get('s2')).toBeDefined();
	await usual.destroy('s1');
	expect(await count()).toBe(1);
});

test('touch moves the expiry, and nothing else', async () => {
	await usual.set('s1', {...until(60000), n: 1});
	const before = await expiry('s1');
	await usual.touch('s1', {...until(90000), n: 2});
	expect(Math.round(await expiry('s1') - before)).toBe(30);
	expect((await usual.get('s1')).n).toBe(1);
});

test('touch of a session that is not there makes none', async () => {
	await usual.touch('nobody', until(60000));
	expect(await count()).toBe(0);
});

test('disableTouch', async () => {
	const {touch} = open({disableTouch: true});
	await usual.set('s1', until(60000));
	const before = await expiry('s1');
	await touch('s1', until(90000));
	expect(await expiry('s1')).toBe(before);
});

test('ttl, a day without it, and the cookie before either', async () => {
	const in_seconds = async (sid) => Math.round(await expiry(sid) - Date.now() / 1000);
	await usual.set('day', {cookie: {}});
	await open({ttl: 100}).set('ttl', {cookie: {}});
	await open({ttl: 100}).set('cookie', until(1000000));
	expect(Math.abs(await in_seconds('day') - 86400)).toBeLessThanOrEqual(2);
	expect(Math.abs(await in_seconds('ttl') - 100)).toBeLessThanOrEqual(2);
	expect(Math.abs(await in_seconds('cookie') - 1000)).toBeLessThanOrEqual(2);
});

test('a session expires', async () => {
	await usual.set('s1', until(2000));
	await usual.set('s2', until(60000));
	expect(await usual.get('s1')).toBeDefined();
	await sleep(3100);
	expect(await usual.get('s1')).toBeUndefined();
	expect(await usual.get('s2')).toBeDefined();
});

test('a session that has expired is set again, and touched', async () => {
	await usual.set('s1', {...until(500), n: 1});
	await sleep(2100);
	await usual.set('s1', {...until(60000), n: 2});
	expect((await usual.get('s1')).n).toBe(2);
	await usual.touch('s1', until(120000));
	expect((await usual.get('s1')).n).toBe(2);
});

test('a session whose cookie is past', async () => {
	await usual.set('new', until(-60000));
	expect(await usual.get('new')).toBeUndefined();
	await usual.set('old', until(60000));
	await usual.set('old', until(-60000));
	expect(await usual.get('old')).toBeUndefined();
	await usual.set('touched', until(60000));
	await usual.touch('touched', until(-60000));
	expect(await usual.get('touched')).toBeUndefined();
});

test('pruneSessions deletes what is past, and nothing else', async () => {
	for (let i = 0; i < 20; i++)
		await usual.set(`s${i}`, until(i % 2 ? 60000 : -60000));
	await usual.pruneSessions();
	expect(await count()).toBe(10);
});

test('sessions are pruned by themselves', async () => {
	const {store, set} = open({pruneSessionInterval: 1, pruneSessionRandomizedInterval: false});
	await set('s1', until(-60000));
	await set('s2', until(60000));
	await sleep(2500);
	expect(await count()).toBe(1);
	await store.close();
	await usual.set('s1', until(-60000));
	await sleep(1500);
	expect((await rows('SELECT sid FROM session WHERE expire > now()')).length).toBe(1);
});

test('pruneSessionRandomizedInterval', async () => {
	let asked = 0;
	const {store, get} = open({pruneSessionInterval: 1, pruneSessionRandomizedInterval: (delay) => { asked++; return delay / 10; }});
	await get('nobody');
	await sleep(350);
	await store.close();
	expect(asked).toBeGreaterThan(1);
});

test('conObject, conString, DATABASE_URL', async () => {
	const uri = `postgresql://${process.env.PGUSER}@/${process.env.PGDATABASE}?host=${encodeURIComponent(process.env.PGHOST)}`;
	process.env.DATABASE_URL = uri;
	for (const options of [{conObject: {connectionString: uri}}, {conString: uri}, {}]) {
		const store = new PGStore({pruneSessionInterval: false, ...options});
		await promisify(store.set.bind(store))('s1', {...until(60000), n: 1});
		expect((await promisify(store.get.bind(store))('s1')).n).toBe(1);
		await store.close();
	}
	delete process.env.DATABASE_URL;
});

test('pgPromise', async () => {
	const db = pgPromise({noWarnings: true})({host: process.env.PGHOST, user: process.env.PGUSER, database: process.env.PGDATABASE});
	const {get, set, touch, destroy, pruneSessions} = open({pool: undefined, pgPromise: db});
	await set('s1', {...until(60000), n: 1});
	await set('s1', {...until(60000), n: 2});
	expect((await get('s1')).n).toBe(2);
	await touch('s1', until(90000));
	await pruneSessions();
	expect(await count()).toBe(1);
	await destroy('s1');
	expect(await get('s1')).toBeUndefined();
	await db.$pool.end();
});

test('schemaName, tableName', async () => {
	const {set, get, touch, destroy, pruneSessions} = open({schemaName: 'my "schema"', tableName: 'my "sessions"'});
	await set('s1', {...until(60000), n: 1});
	await set('s1', {...until(60000), n: 2});
	expect((await get('s1')).n).toBe(2);
	await touch('s1', until(90000));
	await pruneSessions();
	await destroy('s1');
	expect(await get('s1')).toBeUndefined();
});

test('an error reaches the callback', async () => {
	const {get, set, touch, destroy, pruneSessions} = open({tableName: 'nothing', createTableIfMissing: false});
	for (const call of [() => get('s1'), () => set('s1', until(60000)), () => touch('s1', until(60000)),
		() => destroy('s1'), () => pruneSessions()])
		await expect(call()).rejects.toMatchObject({code: '42P01'});
	await expect(usual.set('s1', undefined)).rejects.toMatchObject({code: '23502'});
	await expect(usual.set('a\0b', until(60000))).rejects.toMatchObject({code: '22021'});
	expect(await count()).toBe(0);
});

test('errorLog hears of what fails in the background', async () => {
	const heard = [];
	const {store} = open({tableName: 'nothing', createTableIfMissing: false, errorLog: (...words) => heard.push(words)});
	store.pruneSessions();
	await sleep(300);
	expect(heard.length).toBe(1);
	await store.close();
});

test('many sessions at once', async () => {
	const many = new pg.Pool({max: 10});
	const {set, get, destroy} = open({pool: many});
	const ids = Array.from({length: 300}, (_, i) => `s${i}`);
	await Promise.all(ids.map((sid) => set(sid, {...until(60000), sid})));
	expect(await count()).toBe(300);
	for (const [i, got] of (await Promise.all(ids.map((sid) => get(sid)))).entries())
		expect(got.sid).toBe(ids[i]);
	await Promise.all(ids.map((sid) => destroy(sid)));
	expect(await count()).toBe(0);
	await many.end();
});

test('one session set, touched, and read at once', async () => {
	const many = new pg.Pool({max: 10});
	const {set, get, touch} = open({pool: many});
	await set('s1', {...until(60000), n: 0});
	await Promise.all(Array.from({length: 300}, async (_, i) => {
		if (i % 3 === 0)
			await set('s1', {...until(60000), n: i, text: String(i).repeat(100)});
		else if (i % 3 === 1)
			await touch('s1', until(60000));
		const got = await get('s1');
		if (got.n)
			expect(got.text).toBe(String(got.n).repeat(100));
	}));
	expect(await count()).toBe(1);
	await many.end();
});

test('one session set and destroyed at once', async () => {
	const many = new pg.Pool({max: 10});
	const {set, get, destroy} = open({pool: many});
	await Promise.all(Array.from({length: 300}, (_, i) => i % 2 ? set('s1', until(60000)) : destroy('s1')));
	await set('s1', {...until(60000), last: true});
	expect((await get('s1')).last).toBe(true);
	await many.end();
});

// A timestamp without time zone is the session's local time.
for (const zone of ['America/Los_Angeles', 'Asia/Tokyo'])
	test(`the same in ${zone}`, async () => {
		const there = new pg.Pool({max: 2, options: `-c TimeZone=${zone}`});
		const {set, get, touch, pruneSessions} = open({pool: there});
		await set('s1', until(60000));
		await set('s2', until(-60000));
		await set('s3', until(1000));
		expect(await get('s1')).toBeDefined();
		expect(await get('s2')).toBeUndefined();
		await pruneSessions();
		expect(await get('s1')).toBeDefined();
		await touch('s1', until(120000));
		const {rows: [{left}]} = await there.query("SELECT extract(epoch FROM expire - localtimestamp)::float8 AS left FROM session WHERE sid = 's1'");
		expect(Math.abs(left - 120)).toBeLessThanOrEqual(2);
		await sleep(2100);
		expect(await get('s3')).toBeUndefined();
		await there.end();
	});

// ---- within Express ----------------------------------------------------------

const serve = async (options = {}, storeOptions = {}) => {
	const app = express();
	app.use(session({
		store: open(storeOptions).store, secret: 'secret', resave: false, saveUninitialized: true,
		cookie: {maxAge: 60000}, ...options,
	}));
	app.get('/', (request, response) => {
		request.session.views = (request.session.views ?? 0) + 1;
		response.json({views: request.session.views, id: request.sessionID});
	});
	app.get('/look', (request, response) => response.json({views: request.session.views, id: request.sessionID}));
	app.get('/regenerate', (request, response) => request.session.regenerate(() => response.json({id: request.sessionID})));
	app.get('/reload', (request, response) => request.session.reload((error) =>
		response.json({views: request.session?.views, error: error?.message})));
	app.get('/leave', (request, response) => request.session.destroy(() => response.json({})));
	const server = createServer(app);
	await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
	let cookie = '';
	const ask = async (path, withCookie = true) => {
		const answer = await fetch(`http://127.0.0.1:${server.address().port}${path}`,
			{headers: withCookie && cookie ? {cookie} : {}});
		expect(answer.status).toBe(200);
		cookie = answer.headers.get('set-cookie')?.split(';')[0] ?? cookie;
		return answer.json();
	};
	return {ask, close: () => new Promise((resolve) => { server.closeAllConnections(); server.close(resolve); })};
};

test('Express: a visitor with a cookie keeps the session', async () => {
	const {ask, close} = await serve();
	const first = await ask('/');
	expect(first.views).toBe(1);
	expect((await rows('SELECT sid FROM session'))).toEqual([{sid: first.id}]);
	expect(await ask('/')).toEqual({views: 2, id: first.id});
	expect(await ask('/')).toEqual({views: 3, id: first.id});
	expect(await count()).toBe(1);
	await close();
});

test('Express: without one, a new session', async () => {
	const {ask, close} = await serve();
	const first = await ask('/', false);
	const second = await ask('/', false);
	expect(second.views).toBe(1);
	expect(second.id).not.toBe(first.id);
	expect(await count()).toBe(2);
	await close();
});

test('Express: rolling touches what is only looked at', async () => {
	const {ask, close} = await serve({rolling: true});
	const {id} = await ask('/');
	const before = await expiry(id);
	await sleep(1100);
	await ask('/look');
	expect(await expiry(id)).toBeGreaterThan(before);
	await close();
});

test('Express: regenerate, reload, destroy', async () => {
	const {ask, close} = await serve();
	const {id} = await ask('/');
	expect((await ask('/reload')).views).toBe(1);
	const {id: other} = await ask('/regenerate');
	expect(other).not.toBe(id);
	expect(await rows('SELECT sid FROM session')).toEqual([{sid: other}]);
	await ask('/leave');
	expect(await count()).toBe(0);
	await close();
});

test('Express: a session that expires', async () => {
	const {ask, close} = await serve({cookie: {maxAge: 900}});
	const {id} = await ask('/');
	await sleep(2100);
	expect((await ask('/')).id).not.toBe(id);
	await close();
});

atEnd(async () => {
	for (const store of stores)
		await store.close();
});

await run();
