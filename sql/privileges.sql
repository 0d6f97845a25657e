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
\pset tuples_only off

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
