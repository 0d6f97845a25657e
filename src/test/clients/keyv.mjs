// keyv with @keyv/postgres: the suite that its authors publish, and what that leaves out of the
// documented interface.

import KeyvPostgres, {createKeyv} from '@keyv/postgres';
import keyvTestSuite, {keyvIteratorTests} from '@keyv/test-suite';
import Keyv from 'keyv';
import {atEnd, beforeEach, declared, expect, map, rows, run, sleep, test} from './tap.mjs';

const uri = `postgresql://${process.env.PGUSER}@/${process.env.PGDATABASE}?host=${encodeURIComponent(process.env.PGHOST)}`;
const store = (options = {}) => new KeyvPostgres({uri, iterationLimit: 3, ...options});
const stored = async (table = 'keyv') => Number((await rows(`SELECT count(*) FROM ${table}`))[0].count);

keyvTestSuite(declared('test-suite: '), Keyv, store);
keyvIteratorTests(declared('test-suite: '), Keyv, store);

// ---- the adapter -------------------------------------------------------------

const adapter = store();
await adapter.get('a');
beforeEach(() => rows('DELETE FROM keyv'));

test('CREATE TABLE IF NOT EXISTS makes the table, or finds what is there', async () => {
	await adapter.get('a');
	const [{relkind}] = await rows("SELECT relkind FROM pg_class WHERE oid = to_regclass('public.keyv')");
	expect(relkind).toBe(map ? 'f' : 'r');
});

test('useUnloggedTable', async () => {
	const unlogged = store({useUnloggedTable: true, table: 'unlogged'});
	await unlogged.set('a', '1');
	expect(await unlogged.get('a')).toBe('1');
	await unlogged.clear();
});

test('schema and table', async () => {
	const other = store({schema: 'other', table: 'cache'});
	await other.set('a', '1');
	await other.set('a', '2');
	expect(await other.get('a')).toBe('2');
	expect(await other.getMany(['a', 'b'])).toEqual(['2', undefined]);
	const entries = [];
	for await (const entry of other.iterator())
		entries.push(entry);
	expect(entries).toEqual([['a', '2']]);
	expect(await other.delete('a')).toBe(true);
	await other.clear();
	expect(await stored('other.cache')).toBe(0);
});

test('createKeyv', async () => {
	const keyv = createKeyv({uri});
	expect(await keyv.set('a', {n: 1})).toBe(true);
	expect(await keyv.get('a')).toEqual({n: 1});
});

test('setMany, getMany, hasMany, deleteMany', async () => {
	const keyv = new Keyv({store: store(), namespace: 'many'});
	const keys = Array.from({length: 50}, (_, i) => `k${i}`);
	await keyv.setMany(keys.map((key, i) => ({key, value: i})));
	expect(await keyv.getMany([...keys, 'nothing'])).toEqual([...keys.keys(), undefined]);
	await keyv.setMany(keys.map((key, i) => ({key, value: i + 1})));
	expect(await keyv.getMany(keys)).toEqual([...keys.keys()].map((i) => i + 1));
	expect(await keyv.hasMany(['k1', 'nothing'])).toEqual([true, false]);
	expect(await keyv.deleteMany(keys.slice(0, 25))).toBe(true);
	expect(await stored()).toBe(25);
	expect(await keyv.deleteMany(['nothing'])).toBe(false);
});

test('setMany with a key twice is refused, and names the error', async () => {
	await expect(adapter.setMany([{key: 'a', value: '1'}, {key: 'a', value: '2'}])).rejects.toMatchObject({code: '21000'});
});

test('values: empty, long, odd', async () => {
	for (const value of ['', 'x'.repeat(300000), '\u00e9\u4e16\ud83d\ude00', '\\x41', "'; DROP TABLE keyv; --"]) {
		await adapter.set('a', value);
		expect(await adapter.get('a')).toBe(value);
	}
});

test('a value of NULL', async () => {
	await adapter.set('a', null);
	expect(await adapter.get('a')).toBeNull();
	expect(await adapter.has('a')).toBe(true);
	await adapter.set('a', 'x');
	await adapter.set('a', null);
	expect(await adapter.get('a')).toBeNull();
});

test('keys: empty, of 255 characters, odd', async () => {
	for (const key of ['', 'k'.repeat(255), '\u4e16'.repeat(255), 'a b', 'A', 'a', '%', '_', '\\']) {
		await adapter.set(key, key);
		expect(await adapter.get(key)).toBe(key);
		expect(await adapter.has(key)).toBe(true);
	}
	expect(await stored()).toBe(9);
});

test('a key that is too long is refused when set, and not there when asked for', async () => {
	const key = 'k'.repeat(256);
	await expect(adapter.set(key, '1')).rejects.toMatchObject({code: '22001'});
	expect(await adapter.get(key)).toBeUndefined();
	expect(await adapter.getMany([key, 'a'])).toEqual([undefined, undefined]);
	expect(await adapter.has(key)).toBe(false);
	expect(await adapter.delete(key)).toBe(false);
});

test('keySize', async () => {
	const short = store({table: 'short', keySize: 10});
	await short.set('0123456789', '1');
	await expect(short.set('0123456789a', '1')).rejects.toMatchObject({code: '22001'});
	await short.clear();
});

test('clear takes its namespace only', async () => {
	const one = new Keyv({store: store(), namespace: 'one'});
	const two = new Keyv({store: store(), namespace: 'two'});
	for (const keyv of [one, two])
		for (let i = 0; i < 10; i++)
			await keyv.set(`k${i}`, i);
	await one.clear();
	expect(await stored()).toBe(10);
	expect(await two.get('k3')).toBe(3);
});

test('the iterator pages through everything, in order', async () => {
	const keys = Array.from({length: 40}, (_, i) => `k${String(i).padStart(2, '0')}`);
	for (const key of [...keys].reverse())
		await adapter.set(`ns_1:${key}`, key);
	await adapter.set('nsx1:a', 'other');
	for (const iterationLimit of [1, 3, 10, 40, 100]) {
		const got = [];
		for await (const [key, value] of store({iterationLimit}).iterator('ns_1'))
			got.push(value);
		expect(got).toEqual(keys);
	}
	let all = 0;
	for await (const _ of adapter.iterator())
		all++;
	expect(all).toBe(41);
});

test('the iterator while keys are deleted and set', async () => {
	for (let i = 0; i < 30; i++)
		await adapter.set(`k${String(i).padStart(2, '0')}`, '1');
	const seen = [];
	for await (const [key] of adapter.iterator()) {
		seen.push(key);
		await adapter.delete(key);
		await adapter.set('a', 'before');
	}
	expect(seen.length).toBe(30);
	expect(await stored()).toBe(1);
});

test('an entry with a time to live', async () => {
	const keyv = new Keyv({store: store(), ttl: 1000});
	await keyv.set('a', 1);
	await keyv.set('b', 2, 60000);
	expect(await keyv.get('a')).toBe(1);
	await sleep(1100);
	expect(await keyv.get('a')).toBeUndefined();
	expect(await keyv.has('a')).toBe(false);
	expect(await keyv.get('b')).toBe(2);
	expect(await stored()).toBe(1);
});

test('has', async () => {
	await adapter.set('a', '1');
	expect(await adapter.has('a')).toBe(true);
	expect(await adapter.has('b')).toBe(false);
});

test('errors are told: a server that is not there', async () => {
	const heard = [];
	const gone = new KeyvPostgres({uri: `postgresql://nobody@/none?host=${encodeURIComponent(process.env.PGHOST)}/none`});
	gone.on('error', (error) => heard.push(error));
	await expect(gone.get('a')).rejects.toThrow();
	expect(heard.length).toBeGreaterThan(0);
});

test('many keys at once', async () => {
	const keyv = new Keyv({store: store()});
	const keys = Array.from({length: 300}, (_, i) => `k${i}`);
	await Promise.all(keys.map((key, i) => keyv.set(key, i)));
	expect(await Promise.all(keys.map((key) => keyv.get(key)))).toEqual([...keys.keys()]);
	expect((await Promise.all(keys.map((key) => keyv.delete(key)))).every(Boolean)).toBe(true);
	expect(await stored()).toBe(0);
});

test('one key set, read, and deleted at once', async () => {
	const keyv = new Keyv({store: store()});
	await Promise.all(Array.from({length: 400}, async (_, i) => {
		if (i % 4 === 0)
			await keyv.delete('a');
		else if (i % 4 === 1)
			await keyv.set('a', String(i).repeat(100));
		else {
			const got = await keyv.get('a');
			if (got !== undefined)
				expect(got).toBe(got.slice(0, got.length / 100).repeat(100));
		}
	}));
	await keyv.set('a', 'last');
	expect(await keyv.get('a')).toBe('last');
});

test('disconnect', async () => {
	const keyv = new Keyv({store: store()});
	await keyv.set('a', 1);
	await keyv.disconnect();
	const again = new Keyv({store: store()});
	expect(await again.get('a')).toBe(1);
});

atEnd(() => adapter.disconnect());
await run();
