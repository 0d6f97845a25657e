-- What converts a key or a value is what the catalogs have now: a call site that is kept,
-- as that of an expression in a loop of PL/pgSQL, meets a domain's new CHECK, a cast's new
-- function, and that a cast is gone.
\pset format unaligned
\pset tuples_only on
CREATE DOMAIN small AS integer;
CREATE DOMAIN word AS text;
CREATE TYPE pair AS (a integer, b text);
CREATE TYPE wraps AS (v text);
SELECT syncmap.create('s', value_type => 'small'), syncmap.create('w', value_type => 'word'), syncmap.create('t'), syncmap.create('i', key_type => 'integer', value_type => 'integer');

-- Evaluates an expression with i = 1, 2, 3, and runs the command before the second.
CREATE FUNCTION meanwhile(expression text, command text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE 'DO $do$ DECLARE result text; BEGIN FOR i IN 1 .. 3 LOOP
		IF i = 2 THEN ' || command || '; END IF;
		BEGIN result := ' || expression || '; RAISE NOTICE ''%: %'', i, coalesce(result, ''NULL'');
		EXCEPTION WHEN OTHERS THEN RAISE NOTICE ''%: % %'', i, SQLSTATE, SQLERRM; END;
	END LOOP; END $do$';
END $$;
\set SHOW_CONTEXT never

-- ALTER DOMAIN ... ADD CHECK, by each way to a value
SELECT meanwhile($$syncmap.put('s', 'k' || i, i * 100)$$, 'ALTER DOMAIN small ADD CONSTRAINT tiny CHECK (VALUE < 150)');
SELECT key, value FROM s ORDER BY key;
ALTER DOMAIN small DROP CONSTRAINT tiny;
SELECT syncmap.clear('s');
SELECT meanwhile($$syncmap.put('s', 'k' || i, (i * 100)::text)$$, 'ALTER DOMAIN small ADD CONSTRAINT tiny CHECK (VALUE < 150)');
SELECT key, value FROM s ORDER BY key;
ALTER DOMAIN small DROP CONSTRAINT tiny;
SELECT syncmap.clear('s');
SELECT meanwhile($$(syncmap.get_or_put('s', 'k' || i, (i * 100)::text)).actual$$, 'ALTER DOMAIN small ADD CONSTRAINT tiny CHECK (VALUE < 150)');
ALTER DOMAIN small DROP CONSTRAINT tiny;
SELECT meanwhile($$syncmap.swap('s', 'k1', (i * 100)::text)$$, 'ALTER DOMAIN small ADD CONSTRAINT tiny CHECK (VALUE < 150)');
ALTER DOMAIN small DROP CONSTRAINT tiny;
SELECT meanwhile($$syncmap.compare_and_swap('s', 'k1', '100', (i * 100)::text)$$, 'ALTER DOMAIN small ADD CONSTRAINT tiny CHECK (VALUE < 150)');
ALTER DOMAIN small DROP CONSTRAINT tiny;
SELECT meanwhile($$syncmap.put_many('s', ARRAY['a' || i, 'b' || i], ARRAY[i, i * 100])$$, 'ALTER DOMAIN small ADD CONSTRAINT tiny CHECK (VALUE < 150)');
SELECT key, value FROM s ORDER BY key;
ALTER DOMAIN small DROP CONSTRAINT tiny;
SELECT syncmap.clear('s');
-- of text, and the other way round
SELECT meanwhile($$syncmap.put('w', 'k' || i, repeat('x', i))$$, 'ALTER DOMAIN word ADD CONSTRAINT one CHECK (length(VALUE) = 1)');
SELECT meanwhile($$syncmap.put('w', 'k' || i, repeat('x', i)::varchar)$$, 'ALTER DOMAIN word DROP CONSTRAINT one');
SELECT * FROM w ORDER BY key;
-- in a prepared statement, and one with a plan that is kept
SET plan_cache_mode = force_generic_plan;
PREPARE p AS SELECT syncmap.put('s', $1, $2::integer);
EXECUTE p('k', 500);
ALTER DOMAIN small ADD CONSTRAINT tiny CHECK (VALUE < 600);
EXECUTE p('k', 500);
EXECUTE p('k', 700);
RESET plan_cache_mode;
SELECT syncmap.get('s', 'k');
ALTER DOMAIN small DROP CONSTRAINT tiny;
-- the function that a CHECK calls
CREATE FUNCTION good(n integer) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RETURN true; END$$;
ALTER DOMAIN small ADD CONSTRAINT good CHECK (good(VALUE));
SELECT meanwhile($$syncmap.put('s', 'g' || i, i * 100)$$, $$CREATE OR REPLACE FUNCTION good(n integer) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN n < 150; END'$$);
SELECT key, value FROM s WHERE key LIKE 'g%' ORDER BY key;
ALTER DOMAIN small DROP CONSTRAINT good;
-- changed in a subtransaction that is rolled back, by a call in the same statement
SELECT meanwhile($$syncmap.put('s', 'r' || i, i * 100)$$, $$BEGIN ALTER DOMAIN small ADD CONSTRAINT tiny CHECK (VALUE < 150); RAISE division_by_zero; EXCEPTION WHEN division_by_zero THEN NULL; END$$);

-- CREATE OR REPLACE FUNCTION of a cast, in PL/pgSQL and as inlined SQL
CREATE FUNCTION unwrap(w wraps) RETURNS text LANGUAGE plpgsql AS $$BEGIN RETURN w.v; END$$;
CREATE CAST (wraps AS text) WITH FUNCTION unwrap(wraps) AS ASSIGNMENT;
SELECT meanwhile($$syncmap.put('t', 'k' || i, ROW('v' || i)::wraps)$$, $$CREATE OR REPLACE FUNCTION unwrap(w wraps) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN upper(w.v); END'$$);
SELECT * FROM t ORDER BY key;
CREATE OR REPLACE FUNCTION unwrap(w wraps) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT w.v';
SELECT meanwhile($$syncmap.put('t', 'k' || i, ROW('v' || i)::wraps)$$, $$CREATE OR REPLACE FUNCTION unwrap(w wraps) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT w.v || w.v'$$);
SELECT * FROM t ORDER BY key;
-- of a key's
SELECT meanwhile($$syncmap.get('t', ROW('k' || i)::wraps)$$, $$CREATE OR REPLACE FUNCTION unwrap(w wraps) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT ''k1''::text'$$);
-- whose cast is dropped, or is another one
CREATE OR REPLACE FUNCTION unwrap(w wraps) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT w.v';
SELECT meanwhile($$syncmap.put('t', 'd' || i, ROW('v' || i)::wraps)$$, 'DROP CAST (wraps AS text)');
SELECT meanwhile($$syncmap.put('t', 'e' || i, ROW('v' || i)::wraps)$$, 'CREATE CAST (wraps AS text) WITH INOUT AS ASSIGNMENT');
SELECT meanwhile($$syncmap.put('t', 'f' || i, ROW('v' || i)::wraps)$$, 'DROP CAST (wraps AS text); CREATE CAST (wraps AS text) WITH FUNCTION unwrap(wraps) AS ASSIGNMENT');
SELECT meanwhile($$syncmap.put('t', 'g' || i, ROW('v' || i)::wraps)$$, 'DROP FUNCTION unwrap CASCADE');
SELECT * FROM t WHERE key ~ '^[d-g]' ORDER BY key;
-- to a type that text does not convert to by itself
CREATE FUNCTION number(w wraps) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT length(w.v)';
CREATE CAST (wraps AS integer) WITH FUNCTION number(wraps) AS ASSIGNMENT;
SELECT meanwhile($$syncmap.put('i', i, ROW(repeat('x', i))::wraps)$$, $$CREATE OR REPLACE FUNCTION number(w wraps) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 10 * length(w.v)'$$);
SELECT meanwhile($$syncmap.get('i', ROW(repeat('x', i))::wraps)$$, $$CREATE OR REPLACE FUNCTION number(w wraps) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 1'$$);
SELECT meanwhile($$syncmap.put('i', 10 + i, ROW('x')::wraps)$$, 'DROP CAST (wraps AS integer)');
SELECT * FROM i ORDER BY key;

-- Values under a list of attributes that the type had, but has no more.
SELECT syncmap.create('p', value_type => 'pair'), syncmap.create('pp', value_type => 'pair[]');
CREATE FUNCTION alter_and_read(command text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM syncmap.put('p', 'k', ROW(1, 'x')::pair), syncmap.put('pp', 'k', ARRAY[ROW(1, 'x')::pair]);
	-- some versions refuse some of them, since a map uses the type
	BEGIN
		EXECUTE command;
	EXCEPTION WHEN feature_not_supported THEN
		RETURN NEXT command || ': refused or unreadable';
		RETURN;
	END;
	BEGIN
		RETURN NEXT command || ': ' || syncmap.get('p', 'k') || ' ' || syncmap.get('pp', 'k');
	EXCEPTION WHEN datatype_mismatch THEN
		RETURN NEXT command || ': refused or unreadable';
	END;
	-- none is taken for another, by whatever way; a name is not part of a value
	BEGIN PERFORM * FROM p; RETURN NEXT 'read as a row'; EXCEPTION WHEN datatype_mismatch THEN NULL; END;
	BEGIN PERFORM syncmap.get('pp', 'k', NULL::pair[]); RETURN NEXT 'read as an array'; EXCEPTION WHEN datatype_mismatch THEN NULL; END;
	BEGIN PERFORM * FROM syncmap.range('p'); RETURN NEXT 'read as a range'; EXCEPTION WHEN datatype_mismatch THEN NULL; END;
	PERFORM syncmap.clear('p'), syncmap.clear('pp');
	DROP TYPE pair CASCADE;
	CREATE TYPE pair AS (a integer, b text);
	ALTER FOREIGN TABLE p ADD value pair;
	ALTER FOREIGN TABLE pp ADD value pair[];
END $$;
\set VERBOSITY terse
SET client_min_messages = warning;
SELECT alter_and_read(c) FROM unnest('{ALTER TYPE pair ADD ATTRIBUTE c integer, ALTER TYPE pair ADD ATTRIBUTE c text, ALTER TYPE pair DROP ATTRIBUTE a,
	ALTER TYPE pair DROP ATTRIBUTE b, ALTER TYPE pair ALTER ATTRIBUTE a TYPE bigint, ALTER TYPE pair ALTER ATTRIBUTE a TYPE text, ALTER TYPE pair ALTER ATTRIBUTE b TYPE bytea,
	ALTER TYPE pair ALTER ATTRIBUTE b TYPE varchar(1), "ALTER TYPE pair DROP ATTRIBUTE b, ADD ATTRIBUTE b text", "ALTER TYPE pair DROP ATTRIBUTE a, ADD ATTRIBUTE a integer"}'::text[]) c;
SELECT alter_and_read('ALTER TYPE pair RENAME ATTRIBUTE a TO z');
RESET client_min_messages;
\set VERBOSITY default

DROP FOREIGN TABLE s, w, t, i, p, pp;
DROP FUNCTION meanwhile, alter_and_read, good, number;
DROP TYPE small, word, pair, wraps CASCADE;
\set SHOW_CONTEXT errors
