-- What fuzz calls: every function of ours with arguments from a pool, and options.
--
-- Run by a superuser; the calls are those of the role "stranger", who owns some maps,
-- may use some of others, and has no rights on the rest.

CREATE EXTENSION syncmap;
CREATE ROLE stranger LOGIN;
GRANT USAGE ON FOREIGN SERVER syncmap TO stranger;
GRANT USAGE ON SCHEMA syncmap TO stranger;
CREATE SCHEMA own AUTHORIZATION stranger;

-- what strangers put may have a map that evicts give way
SELECT syncmap.create('secret', eviction => 'none'), syncmap.create('readable', ordered => true), syncmap.create('writable', max_memory => '256kB');
GRANT SELECT ON readable TO stranger;
GRANT SELECT, INSERT, UPDATE, DELETE ON writable TO stranger;
SELECT syncmap.put('secret', 'k', 'a secret'), syncmap.put('readable', 'k', 'v');
CREATE TABLE plain (key text, value text);
GRANT ALL ON plain TO stranger;

-- Its own maps, which a call may drop.
CREATE FUNCTION make_maps() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	m text;
BEGIN
	SET LOCAL ROLE stranger;
	FOREACH m IN ARRAY '{
		"own.texts;ordered => true", "own.evicting;max_memory => ''64kB''", "own.kept;consistent => true, eviction => ''none'', max_memory => ''2MB''",
		"own.numbers;key_type => ''bigint'', value_type => ''bigint''", "own.small;key_type => ''integer'', value_type => ''numeric'', ordered => true",
		"own.ids;key_type => ''uuid'', value_type => ''jsonb''", "own.bytes;key_type => ''bytea'', value_type => ''timestamptz'', ttl => ''1 s''",
		"own.names;key_type => ''varchar(3)'', ordered => true", "own.chars;key_type => ''char(4)'', ordered => true", "own.tiny;key_type => ''smallint''",
		"own.dates;key_type => ''date'', value_type => ''integer'', ordered => true", "own.moments;key_type => ''timestamptz(0)'', ordered => true"}'::text[] LOOP
		IF to_regclass(split_part(m, ';', 1)) IS NULL THEN
			EXECUTE format('SELECT syncmap.create(%L, %s)', split_part(m, ';', 1), split_part(m, ';', 2));
		END IF;
	END LOOP;
	IF to_regclass('own.rows') IS NULL THEN
		CREATE FOREIGN TABLE own.rows (n integer, id varchar(4) OPTIONS (key 'true'), t text, a numeric[], until bigint OPTIONS (expires 'ms')) SERVER syncmap OPTIONS (ordered 'true');
	END IF;
	IF to_regclass('own.days') IS NULL THEN
		CREATE FOREIGN TABLE own.days (day date, n smallint NOT NULL DEFAULT 1, until timestamp OPTIONS (expires 'true')) SERVER syncmap;
	END IF;
	RESET ROLE;
END $$;
SELECT make_maps();

-- Rows whose columns sqlsmith can use as arguments.
CREATE TABLE own.arguments (map regclass, key text, value text, number bigint, small integer, id uuid, bytes bytea, yes boolean, span interval, keys text[], moment timestamptz);
ALTER TABLE own.arguments OWNER TO stranger;
INSERT INTO own.arguments SELECT m::regclass, k, repeat(k, 100), i, i, md5(k)::uuid, k::bytea, i % 2 = 0, i * interval '1 ms', ARRAY[k, NULL], now()
	FROM unnest('{secret, readable, writable, plain, own.texts, own.evicting, own.kept, own.numbers, own.small, own.ids, own.bytes, own.names, own.chars, own.tiny, own.dates, own.moments, own.rows, own.days}'::text[]) WITH ORDINALITY m(m, i), unnest('{"", k, ü}'::text[]) k;

-- What an argument of a type may be, as SQL.
CREATE TABLE pool (type text, expression text);
INSERT INTO pool SELECT type, regexp_split_to_table(expressions, '\s*\|\s*') FROM (VALUES
	('regclass', $$'secret' | 'readable' | 'writable' | 'plain' | 'own.texts' | 'own.texts' | 'own.evicting' | 'own.kept' | 'own.numbers' | 'own.small' |
		'own.ids' | 'own.bytes' | 'own.names' | 'own.chars' | 'own.tiny' | 'own.dates' | 'own.moments' | 'own.rows' | 'own.rows' | 'own.days' | NULL | 0 | 1259 | 'pg_class' | 4294967295$$),
	('text', $$NULL | '' | 'k' | 'k' | 'k1' | 'ü' | ' ' | '%' | E'\'\\' | E'\x01' | chr(1114111) | repeat('k', 1023) | repeat('k', 1024) | repeat('k', 65536) |
		repeat('v', 300000) | repeat(md5(random()::text), 4000) | '(1,,x,{1},)' | '(2,k,,,9000000000000)' | '(,,,,5)' | '2026-11-29' | '64kB' | '-1' | 'true' | 'none' | 'text' | 'integer[]' | 'pg_class' | 'no type' | 'own.new' | 'own.texts' |
		'SELECT $1::text' | 'SELECT 1' | 'SELECT $2::text' | 'SELECT 1, 2' | 'DELETE FROM own.arguments RETURNING key'$$),
	('text[]', $$NULL | '{}' | '{k}' | '{NULL}' | '{k,k,k1,NULL}' | '{{a,b},{c,d}}' | '[5:6]={x,y}' | array_fill('k'::text, ARRAY[3000]) | '{k1,k2}'$$),
	('bigint', '0 | NULL | 1 | -1 | 9223372036854775807 | -9223372036854775808 | 2147483648 | 10'),
	('integer', '0 | NULL | 1 | -1 | 2147483647 | -2147483648 | 7'),
	('boolean', 'NULL | true | false'),
	('interval', $$NULL | '0' | '1 ms' | '-1 s' | '1 h' | '178000000 years' | '-178000000 years' | '1 mon -30 days'$$),
	('any', $$NULL | 'k'::text | 1 | 1::bigint | 1.5 | 'k'::bytea | md5('k')::uuid | '{}'::jsonb | now() | ARRAY[1] | ROW(1, 'x') | ROW(1, 'k', 'x', NULL, NULL)::own.rows | NULL::own.rows | '2026-11-29'::date | 'x'::name | 5::smallint |
		'k'::varchar(3) | 'k  '::char(4) | 'infinity'::timestamptz | 'infinity'::date | '4714-11-24 BC'::timestamp | 32767::smallint | 'NaN'::numeric | NULL::text$$),
	('anyarray', $$NULL | '{}'::text[] | '{k,NULL}'::text[] | ARRAY[1,2] | ARRAY[1::bigint,NULL] | ARRAY['k'::bytea] | ARRAY[[1,2],[3,4]] | ARRAY[md5('k')::uuid] | ARRAY['k'::char(2)] | ARRAY['2026-01-02'::date, NULL] | ARRAY[ROW(1)]$$),
	('regtype', $$NULL | 'text' | 'bytea' | 'integer' | 'bigint' | 'uuid' | 'varchar(3)' | 'char(4)' | 'smallint' | 'date' | 'timestamp(0)' | 'timestamptz' | 'jsonb' | 'own.arguments' | 'record' | 'anyelement' | 'cstring' | 'text[]' | 0 | 'refcursor'$$)) p(type, expressions);

CREATE FUNCTION one(of_type text) RETURNS text LANGUAGE sql AS $$
	SELECT coalesce((SELECT expression FROM pool WHERE type = CASE of_type WHEN 'anyelement' THEN 'any' WHEN 'anycompatible' THEN 'any' WHEN 'anynonarray' THEN 'any' WHEN '"any"' THEN 'any' WHEN 'anycompatiblearray' THEN 'anyarray'
		ELSE of_type END ORDER BY random() LIMIT 1), 'NULL')
$$;

-- A call of a function of ours: some arguments are left out, or named.
CREATE FUNCTION random_call() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	f record;
	list text := '';
	given integer;
BEGIN
	SELECT p.oid, proname, coalesce(proargnames, '{}') AS names, pronargs, pronargdefaults, proretset, proargtypes INTO f
		FROM pg_proc p WHERE pronamespace = 'syncmap'::regnamespace AND prokind = 'f' AND proname !~ 'handler|validator|trigger|_fdw'
		ORDER BY random() LIMIT 1;
	given := f.pronargs - floor(random() * (f.pronargdefaults + 1))::integer;
	FOR i IN 1 .. f.pronargs LOOP
		CONTINUE WHEN i > f.pronargs - f.pronargdefaults AND i > given AND random() < 0.7;
		list := list || CASE WHEN list = '' THEN '' ELSE ', ' END ||
			CASE WHEN i > f.pronargs - f.pronargdefaults THEN quote_ident(f.names[i]) || ' => ' ELSE '' END ||
			'(' || one(format_type(f.proargtypes[i - 1], NULL)) || ')' ||
			CASE WHEN random() < 0.8 AND format_type(f.proargtypes[i - 1], NULL) !~ '^"?any' THEN '::' || format_type(f.proargtypes[i - 1], NULL) ELSE '' END;
	END LOOP;
	RETURN format('SELECT count(*) FILTER (WHERE s::text LIKE ''%%a secr%%'') FROM (SELECT * FROM syncmap.%I(%s) LIMIT 1000) s', f.proname, list);
END $$;

-- Statements about options and rows of maps.
CREATE FUNCTION random_statement() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	-- mostly its own
	m text := (ARRAY['own.texts', 'own.evicting', 'own.kept', 'own.numbers', 'own.small', 'own.ids', 'own.bytes', 'own.names', 'own.chars', 'own.tiny', 'own.dates', 'own.moments', 'readable', 'writable', 'secret'])[1 + floor(random() * 15)];
	options text[];
	option text;
	verb text := (ARRAY['ADD', 'SET', 'DROP', ''])[1 + floor(random() * 4)];
BEGIN
	SELECT array_agg(o) INTO options FROM (SELECT o FROM unnest('{eviction, max_memory, ttl, shards, ordered, consistent, promote_ratio, absent_ttl, stale, loader, nonsense, key_type}'::text[]) o ORDER BY random() LIMIT 1 + floor(random() * 2)) s;
	SELECT string_agg(verb || ' ' || o || CASE verb WHEN 'DROP' THEN '' ELSE ' ' || quote_literal((ARRAY['none', 'cache', 'true', 'false', '1MB', '64kB', '0', '-1', '1 h', '3', '4', '256', '99999999999999999999', '', 'ü', '1 s', '50', '100TB', 'on'])[1 + floor(random() * 19)]) END, ', ') INTO option FROM unnest(options) o;
	RETURN CASE floor(random() * 12)::integer
		WHEN 0 THEN format('ALTER FOREIGN TABLE %s OPTIONS (%s)', m, option)
		WHEN 1 THEN format('CREATE FOREIGN TABLE own.new%s (key %s, value %s) SERVER syncmap OPTIONS (%s)', floor(random() * 10), trim(one('regtype'), ''''), (ARRAY['text', 'integer', 'xml', 'own.arguments', 'text[]'])[1 + floor(random() * 5)], replace(replace(replace(option, 'ADD ', ''), 'SET ', ''), 'DROP ', ''))
		WHEN 2 THEN format('DROP FOREIGN TABLE own.new%s', floor(random() * 10))
		WHEN 3 THEN format('INSERT INTO %s (key, value) VALUES (%s, %s)%s', m, one('any'), one('any'), (ARRAY['', ' ON CONFLICT DO NOTHING', ' RETURNING *'])[1 + floor(random() * 3)])
		WHEN 4 THEN format('UPDATE %s SET %s = %s%s', m, (ARRAY['key', 'value', 'expires_at'])[1 + floor(random() * 3)], one('any'), (ARRAY['', ' WHERE key = ' || one('any'), ' WHERE key > ' || one('any')])[1 + floor(random() * 3)])
		WHEN 5 THEN format('DELETE FROM %s WHERE %s', m, (ARRAY['true', 'key = ' || one('any'), 'key >= ' || one('any') || ' AND key < ' || one('any'), 'key = ANY (' || one('anyarray') || ')'])[1 + floor(random() * 4)])
		WHEN 6 THEN format('SELECT count(*) FILTER (WHERE s::text LIKE ''%%a secr%%'') FROM (SELECT * FROM %s WHERE %s ORDER BY key %s LIMIT %s) s', m, (ARRAY['key LIKE ''k%''', 'key BETWEEN ' || one('any') || ' AND ' || one('any'), 'starts_with(key, ' || one('text') || ')', 'key <> ' || one('any'), 'key LIKE ' || one('text')])[1 + floor(random() * 5)], (ARRAY['', 'DESC', 'NULLS FIRST'])[1 + floor(random() * 3)], (ARRAY['ALL', '0', '3', '1000'])[1 + floor(random() * 4)])
		WHEN 7 THEN format('ALTER FOREIGN TABLE %s %s', m, (ARRAY['ALTER value TYPE text', 'ADD COLUMN more integer', 'DROP COLUMN expires_at', 'RENAME key TO k', 'RENAME k TO key', 'ALTER key TYPE bytea USING NULL', 'ADD COLUMN expires_at timestamptz', 'DISABLE TRIGGER ALL', 'ALTER key TYPE varchar(4)', 'ALTER key TYPE char(3) COLLATE "POSIX"', 'ALTER key TYPE timestamp'])[1 + floor(random() * 11)])
		WHEN 8 THEN format('INSERT INTO %s (key, value) VALUES (%s, %s), (%s, %s) ON CONFLICT (key) DO %s', m, one('any'), one('any'), one('any'), one('any'),
			(ARRAY['NOTHING', 'UPDATE SET value = excluded.value RETURNING *', 'UPDATE SET key = ' || one('any'), 'UPDATE SET value = ' || one('any') || ' WHERE excluded.key <> ' || one('any')])[1 + floor(random() * 4)])
		WHEN 9 THEN format('INSERT INTO own.rows VALUES (%s, %s, %s, %s, %s) ON CONFLICT (id) DO UPDATE SET %s RETURNING *', one('integer'), one('text'), one('text'), (ARRAY['NULL', '''{1,NULL}''', 'ARRAY[1.50]'])[1 + floor(random() * 3)], one('bigint'),
			(ARRAY['n = rows.n + 1', 't = excluded.t || rows.t, until = excluded.until', 'a = rows.a || excluded.a', '(n, t) = (SELECT 1, ''x'')', 'id = ' || one('text'), 'until = ' || one('bigint')])[1 + floor(random() * 6)])
		WHEN 10 THEN (ARRAY['UPDATE own.rows SET n = n + 1, a[2] = n RETURNING *', 'UPDATE own.rows SET until = ' || one('bigint') || ' WHERE id = ' || one('text'), 'DELETE FROM own.rows WHERE until > ' || one('bigint') || ' OR t LIKE ' || one('text'),
			'ALTER FOREIGN TABLE own.rows ADD COLUMN more text', 'ALTER FOREIGN TABLE own.rows DROP COLUMN more', 'ALTER FOREIGN TABLE own.rows ALTER t TYPE varchar(3)', 'ALTER FOREIGN TABLE own.rows ALTER t SET NOT NULL', 'ALTER FOREIGN TABLE own.rows ALTER t DROP NOT NULL',
			'ALTER FOREIGN TABLE own.rows ALTER until OPTIONS (SET expires ' || (ARRAY['''s''', '''ms''', '''false'''])[1 + floor(random() * 3)] || ')', 'ALTER FOREIGN TABLE own.rows ALTER n OPTIONS (ADD key ''true''), ALTER id OPTIONS (SET key ''false'')', 'TRUNCATE own.rows',
			'SELECT rows, n FROM own.rows WHERE id >= ' || one('text') || ' ORDER BY id LIMIT 3', 'INSERT INTO own.days VALUES (' || one('any') || ') ON CONFLICT (day) DO UPDATE SET n = days.n + 1, until = now() RETURNING *', 'INSERT INTO own.days (day, until) VALUES (current_date + ' || one('integer') || ', ' || one('text') || ')'])[1 + floor(random() * 14)]
		ELSE format('%s %s', (ARRAY['TRUNCATE', 'ANALYZE', 'SELECT count(*) FROM', 'LOCK TABLE'])[1 + floor(random() * 4)], m)
		END;
END $$;

-- What came out, by SQLSTATE.
CREATE TABLE outcome (state text PRIMARY KEY, n bigint, example text);

-- Calls so many, as the stranger, each in a subtransaction that is sometimes rolled back.
CREATE PROCEDURE call_at_random(n integer) LANGUAGE plpgsql AS $$
DECLARE
	statement text;
	state text;
	told bigint;
BEGIN
	FOR i IN 1 .. n LOOP
		statement := CASE WHEN random() < 0.7 THEN random_call() ELSE random_statement() END;
		BEGIN
			SET LOCAL ROLE stranger;
			SET LOCAL client_min_messages = error;
			told := 0;
			IF statement ~ '^SELECT count\(\*\) FILTER' THEN
				EXECUTE statement INTO told;
			ELSE
				EXECUTE statement;
			END IF;
			state := CASE told WHEN 0 THEN '00000' ELSE 'told' END;
			IF random() < 0.1 THEN RAISE 'rolled back' USING ERRCODE = 'P0001'; END IF;
		EXCEPTION WHEN OTHERS THEN
			state := sqlstate || CASE WHEN sqlstate ~ '^(XX|58)' THEN ' ' || sqlerrm ELSE '' END;
		END;
		RESET ROLE;
		INSERT INTO outcome VALUES (state, 1, statement) ON CONFLICT ON CONSTRAINT outcome_pkey DO UPDATE SET n = outcome.n + 1;
		IF i % 20 = 0 THEN
			COMMIT;
			PERFORM make_maps();
		END IF;
	END LOOP;
END $$;
