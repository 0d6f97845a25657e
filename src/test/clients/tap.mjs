// What the tests of the clients for Node share: tests that print TAP, and the database.
//
// The environment says where they run: the variables of libpq name a database of its own, and
// KIND whether what the client uses there is a table or a map.

import {expect} from 'expect';
import pg from 'pg';

export {expect};
export const kind = process.env.KIND;
export const map = kind === 'map';

const tests = [];
const before = [];
const after = [];

export const test = (name, run) => tests.push({name, run});

// As the suite of keyv declares its tests.
export const declared = (prefix) => {
	const own = {before: [], after: []};
	return {
		it: (name, run) => tests.push({name: prefix + name, run, own}),
		beforeEach: (run) => own.before.push(run),
		afterEach: (run) => own.after.push(run),
	};
};

export const beforeEach = (run) => before.push(run);
export const atEnd = (run) => after.push(run);

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Where the tests themselves look at what the client has stored.
export const pool = new pg.Pool({max: 2});
export const rows = async (text, values) => (await pool.query(text, values)).rows;

// What a client was made with may fail in the background, when nobody awaits it.
const stray = [];
process.on('unhandledRejection', (error) => stray.push(error));
process.on('uncaughtException', (error) => stray.push(error));

const limit = 20000;
const withinLimit = (promise) => {
	let timer;
	const late = new Promise((_, reject) => {
		timer = setTimeout(() => reject(new Error(`not done after ${limit} ms`)), limit);
	});
	return Promise.race([promise, late]).finally(() => clearTimeout(timer));
};

export const run = async () => {
	let failed = 0;
	for (const {name, run, own} of tests) {
		try {
			expect.setState({assertionCalls: 0, expectedAssertionsNumber: null});
			for (const each of [...before, ...(own?.before ?? [])])
				await each();
			await withinLimit((async () => run({expect}))());
			for (const each of own?.after ?? [])
				await each();
			for (const {error} of expect.extractExpectedAssertionsErrors())
				throw error;
			if (stray.length)
				throw stray[0];
			console.log(`ok - ${name}`);
		} catch (error) {
			failed++;
			console.log(`not ok - ${name}`);
			console.log(String(error?.stack ?? error).replace(/^/gm, '# '));
		}
		stray.length = 0;
	}
	for (const each of after)
		await each();
	await pool.end();
	process.exit(failed ? 1 : 0);
};
