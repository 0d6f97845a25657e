// rate-limiter-flexible with its PostgreSQL store: the documented interface whole.
//
// Its own tests of the store ask no server.

import pg from 'pg';
import {
	BurstyRateLimiter, RateLimiterMemory, RateLimiterPostgres, RateLimiterQueue, RateLimiterRes, RateLimiterUnion,
	RLWrapperBlackAndWhite,
} from 'rate-limiter-flexible';
import {atEnd, beforeEach, expect, map, pool, rows, run, sleep, test} from './tap.mjs';

const many = new pg.Pool({max: 10});
const open = (options) => new Promise((resolve, reject) => {
	const limiter = new RateLimiterPostgres({storeClient: many, tableName: 'limits', points: 5, duration: 60, ...options},
		(error) => setImmediate(() => error ? reject(error) : resolve(limiter)));
});
const count = async () => Number((await rows('SELECT count(*) FROM limits'))[0].count);

// what it rejects with when the points are used up
const refused = async (promise) => {
	const result = await promise.then(() => undefined, (error) => error);
	expect(result).toBeInstanceOf(RateLimiterRes);
	return result;
};

await pool.query('CREATE SCHEMA IF NOT EXISTS "my schema"');
await open();
beforeEach(() => pool.query('DELETE FROM limits'));

test('CREATE TABLE IF NOT EXISTS makes the table, or finds what is there', async () => {
	await Promise.all([open(), open(), open()]);
	const [{relkind}] = await rows("SELECT relkind FROM pg_class WHERE oid = to_regclass('limits')");
	expect(relkind).toBe(map ? 'f' : 'r');
});

test('consume counts, and refuses what is too much', async () => {
	const limiter = await open();
	for (let i = 1; i <= 5; i++) {
		const result = await limiter.consume('a');
		expect(result).toMatchObject({consumedPoints: i, remainingPoints: 5 - i, isFirstInDuration: i === 1});
		expect(result.msBeforeNext).toBeGreaterThan(59000);
		expect(result.msBeforeNext).toBeLessThanOrEqual(60000);
	}
	expect(await refused(limiter.consume('a'))).toMatchObject({consumedPoints: 6, remainingPoints: 0});
	expect((await limiter.consume('b')).consumedPoints).toBe(1);
});

test('the window is that of the first, and stays as it is', async () => {
	const limiter = await open();
	await limiter.consume('a');
	const [{expire}] = await rows("SELECT expire FROM limits WHERE key = 'rlflx:a'");
	expect(Math.abs(Number(expire) - Date.now() - 60000)).toBeLessThan(1000);
	await sleep(50);
	await limiter.consume('a');
	expect(await rows('SELECT key, points, expire FROM limits')).toEqual([{key: 'rlflx:a', points: 2, expire}]);
});

test('consume of several points', async () => {
	const limiter = await open();
	expect((await limiter.consume('a', 3)).consumedPoints).toBe(3);
	expect((await refused(limiter.consume('a', 3))).consumedPoints).toBe(6);
	expect((await limiter.consume('b', 0)).consumedPoints).toBe(0);
});

test('a window ends, and the next begins', async () => {
	const limiter = await open({points: 2, duration: 2});
	await limiter.consume('a');
	await limiter.consume('a');
	const {msBeforeNext} = await refused(limiter.consume('a'));
	await sleep(msBeforeNext + 5);
	expect(await limiter.get('a')).toBeNull();
	expect(await limiter.consume('a')).toMatchObject({consumedPoints: 1, isFirstInDuration: true});
});

test('windows of a millisecond, one after the other', async () => {
	const limiter = await open({points: 1000, duration: 0.001});
	for (let i = 0; i < 200; i++)
		expect((await limiter.consume('a')).consumedPoints).toBeGreaterThanOrEqual(1);
	const at_once = Array.from({length: 400}, () => limiter.consume('b'));
	for (const {consumedPoints} of await Promise.all(at_once))
		expect(consumedPoints).toBeGreaterThanOrEqual(1);
});

test('a duration of 0 never ends', async () => {
	const limiter = await open({duration: 0});
	expect((await limiter.consume('a')).msBeforeNext).toBe(-1);
	expect((await limiter.consume('a'))).toMatchObject({consumedPoints: 2, msBeforeNext: -1});
	expect(await rows('SELECT points, expire FROM limits')).toEqual([{points: 2, expire: null}]);
	expect((await limiter.get('a'))).toMatchObject({consumedPoints: 2, msBeforeNext: -1});
});

test('customDuration', async () => {
	const limiter = await open();
	expect((await limiter.consume('a', 1, {customDuration: 1000})).msBeforeNext).toBeGreaterThan(900000);
});

test('get', async () => {
	const limiter = await open();
	expect(await limiter.get('a')).toBeNull();
	await limiter.consume('a', 2);
	expect(await limiter.get('a')).toMatchObject({consumedPoints: 2, remainingPoints: 3});
});

test('penalty and reward', async () => {
	const limiter = await open();
	expect((await limiter.penalty('a', 2)).consumedPoints).toBe(2);
	expect((await limiter.consume('a')).consumedPoints).toBe(3);
	expect((await limiter.reward('a', 2)).consumedPoints).toBe(1);
	expect((await limiter.reward('b')).consumedPoints).toBe(-1);
	expect((await limiter.penalty('b', 1)).consumedPoints).toBe(0);
});

test('block', async () => {
	const limiter = await open();
	await limiter.consume('a');
	const blocked = await limiter.block('a', 2);
	expect(blocked.consumedPoints).toBe(6);
	expect(blocked.msBeforeNext).toBeLessThanOrEqual(2000);
	expect((await refused(limiter.consume('a'))).consumedPoints).toBe(7);
	await sleep(2050);
	expect((await limiter.consume('a')).consumedPoints).toBe(1);
	await limiter.block('b', 0);
	expect(await rows("SELECT expire FROM limits WHERE key = 'rlflx:b'")).toEqual([{expire: null}]);
	expect((await refused(limiter.consume('b'))).msBeforeNext).toBe(-1);
});

test('blockDuration', async () => {
	const limiter = await open({points: 1, duration: 1, blockDuration: 3});
	await limiter.consume('a');
	const {msBeforeNext} = await refused(limiter.consume('a'));
	expect(msBeforeNext).toBeGreaterThan(2000);
	await sleep(1100);
	await refused(limiter.consume('a'));
	await sleep(2100);
	expect((await limiter.consume('a')).consumedPoints).toBe(1);
});

test('set', async () => {
	const limiter = await open();
	expect((await limiter.set('a', 4, 100)).consumedPoints).toBe(4);
	await limiter.consume('a');
	await refused(limiter.consume('a'));
	expect((await limiter.set('a', 0, 0)).consumedPoints).toBe(0);
	expect(await rows('SELECT points, expire FROM limits')).toEqual([{points: 0, expire: null}]);
});

test('delete', async () => {
	const limiter = await open();
	await limiter.consume('a', 5);
	expect(await limiter.delete('a')).toBe(true);
	expect(await limiter.delete('a')).toBe(false);
	expect((await limiter.consume('a')).consumedPoints).toBe(1);
});

test('keyPrefix, getKey, keys of all kinds', async () => {
	const one = await open({keyPrefix: 'one'});
	const two = await open({keyPrefix: 'two'});
	const bare = await open({keyPrefix: ''});
	await one.consume('a');
	expect((await two.consume('a')).consumedPoints).toBe(1);
	expect(one.getKey('a')).toBe('one:a');
	for (const key of ['', "'\"\\ %_ \u4e16", '127.0.0.1', 42, 'k'.repeat(255)])
		for (let i = 1; i <= 2; i++)
			expect((await bare.consume(key)).consumedPoints).toBe(i);
	expect(await count()).toBe(7);
});

test('a key that is too long is refused, or left to the insurance', async () => {
	const limiter = await open();
	await expect(limiter.consume('k'.repeat(255))).rejects.toMatchObject({code: '22001'});
	const insured = await open({insuranceLimiter: new RateLimiterMemory({points: 1, duration: 60})});
	expect((await insured.consume('k'.repeat(255))).consumedPoints).toBe(1);
	await refused(insured.consume('k'.repeat(255)));
	expect(await count()).toBe(0);
});

test('an error reaches the caller: a table that is not there', async () => {
	const limiter = await open({tableName: 'nothing', tableCreated: true});
	for (const call of [() => limiter.consume('a'), () => limiter.get('a'), () => limiter.delete('a'), () => limiter.block('a', 1)])
		await expect(call()).rejects.toMatchObject({code: '42P01'});
});

test('tableName and schemaName', async () => {
	const limiter = await open({schemaName: 'my schema', tableName: 'My Limits'});
	for (let i = 1; i <= 8; i++)
		await limiter.consume('a').catch((result) => expect(result.consumedPoints).toBe(i));
	expect((await limiter.get('a')).consumedPoints).toBe(8);
	expect(await limiter.delete('a')).toBe(true);
});

test('a client of one connection', async () => {
	const client = new pg.Client();
	await client.connect();
	const limiter = await open({storeClient: client});
	for (let i = 1; i <= 5; i++)
		expect((await limiter.consume('a')).consumedPoints).toBe(i);
	await client.end();
});

test('clearExpired', async () => {
	const limiter = await open({duration: 1});
	const longer = await open({keyPrefix: 'longer'});
	for (let i = 0; i < 10; i++)
		await limiter.consume(`k${i}`);
	await longer.consume('a');
	await sleep(1100);
	await limiter.clearExpired(Date.now());
	expect(await count()).toBe(1);
});

test('execEvenly', async () => {
	const limiter = await open({points: 5, duration: 2, execEvenly: true});
	const begun = Date.now();
	await limiter.consume('a');
	await limiter.consume('a');
	expect(Date.now() - begun).toBeGreaterThan(100);
});

test('inMemoryBlockOnConsumed spares the server', async () => {
	const limiter = await open({points: 2, inMemoryBlockOnConsumed: 3, inMemoryBlockDuration: 60});
	await limiter.consume('a', 2);
	await refused(limiter.consume('a'));
	await refused(limiter.consume('a'));
	expect(await rows('SELECT points FROM limits')).toEqual([{points: 3}]);
	limiter.deleteInMemoryBlockedAll();
	await refused(limiter.consume('a'));
	expect(await rows('SELECT points FROM limits')).toEqual([{points: 4}]);
});

test('RateLimiterUnion', async () => {
	const second = await open({keyPrefix: 'second', points: 1, duration: 10});
	const minute = await open({keyPrefix: 'minute', points: 5, duration: 60});
	const union = new RateLimiterUnion(second, minute);
	await union.consume('a');
	const result = await union.consume('a').catch((each) => each);
	expect(Object.keys(result)).toEqual(['second']);
	expect((await minute.get('a')).consumedPoints).toBe(2);
});

test('BurstyRateLimiter', async () => {
	const bursty = new BurstyRateLimiter(await open({points: 2, duration: 10}), await open({keyPrefix: 'burst', points: 3, duration: 10}));
	for (let i = 0; i < 5; i++)
		await bursty.consume('a');
	await refused(bursty.consume('a'));
});

test('RateLimiterQueue', async () => {
	const queue = new RateLimiterQueue(await open({points: 2, duration: 1}), {maxQueueSize: 10});
	const begun = Date.now();
	await Promise.all([1, 2, 3, 4].map(() => queue.removeTokens(1, 'a')));
	expect(Date.now() - begun).toBeGreaterThan(500);
});

test('RLWrapperBlackAndWhite', async () => {
	const wrapped = new RLWrapperBlackAndWhite({limiter: await open(), blackList: ['bad'], whiteList: ['good']});
	await refused(wrapped.consume('bad'));
	for (let i = 0; i < 10; i++)
		await wrapped.consume('good');
	expect((await wrapped.consume('a')).consumedPoints).toBe(1);
	expect(await count()).toBe(1);
});

test('600 at once of one key: none is lost, and just as many are let through as may', async () => {
	const limiter = await open({points: 250});
	const results = await Promise.allSettled(Array.from({length: 600}, () => limiter.consume('a')));
	expect(results.filter(({status}) => status === 'fulfilled').length).toBe(250);
	const numbers = results.map(({value, reason}) => (value ?? reason).consumedPoints);
	expect(numbers.sort((a, b) => a - b)).toEqual(Array.from({length: 600}, (_, i) => i + 1));
	expect((await limiter.get('a')).consumedPoints).toBe(600);
});

test('penalties, rewards, and consumption at once', async () => {
	const limiter = await open({points: 10000});
	await Promise.all(Array.from({length: 300}, (_, i) =>
		i % 3 === 0 ? limiter.penalty('a', 3) : i % 3 === 1 ? limiter.reward('a', 2) : limiter.consume('a', 5)));
	expect((await limiter.get('a')).consumedPoints).toBe(600);
});

test('many keys at once', async () => {
	const limiter = await open();
	const results = await Promise.all(Array.from({length: 500}, (_, i) => limiter.consume(`k${i % 250}`)));
	expect(results.filter(({isFirstInDuration}) => isFirstInDuration).length).toBe(250);
	expect(await count()).toBe(250);
});

test('windows that end while many consume', async () => {
	const limiter = await open({points: 20, duration: 0.2});
	let allowed = 0;
	const begun = Date.now();
	await Promise.all(Array.from({length: 8}, async () => {
		while (Date.now() - begun < 2000)
			await limiter.consume('a').then(() => allowed++, (result) => expect(result).toBeInstanceOf(RateLimiterRes));
	}));
	expect(allowed).toBeGreaterThanOrEqual(20 * 4);
	expect(allowed).toBeLessThanOrEqual(20 * 11);
});

atEnd(() => many.end());
await run();
