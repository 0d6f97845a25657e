-- The relation's privileges decide.
CREATE ROLE syncmap_owner;
CREATE ROLE syncmap_user;
GRANT CREATE, USAGE ON SCHEMA public TO syncmap_owner, syncmap_user;
CREATE FUNCTION can(command text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE command;
	RETURN 'yes';
EXCEPTION WHEN insufficient_privilege THEN
	RETURN 'no: ' || SQLERRM;
END $$;
CREATE FUNCTION rights() RETURNS TABLE (call text, allowed text) LANGUAGE sql AS $$
	SELECT c, can('SELECT syncmap.' || c)
	FROM unnest(ARRAY['get(''m'', ''k'')', 'contains(''m'', ''k'')', 'count(''m'')',
		'get_many(''m'', ''{k}'')', 'range(''m'')', 'put(''m'', ''k'', ''v'')',
		'put_many(''m'', ''{k}'', ''{v}'')', 'get_or_put(''m'', ''k'', ''v'')',
		'swap(''m'', ''k'', ''v'')', 'compare_and_swap(''m'', ''k'', ''v'', ''v'')',
		'increment(''m'', ''n'')', 'delete(''m'', ''x'')', 'delete_many(''m'', ''{x}'')',
		'get_and_delete(''m'', ''x'')', 'compare_and_delete(''m'', ''k'', ''x'')',
		'clear(''m'')', 'drop(''m'')']) c $$;

-- the server decides who may create maps
SET ROLE syncmap_owner;
SELECT can($$SELECT syncmap.create('m')$$);
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER syncmap TO syncmap_owner;
SET ROLE syncmap_owner;
SELECT syncmap.create('m');

-- nothing is granted to others
SET ROLE syncmap_user;
SELECT * FROM rights();

-- each privilege for itself, at once
\pset tuples_only on
SET ROLE syncmap_owner;
GRANT SELECT ON m TO syncmap_user;
SET ROLE syncmap_user;
SELECT call FROM rights() WHERE allowed = 'yes';
SET ROLE syncmap_owner;
REVOKE SELECT ON m FROM syncmap_user;
GRANT INSERT, UPDATE ON m TO syncmap_user;
SET ROLE syncmap_user;
SELECT call FROM rights() WHERE allowed = 'yes';
SET ROLE syncmap_owner;
GRANT SELECT ON m TO syncmap_user;
SET ROLE syncmap_user;
SELECT call FROM rights() WHERE allowed = 'yes';
SET ROLE syncmap_owner;
REVOKE ALL ON m FROM syncmap_user;
GRANT SELECT, DELETE ON m TO syncmap_user;
SET ROLE syncmap_user;
SELECT call FROM rights() WHERE allowed = 'yes';
SET ROLE syncmap_owner;
REVOKE ALL ON m FROM syncmap_user;
GRANT TRUNCATE ON m TO syncmap_user;
SET ROLE syncmap_user;
SELECT call FROM rights() WHERE allowed = 'yes';
RESET ROLE;

-- a prepared call looks again after a revocation, a role's change, a membership
SET ROLE syncmap_owner;
GRANT SELECT ON m TO syncmap_user;
SELECT syncmap.put('m', 'k', 'v');
SET ROLE syncmap_user;
PREPARE g AS SELECT syncmap.get('m', 'k');
EXECUTE g;
RESET ROLE;
REVOKE ALL ON m FROM syncmap_user;
SET ROLE syncmap_user;
EXECUTE g;
RESET ROLE;
GRANT syncmap_owner TO syncmap_user;
SET ROLE syncmap_user;
EXECUTE g;
RESET ROLE;
REVOKE syncmap_owner FROM syncmap_user;
SET ROLE syncmap_user;
EXECUTE g;
RESET ROLE;

-- a function that runs as its owner reads for others
SET ROLE syncmap_owner;
CREATE FUNCTION lookup(k text) RETURNS text LANGUAGE sql SECURITY DEFINER AS $$SELECT syncmap.get('m', k)$$;
SET ROLE syncmap_user;
SELECT lookup('k');
SELECT can($$SELECT syncmap.get('m', 'k')$$);
RESET ROLE;

-- statements need what PostgreSQL asks for, of the view's owner in a view
SET ROLE syncmap_owner;
CREATE VIEW w AS SELECT key, value FROM m;
CREATE VIEW calls AS SELECT syncmap.get('m', 'k');
GRANT SELECT, INSERT ON w, calls TO syncmap_user;
SET ROLE syncmap_user;
SELECT c, can(c) FROM unnest(ARRAY['SELECT * FROM m', 'SELECT key FROM m', 'EXPLAIN SELECT * FROM m', 'INSERT INTO m VALUES (''x'', ''y'')',
	'UPDATE m SET value = ''x''', 'DELETE FROM m', 'TRUNCATE m',
	'SELECT * FROM w', 'INSERT INTO w VALUES (''x'', ''y'')', 'SELECT * FROM calls']) c;
SET ROLE syncmap_owner;
SELECT * FROM m ORDER BY key;
GRANT SELECT (key), INSERT (key, value) ON m TO syncmap_user;
SET ROLE syncmap_user;
SELECT c, can(c) FROM unnest(ARRAY['SELECT * FROM m', 'SELECT key FROM m WHERE key = ''k''', 'INSERT INTO m VALUES (''z'', ''y'')',
	'SELECT syncmap.get(''m'', ''k'')', 'SELECT syncmap.get_or_put(''m'', ''k'', ''v'')']) c;
SET ROLE syncmap_owner;
REVOKE ALL (key, value) ON m FROM syncmap_user;

-- a new owner
RESET ROLE;
ALTER FOREIGN TABLE m OWNER TO syncmap_user;
SET ROLE syncmap_user;
EXECUTE g;
SET ROLE syncmap_owner;
SELECT can($$SELECT syncmap.get('m', 'k')$$);
RESET ROLE;
ALTER FOREIGN TABLE m OWNER TO syncmap_owner;
SET ROLE syncmap_user;
EXECUTE g;
RESET ROLE;

-- policies of other tables
CREATE TABLE documents (tenant text, title text);
INSERT INTO documents VALUES ('v', 'ours'), ('w', 'theirs');
GRANT SELECT ON documents TO syncmap_owner, syncmap_user;
ALTER TABLE documents ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON documents USING (tenant = syncmap.get('m', 'k'));
SET ROLE syncmap_owner;
SELECT title FROM documents;
SELECT syncmap.put('m', 'k', 'w');
SELECT title FROM documents;
SET ROLE syncmap_user;
SELECT can('SELECT title FROM documents');
RESET ROLE;
DROP TABLE documents;

-- what stands first in search_path is not called, nor taken for a type
CREATE SCHEMA evil;
GRANT USAGE ON SCHEMA evil TO PUBLIC;
CREATE FUNCTION evil.scream(anyelement) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil'; END $$;
CREATE DOMAIN evil.text AS pg_catalog.text CHECK (evil.scream(VALUE));
CREATE DOMAIN evil.interval AS pg_catalog.interval CHECK (evil.scream(VALUE));
CREATE FUNCTION evil.equal(pg_catalog.text, pg_catalog.text) RETURNS boolean LANGUAGE sql AS 'SELECT evil.scream($1)';
CREATE OPERATOR evil.= (LEFTARG = pg_catalog.text, RIGHTARG = pg_catalog.text, FUNCTION = evil.equal);
CREATE FUNCTION evil.range_rows(regclass) RETURNS boolean LANGUAGE sql AS 'SELECT evil.scream($1)';
SET search_path = evil, pg_catalog, public;
SELECT syncmap.create('public.safe', ttl => '1 hour');
SELECT attrelid::regclass, attname, atttypid::regtype FROM pg_attribute WHERE attrelid = 'public.safe'::regclass AND attnum > 0;
SELECT syncmap.put('safe', 'k', 'v'), syncmap.get('safe', 'k'), syncmap.put_many('safe', '{a,b}', '{1,2}'), syncmap.increment('safe', 'a');
SELECT * FROM syncmap.range('safe') ORDER BY 1;
SELECT entries FROM syncmap.stat_map WHERE relid OPERATOR(pg_catalog.=) 'safe'::regclass;
INSERT INTO safe VALUES ('c', '3');
SELECT * FROM safe WHERE key OPERATOR(pg_catalog.=) 'c';
SELECT * FROM safe WHERE key = 'c'::pg_catalog.text;
SELECT syncmap.drop('safe');
RESET search_path;
\pset tuples_only off
\set VERBOSITY terse
DROP SCHEMA evil CASCADE;
\set VERBOSITY default

DROP OWNED BY syncmap_owner, syncmap_user;
SELECT to_regclass('m');
DROP ROLE syncmap_owner, syncmap_user;
DROP FUNCTION can, rights;

-- dropping the extension drops its maps
SELECT syncmap.create('m');
\set VERBOSITY terse
DROP EXTENSION syncmap;
DROP EXTENSION syncmap CASCADE;
\set VERBOSITY default
CREATE EXTENSION syncmap;
DROP EXTENSION syncmap;

-- a schema that somebody has prepared for us is refused; ours goes with us
CREATE SCHEMA syncmap;
\set VERBOSITY terse
CREATE EXTENSION syncmap;
\set VERBOSITY default
DROP SCHEMA syncmap;
CREATE EXTENSION syncmap;
DROP EXTENSION syncmap;
SELECT to_regnamespace('syncmap');
