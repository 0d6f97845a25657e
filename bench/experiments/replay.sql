-- replay.sql
--   A session's accesses to objects in a table, with a map before it and without; keys are
--   text or bigint.  accesses (n, bigint_key, text_key) is there.

CREATE TABLE chunks AS
	SELECT min(n) AS n, array_agg(bigint_key ORDER BY n) AS bigint_keys, array_agg(text_key ORDER BY n) AS text_keys
	FROM accesses GROUP BY (n - 1) / 100000;

DO $do$
DECLARE
	type text;
	collated text;
BEGIN
	FOR type, collated IN VALUES ('text', 'COLLATE "C"'), ('bigint', '')
	LOOP
		EXECUTE format($$
			CREATE TABLE objects_%1$s (key %1$s %2$s PRIMARY KEY, value text NOT NULL);
			INSERT INTO objects_%1$s
				SELECT %1$s_key, md5('a' || %1$s_key) || md5('b' || %1$s_key) || md5('c' || %1$s_key)
				FROM accesses GROUP BY %1$s_key ORDER BY md5(%1$s_key::text);
			SELECT syncmap.create('cache_%1$s', key_type => '%1$s');

			CREATE FUNCTION load_%1$s(wanted %1$s) RETURNS text LANGUAGE plpgsql AS $body$
			DECLARE
				v text;
			BEGIN
				SELECT value INTO v FROM objects_%1$s WHERE key = wanted;
				PERFORM syncmap.put('cache_%1$s', wanted, v);
				RETURN v;
			END $body$;

			CREATE FUNCTION through_map_%1$s(keys %1$s[]) RETURNS text LANGUAGE plpgsql AS $body$
			DECLARE
				k %1$s;
				v text;
			BEGIN
				FOREACH k IN ARRAY keys LOOP
					v := coalesce(syncmap.get('cache_%1$s', k), load_%1$s(k));
				END LOOP;
				RETURN v;
			END $body$;

			CREATE FUNCTION from_table_%1$s(keys %1$s[]) RETURNS text LANGUAGE plpgsql AS $body$
			DECLARE
				k %1$s;
				v text;
			BEGIN
				FOREACH k IN ARRAY keys LOOP
					SELECT value INTO v FROM objects_%1$s WHERE key = k;
				END LOOP;
				RETURN v;
			END $body$;
		$$, type, collated);
	END LOOP;
END $do$;

VACUUM ANALYZE;
