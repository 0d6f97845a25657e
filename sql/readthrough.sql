-- Reading through: settings, what is remembered of no row, old values, queries of one's own.
\set VERBOSITY terse
CREATE SCHEMA r;
SET search_path = r;
CREATE TABLE t (k integer PRIMARY KEY, v text);
INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 20) i;

-- a loader runs with the same settings for all, whatever the session or the loader has set
CREATE FUNCTION settings(k integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	found text := concat_ws(' ', current_setting('search_path'), current_setting('TimeZone'), current_setting('DateStyle'), current_setting('IntervalStyle'), current_setting('extra_float_digits'), current_setting('bytea_output'), current_setting('transform_null_equals'), current_setting('timezone_abbreviations'));
BEGIN
	IF k < 0 THEN
		PERFORM set_config(name, value, k = -1)
		FROM (VALUES ('search_path', 'r'), ('TimeZone', 'Asia/Tokyo'), ('DateStyle', 'German'), ('IntervalStyle', 'iso_8601'), ('extra_float_digits', '-3'), ('bytea_output', 'escape'), ('transform_null_equals', 'on'), ('timezone_abbreviations', 'India')) s(name, value);
	END IF;
	RETURN found;
END $$;
SELECT syncmap.create('r.s', key_type => 'int', loader => 'SELECT r.settings($1)');
CREATE FUNCTION mine() RETURNS text LANGUAGE sql AS
$$SELECT concat_ws(' ', current_setting('search_path'), current_setting('TimeZone'), current_setting('DateStyle'), current_setting('IntervalStyle'), current_setting('extra_float_digits'), current_setting('bytea_output'), current_setting('transform_null_equals'), current_setting('timezone_abbreviations'))$$;
SELECT syncmap.fetch('s', 1);
SET search_path = pg_catalog, pg_temp;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO, MDY';
SELECT syncmap.fetch('r.s', -1);
SELECT r.mine();
SELECT syncmap.fetch('r.s', -2);
SELECT r.mine();
SELECT syncmap.fetch('r.s', 2);
SET search_path = r;
SET TimeZone = 'Asia/Tokyo';
SET DateStyle = 'German';
SET IntervalStyle = 'iso_8601';
SET extra_float_digits = -3;
SET bytea_output = 'escape';
SET transform_null_equals = on;
SET timezone_abbreviations = 'India';
SELECT syncmap.fetch('s', 3);
SELECT syncmap.fetch('s', -3);
SELECT mine();
RESET ALL;
SET search_path = r;

-- what its options say holds from their ALTER on
SELECT syncmap.create('r.o', key_type => 'int', loader => 'SELECT 1');
SELECT syncmap.fetch('o', 1);
ALTER FOREIGN TABLE o OPTIONS (SET loader 'SELECT 2');
SELECT syncmap.fetch('o', 2);
BEGIN;
ALTER FOREIGN TABLE o OPTIONS (SET loader 'SELECT 3');
SELECT syncmap.fetch('o', 3);
ROLLBACK;
SELECT syncmap.fetch('o', 4);
ALTER FOREIGN TABLE o OPTIONS (DROP loader);
SELECT syncmap.fetch('o', 5);

SET client_min_messages = warning;
DROP SCHEMA r CASCADE;
