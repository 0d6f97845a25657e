-- Effects are immediate and not undone; maps themselves follow their relation.
SELECT syncmap.create('m');
BEGIN;
SELECT syncmap.put('m', 'k', 'stays');
SELECT syncmap.increment('m', 'n');
ROLLBACK;
SELECT syncmap.get('m', 'k'), syncmap.get('m', 'n');
BEGIN;
SAVEPOINT s;
SELECT syncmap.delete('m', 'k');
ROLLBACK TO s;
SELECT syncmap.get('m', 'k') IS NULL AS gone;
COMMIT;

-- an error after a put
DO $$
BEGIN
	PERFORM syncmap.put('m', 'k', 'before the error');
	RAISE division_by_zero;
END $$;
SELECT syncmap.get('m', 'k');

-- a rolled-back creation, used before
BEGIN;
SELECT syncmap.create('never');
SELECT syncmap.put('never', 'k', 'v'), syncmap.get('never', 'k');
ROLLBACK;
SELECT syncmap.get('never', 'k');
BEGIN;
SAVEPOINT s;
SELECT syncmap.create('never');
SELECT syncmap.put('never', 'k', 'v');
ROLLBACK TO s;
SELECT syncmap.create('never');
SELECT syncmap.get('never', 'k') IS NULL AS empty;
COMMIT;
SELECT syncmap.drop('never');

-- a rolled-back drop leaves all as it was
BEGIN;
SELECT syncmap.drop('m');
ROLLBACK;
SELECT syncmap.get('m', 'k');
BEGIN;
SAVEPOINT s;
SELECT syncmap.drop('m');
ROLLBACK TO s;
SELECT syncmap.get('m', 'k');
COMMIT;
SELECT syncmap.get('m', 'k');

-- drop and create again: a new map
SELECT syncmap.drop('m');
SELECT syncmap.create('m');
SELECT syncmap.count('m'), syncmap.get('m', 'k') IS NULL AS empty;

-- a rename, another schema, a comment: the same map
SELECT syncmap.put('m', 'k', 'v');
ALTER FOREIGN TABLE m RENAME TO renamed;
CREATE SCHEMA s;
ALTER FOREIGN TABLE renamed SET SCHEMA s;
COMMENT ON FOREIGN TABLE s.renamed IS 'a map';
SELECT syncmap.get('s.renamed', 'k');

-- dropping its schema drops it
\set VERBOSITY terse
DROP SCHEMA s CASCADE;
\set VERBOSITY default

-- more maps, one after the other, than there is place for at a time
DO $$
BEGIN
	FOR i IN 1..300 LOOP
		PERFORM syncmap.create('passing');
		PERFORM syncmap.put('passing', 'k', repeat('v', 1000000));
		PERFORM syncmap.drop('passing');
		PERFORM syncmap.create('passing2');
		PERFORM syncmap.put('passing2', 'k', 'v');
		EXECUTE 'DROP FOREIGN TABLE passing2';
		COMMIT;
	END LOOP;
END $$;

-- the same in one transaction that is rolled back, savepoint by savepoint
DO $$
BEGIN
	FOR i IN 1..300 LOOP
		BEGIN
			PERFORM syncmap.create('passing');
			PERFORM syncmap.put('passing', 'k', repeat('v', 1000000));
			RAISE division_by_zero;
		EXCEPTION WHEN division_by_zero THEN
		END;
	END LOOP;
END $$;

-- prepared statements, PL/pgSQL, triggers
SELECT syncmap.create('m');
PREPARE p(text, text) AS SELECT syncmap.put('m', $1, $2);
PREPARE g(text) AS SELECT syncmap.get('m', $1);
EXECUTE p('k', 'prepared');
EXECUTE g('k');
SELECT syncmap.drop('m');
SELECT syncmap.create('m');
EXECUTE g('k');
DEALLOCATE ALL;
CREATE TABLE account (name text PRIMARY KEY, role text);
CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM syncmap.put('m', NEW.name, NEW.role);
	RETURN NEW;
END $$;
CREATE TRIGGER t AFTER INSERT OR UPDATE ON account FOR EACH ROW EXECUTE FUNCTION forget();
INSERT INTO account VALUES ('alice', 'admin'), ('bob', 'guest');
UPDATE account SET role = 'owner' WHERE name = 'bob';
SELECT name, syncmap.get('m', name) FROM account ORDER BY 1;
DROP TABLE account;
DROP FUNCTION forget;

-- a cursor over a range, and a map that changes meanwhile
SELECT sum(syncmap.put('m', 'c' || n, n::text)::int) FROM generate_series(1, 20000) n;
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM syncmap.range('m');
MOVE 10 IN c;
SELECT count(syncmap.delete('m', 'c' || n)) FROM generate_series(1, 20000) n;
MOVE 25000 IN c;
COMMIT;
SELECT syncmap.drop('m');
