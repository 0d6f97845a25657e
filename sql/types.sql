-- Keys and values of other types than text.
\set VERBOSITY terse
SET timezone = 'UTC';

-- each type of key comes back as it was, at its limits too
SELECT syncmap.create('by_text', value_type => 'integer');
SELECT syncmap.create('by_bytea', key_type => 'bytea', value_type => 'integer');
SELECT syncmap.create('by_int4', key_type => 'integer', value_type => 'integer');
SELECT syncmap.create('by_int8', key_type => 'bigint', value_type => 'integer');
SELECT syncmap.create('by_uuid', key_type => 'uuid', value_type => 'integer');
INSERT INTO by_text VALUES ('', 1), ('a', 2), ('ä', 3), (repeat('x', 2048), 4);
INSERT INTO by_bytea VALUES ('', 1), ('\x00', 2), ('\x0000', 3), ('\xff', 4);
INSERT INTO by_int4 VALUES (-2147483648, 1), (-1, 2), (0, 3), (2147483647, 4);
INSERT INTO by_int8 VALUES (-9223372036854775808, 1), (-1, 2), (0, 3), (9223372036854775807, 4);
INSERT INTO by_uuid VALUES ('00000000-0000-0000-0000-000000000000', 1), ('ffffffff-ffff-ffff-ffff-ffffffffffff', 4),
	('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 3);
SELECT left(key, 5), length(key), value FROM by_text ORDER BY value;
SELECT * FROM by_bytea ORDER BY value;
SELECT * FROM by_int4 ORDER BY value;
SELECT * FROM by_int8 ORDER BY value;
SELECT * FROM by_uuid ORDER BY value;

-- by the functions: the native type, a text, a literal
SELECT syncmap.get('by_int8', -1), syncmap.get('by_int8', '-1'), syncmap.get('by_int8', '-1'::text),
	syncmap.get('by_int8', -1::smallint), syncmap.get('by_int8', -1::bigint, NULL::integer) + 1 AS plus_one;
SELECT syncmap.get('by_int4', -1), syncmap.get('by_int4', -1::bigint), syncmap.contains('by_int4', ' 0 ');
SELECT syncmap.get('by_uuid', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'), syncmap.get('by_uuid', 'A0EEBC999C0B4EF8BB6D6BB9BD380A11'::uuid);
SELECT syncmap.get('by_bytea', '\x00'), syncmap.get('by_bytea', '\xff'::bytea);
SELECT syncmap.get('by_text', 'a'), syncmap.get('by_text', 'a'::varchar), syncmap.get('by_text', 'a'::name), syncmap.get('by_text', 'a '::char(3));
SELECT syncmap.get('by_int8', 'x');
SELECT syncmap.get('by_int4', 2147483648);
SELECT syncmap.get('by_uuid', 42);
SELECT syncmap.get('by_int8', now());
SELECT syncmap.get('by_int8', ARRAY[1, 2]);

-- every combination of literals and typed arguments
SELECT syncmap.create('m', key_type => 'bigint', value_type => 'jsonb');
SELECT syncmap.put('m', '1', '{"a": 1}'), syncmap.put('m', 2, '{"a": 2}'), syncmap.put('m', '3', '{"a": 3}'::jsonb),
	syncmap.put('m', 4, '{"a": 4}'::jsonb), syncmap.put('m', 5::bigint, '{"a": 5}'::text), syncmap.put('m', '6'::text, '6'::jsonb);
SELECT * FROM m ORDER BY key;
SELECT syncmap.put('m', 42, 'x');
SELECT syncmap.put('m', 42, 43);
SELECT syncmap.put('m', 42, NULL::jsonb);
SELECT syncmap.put('m', NULL::bigint, '1');
SELECT syncmap.get('m', 1, NULL::jsonb) -> 'a' AS a, syncmap.get('m', 99, NULL::jsonb), syncmap.get('m', NULL::bigint, NULL::jsonb),
	pg_typeof(syncmap.get('m', 1, NULL::jsonb)), pg_typeof(syncmap.get('m', 1));
\set VERBOSITY default
SELECT syncmap.get('m', 1, NULL::json);
SELECT syncmap.put('m', 42, point '(1,2)');
SELECT syncmap.put('m', point '(1,2)', '1');
SELECT syncmap.swap('m', 1, 1);
SELECT syncmap.increment('m', 1);
\set VERBOSITY terse
SELECT syncmap.swap('m', 1, '"new"'), syncmap.swap('m', 1, '"newer"'::jsonb);
SELECT * FROM syncmap.get_or_put('m', 1, '"no"'::jsonb), syncmap.get_or_put('m', 7, '{"b":7}') AS text;
-- a value that was text is stored and returned as it is, whatever the key
SELECT syncmap.create('keyed', key_type => 'integer'), syncmap.create('texts');
SELECT * FROM syncmap.get_or_put('keyed', 7, 'seven') keyed, syncmap.get_or_put('keyed', 7, 'eight') again,
	syncmap.get_or_put('texts', 7, 'seven') texts, syncmap.get_or_put('texts', '7', 'eight') AS text;
SELECT syncmap.drop('keyed'), syncmap.drop('texts');
SELECT syncmap.compare_and_swap('m', 1, '"newer"', '"newest"'), syncmap.compare_and_swap('m', 1, '"x"'::jsonb, '"y"'::jsonb),
	syncmap.compare_and_delete('m', 1, '"newest"'::jsonb), syncmap.contains('m', 1);
SELECT syncmap.get_and_delete('m', 2), syncmap.get_and_delete('m', 3, NULL::jsonb), syncmap.get_and_delete('m', 3, NULL::jsonb);
SELECT syncmap.expire('m', 4, '1 hour'), syncmap.ttl('m', 4) > '59 min', syncmap.ttl('m', '5'), syncmap.delete('m', 6);
SELECT syncmap.get_many('m', ARRAY[4, 5, 6]), syncmap.get_many('m', '{5,99}', NULL::jsonb), syncmap.get_many('m', '{}'::int[]);
SELECT syncmap.put_many('m', ARRAY[10, 11], ARRAY['1', '2']::jsonb[]), syncmap.put_many('m', ARRAY[12], '{"[1]"}'),
	syncmap.put_many('m', '{13,14}', ARRAY['{}', '[]']), syncmap.put_many('m', ARRAY[15, 16], ARRAY['1', 'x']);
SELECT syncmap.put_many('m', ARRAY[10, 11], ARRAY['1', '2']::jsonb[]), syncmap.put_many('m', ARRAY[12], '{"[1]"}'),
	syncmap.put_many('m', '{13,14}', ARRAY['{}', '[]']);
SELECT syncmap.contains('m', 15) AS nothing_of_it, syncmap.delete_many('m', '{10,11,99}'), syncmap.delete_many('m', ARRAY[12, 13]);
SELECT * FROM syncmap.range('m') ORDER BY key;

-- numbers are incremented as what they are
SELECT syncmap.create('n2', value_type => 'smallint'), syncmap.create('n4', value_type => 'integer'), syncmap.create('n8', key_type => 'uuid', value_type => 'bigint');
SELECT syncmap.increment('n2', 'k'), syncmap.increment('n2', 'k', 32766), syncmap.get('n2', 'k', NULL::smallint);
SELECT syncmap.increment('n2', 'k');
SELECT syncmap.increment('n2', 'new', -32769);
SELECT syncmap.increment('n4', 'k', -2147483648), syncmap.get('n4', 'k');
SELECT syncmap.increment('n4', 'k', -1);
SELECT syncmap.increment('n8', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid, 9223372036854775807);
SELECT syncmap.increment('n8', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11');
SELECT * FROM n2, n4, n8;

-- values of all kinds: composite, array, domain, enum, range, numeric, fixed length, by reference
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE pair AS (a integer, b text);
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE DOMAIN label AS varchar(5);
CREATE FUNCTION round_trip(type text, VARIADIC literals text[]) RETURNS TABLE (value text, through_text boolean, native boolean)
LANGUAGE plpgsql AS $$
DECLARE
	literal text;
BEGIN
	PERFORM syncmap.create('v', value_type => type);
	FOREACH literal IN ARRAY literals LOOP
		PERFORM syncmap.put('v', 'k', literal);
		value := left(syncmap.get('v', 'k'), 60);
		EXECUTE format('SELECT syncmap.get(''v'', ''k'')::%1$s IS NOT DISTINCT FROM $1::%1$s', type) INTO through_text USING literal;
		EXECUTE format('SELECT syncmap.put(''v'', ''k'', $1::%1$s)', type) USING literal;
		EXECUTE format('SELECT syncmap.get(''v'', ''k'', NULL::%1$s) IS NOT DISTINCT FROM $1::%1$s
			AND (SELECT value IS NOT DISTINCT FROM $1::%1$s FROM v WHERE key = ''k'')', type) INTO native USING literal;
		RETURN NEXT;
	END LOOP;
	PERFORM syncmap.drop('v');
END $$;
SELECT * FROM round_trip('boolean', 't', 'f');
SELECT * FROM round_trip('"char"', 'x');
SELECT * FROM round_trip('smallint', '-1');
SELECT * FROM round_trip('real', '1.5', 'NaN');
SELECT * FROM round_trip('float8', '-0.1', 'Infinity');
SELECT * FROM round_trip('numeric', '1.10', '-123456789012345678901234567890.5', 'NaN');
SELECT * FROM round_trip('numeric(10,2)', '1.1');
SELECT * FROM round_trip('text', '', 'text');
SELECT * FROM round_trip('char(5)', 'ab');
SELECT * FROM round_trip('varchar(5)', 'abcde');
SELECT * FROM round_trip('name', 'somebody');
SELECT * FROM round_trip('bytea', '', '\x00ff');
SELECT * FROM round_trip('uuid', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11');
SELECT * FROM round_trip('timestamptz', '2026-11-23 12:00+00', 'infinity');
SELECT * FROM round_trip('interval', '1 mon 2 days');
SELECT * FROM round_trip('timetz', '12:00:00+01');
SELECT * FROM round_trip('inet', '10.0.0.1/8', '::1');
SELECT * FROM round_trip('int4range', '[1,5)', 'empty');
SELECT * FROM round_trip('int4multirange', '{[1,3),[5,7)}');
SELECT * FROM round_trip('integer[]', '{}', '{1,NULL,3}', '[2:3]={4,5}', '{{1,2},{3,4}}');
SELECT * FROM round_trip('text[]', '{"a b",NULL}');
SELECT * FROM round_trip('jsonb', '{"b": [1, {"c": null}], "a": "x"}', '1');
SELECT * FROM round_trip('mood', 'ok');
SELECT * FROM round_trip('pair', '(1,x)', '(,)');
SELECT * FROM round_trip('pair[]', '{"(1,x)","(2,)"}');
SELECT * FROM round_trip('positive', '7');
SELECT * FROM round_trip('label', 'abc');
SELECT * FROM round_trip('tsvector', 'a b c');
SELECT * FROM round_trip('regclass', 'pg_class');

-- a type's limits hold, by whatever way a value comes
SELECT syncmap.create('d', value_type => 'positive'), syncmap.create('l', value_type => 'varchar(5)'), syncmap.create('e', value_type => 'mood'),
	syncmap.create('p', value_type => 'pair');
SELECT syncmap.put('d', 'k', '-1');
SELECT syncmap.put('d', 'k', -1);
INSERT INTO d VALUES ('k', -1);
SELECT syncmap.put('d', 'k', 5), syncmap.get('d', 'k', NULL::integer), syncmap.get('d', 'k', NULL::positive);
SELECT syncmap.put('l', 'k', 'too long');
SELECT syncmap.put('l', 'k', 'too long'::varchar);
INSERT INTO l VALUES ('k', 'too long');
SELECT syncmap.put('l', 'k', 'abc  '::varchar), syncmap.get('l', 'k') || '|';
SELECT syncmap.put('e', 'k', 'angry');
SELECT syncmap.put('e', 'k', 'happy'::mood), syncmap.get('e', 'k');
SELECT syncmap.put('p', 'k', ROW(1, 'x')::pair), (syncmap.get('p', 'k', NULL::pair)).b, syncmap.get('p', 'k');
SELECT syncmap.put('p', 'k', ROW(1, 'x'));

-- large values, and such as were compressed, are stored whole
SELECT syncmap.create('big', value_type => 'jsonb');
CREATE TEMP TABLE toasted AS SELECT jsonb_agg(md5(n::text)) AS j FROM generate_series(1, 5000) n;
INSERT INTO big SELECT 'native', j FROM toasted;
SELECT syncmap.put('big', 'text', j::text), syncmap.put('big', 'put', j) FROM toasted;
SELECT key, value = j AS same FROM big, toasted ORDER BY key;
CREATE TYPE holder AS (j jsonb, t text);
SELECT syncmap.create('held', value_type => 'holder');
SELECT syncmap.put('held', 'k', ROW(j, repeat('compressible', 1000))::holder) FROM toasted;
TRUNCATE toasted;
SELECT length((value).t), jsonb_array_length((value).j) FROM held;

-- types that are altered or dropped: an error, and no crash
-- (some versions refuse to change an attribute's type, since a map uses it)
CREATE FUNCTION tolerant(command text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE command;
EXCEPTION WHEN feature_not_supported THEN
	NULL;
END $$;
ALTER TYPE pair ADD ATTRIBUTE c numeric;
SELECT syncmap.get('p', 'k');
SELECT syncmap.get('p', 'k', NULL::pair);
\set VERBOSITY default
SELECT * FROM p;
\set VERBOSITY terse
SELECT key FROM p;
SELECT syncmap.put('p', 'k', ROW(1, 'one', 1.1)::pair), syncmap.get('p', 'k');
SELECT syncmap.create('ps', value_type => 'pair[]');
SELECT syncmap.put('ps', 'k', ARRAY[ROW(1, 'one', 1.1)::pair]);
ALTER TYPE pair DROP ATTRIBUTE b;
SELECT syncmap.get('ps', 'k');
SELECT syncmap.delete('ps', 'k'), syncmap.clear('p');
SELECT tolerant('ALTER TYPE pair ALTER ATTRIBUTE a TYPE text');
SELECT syncmap.put('p', 'k', '(1,2.5)'), syncmap.get('p', 'k'), (syncmap.get('p', 'k', NULL::pair)).c;
CREATE TABLE rows (a integer, b text);
SELECT syncmap.create('r', value_type => 'rows');
SELECT syncmap.put('r', 'k', ROW(1, 'one')::rows), syncmap.get('r', 'k');
SELECT tolerant('ALTER TABLE rows ALTER a TYPE text USING NULL');
ALTER TABLE rows ADD c text;
SELECT * FROM r;
SELECT syncmap.get('r', 'k');
DROP TABLE rows CASCADE;
SELECT syncmap.get('r', 'k');
DROP FOREIGN TABLE r;
ALTER TYPE mood RENAME VALUE 'happy' TO 'glad';
SELECT syncmap.get('e', 'k');
DROP TYPE mood CASCADE;
SELECT syncmap.get('e', 'k');
SELECT * FROM e;
ALTER FOREIGN TABLE e ADD value text;
SELECT syncmap.get('e', 'k');
SELECT syncmap.clear('e'), syncmap.put('e', 'k', 'v');
SELECT syncmap.drop('e');

-- a map's own types are altered when it is empty
SELECT syncmap.put('n4', 'k', 1);
ALTER FOREIGN TABLE n4 ALTER value TYPE bigint;
BEGIN;
TRUNCATE n4;
ALTER FOREIGN TABLE n4 ALTER value TYPE bigint;
SELECT syncmap.put('n4', 'k', 5000000000);
COMMIT;
SELECT syncmap.get('n4', 'k', NULL::bigint);
BEGIN;
SELECT syncmap.clear('n4');
ALTER FOREIGN TABLE n4 ALTER value TYPE text, ALTER key TYPE uuid;
SELECT syncmap.put('n4', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'text');
ROLLBACK;
SELECT syncmap.get('n4', 'k');
SELECT syncmap.clear('n4'), syncmap.put('n4', 'k', 1);

-- code that runs while a value is converted may do anything
CREATE FUNCTION meddle(n integer) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	IF n = 1 THEN
		PERFORM syncmap.put('odd', 'other', '2');
	ELSIF n = 3 THEN
		PERFORM syncmap.clear('odd');
		ALTER FOREIGN TABLE odd ALTER value TYPE jsonb;
		PERFORM syncmap.put('odd', 'other', '{}');
	END IF;
	RETURN true;
END $$;
CREATE DOMAIN meddling AS integer CHECK (meddle(VALUE));
SELECT syncmap.create('odd', value_type => 'meddling');
SELECT syncmap.put('odd', 'k', 1), syncmap.get_many('odd', '{k,other}');
SELECT syncmap.put('odd', 'k', 3);
SELECT syncmap.put('odd', 'k', '3');
SELECT syncmap.get_many('odd', '{k,other}');

DROP FOREIGN TABLE by_text, by_bytea, by_int4, by_int8, by_uuid, m, n2, n4, n8, d, l, p, ps, big, held, odd;
DROP FUNCTION round_trip, tolerant, meddle CASCADE;
DROP TYPE pair, positive, label, holder;
