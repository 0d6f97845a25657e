-- A statement does not meet the keys that it has put itself, also where it looks keys up:
-- each of these gives what it gives on a table.
\pset format unaligned
\pset tuples_only on
CREATE FOREIGN TABLE m (key text COLLATE "C", value text) SERVER syncmap;
CREATE FOREIGN TABLE n (key integer, value integer) SERVER syncmap;
CREATE TABLE tm (key text COLLATE "C" PRIMARY KEY, value text);
CREATE TABLE tn (key integer PRIMARY KEY, value integer);
CREATE VIEW v AS SELECT * FROM m WHERE value <> '';
CREATE VIEW tv AS SELECT * FROM tm WHERE value <> '';

-- Runs a statement on the tables, and on the maps; $m, $n, $v are their names.
CREATE FUNCTION on_both(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	found text[] := '{}';
	names text[];
	n bigint;
	rows text;
BEGIN
	FOREACH names SLICE 1 IN ARRAY '{{tm,tn,tv},{m,n,v}}'::text[] LOOP
		EXECUTE format('TRUNCATE %I, %I', names[1], names[2]);
		EXECUTE format('INSERT INTO %I VALUES (''a'', ''of a''), (''z'', ''of z'')', names[1]);
		EXECUTE format('INSERT INTO %I VALUES (1, 1), (1000, 1000)', names[2]);
		BEGIN
			EXECUTE replace(replace(replace(statement, '$m', names[1]), '$n', names[2]), '$v', names[3]);
			GET DIAGNOSTICS n = ROW_COUNT;
			EXECUTE format('SELECT string_agg(key || ''='' || value, '' '' ORDER BY key) FROM (SELECT * FROM %I UNION ALL SELECT key::text, value::text FROM %I) s', names[1], names[2]) INTO rows;
			rows := n || ' rows: ' || rows;
		EXCEPTION WHEN unique_violation THEN
			rows := '23505';
		END;
		found := found || rows;
	END LOOP;
	RETURN statement || ': ' || CASE WHEN found[1] = found[2] THEN found[1] ELSE found[1] || ', but the map: ' || found[2] END;
END $$;

-- where the lookup has its turn after rows were written, or again and again
SELECT on_both($$INSERT INTO $m SELECT 'b', '1' UNION ALL SELECT key || 'x', value FROM $m WHERE key = 'b'$$);
SELECT on_both($$INSERT INTO $m SELECT 'b', '1' UNION ALL SELECT key || 'x', value FROM $m WHERE key = ANY ('{b,c}')$$);
SELECT on_both($$INSERT INTO $m SELECT 'k' || g, CASE WHEN g > 2 THEN coalesce((SELECT value FROM $m WHERE key = 'k1'), 'none') ELSE 'v' END FROM generate_series(1, 3) g$$);
SELECT on_both($$UPDATE $m SET key = key || 'x', value = CASE key WHEN 'z' THEN coalesce((SELECT value FROM $m WHERE key = 'ax'), 'none') ELSE value END WHERE key = ANY ('{a,z}')$$);
SET enable_material = off;
SELECT on_both($$INSERT INTO $m SELECT 'k' || g, coalesce(x.value, 'none') || g FROM generate_series(1, 3) g LEFT JOIN $m x ON x.key = 'k1'$$);
RESET enable_material;
SELECT on_both($$WITH w AS (INSERT INTO $m VALUES ('b', '1') RETURNING key) INSERT INTO $n SELECT 5, count((SELECT value FROM $m WHERE key = w.key)) FROM w$$);
CREATE TABLE parent (key text COLLATE "C", value text);
CREATE FOREIGN TABLE heir () INHERITS (parent) SERVER syncmap;
CREATE TABLE next (key text, next text);
INSERT INTO next VALUES ('a', 'b'), ('b', 'c'), ('c', 'd');
INSERT INTO heir VALUES ('a', '1');
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_material = off;
UPDATE parent SET key = next.next FROM next WHERE next.key = parent.key;
TABLE heir;
RESET enable_hashjoin;
RESET enable_mergejoin;
RESET enable_material;
DROP TABLE next, parent CASCADE;

SELECT on_both($$UPDATE $m SET key = CASE key WHEN 'a' THEN 'b' WHEN 'b' THEN 'c' ELSE 'd' END WHERE key = ANY ('{a,b,c}')$$);
SELECT on_both($$UPDATE $m SET key = key || '1', value = value || '+' WHERE key IN ('a', 'a1', 'a11')$$);
SELECT on_both($$UPDATE $m SET key = key || '1' WHERE key = ANY (ARRAY(SELECT 'a' || repeat('1', i) FROM generate_series(0, 3) i))$$);
SELECT on_both($$UPDATE $n SET key = key + 1 WHERE key = ANY ('{1,2,3}')$$);
SELECT on_both($$UPDATE $n SET key = key + 1, value = value * 10 WHERE key = ANY ('{1,2,3}'::bigint[])$$);
SELECT on_both($$UPDATE $n SET key = key + 1 WHERE key = ANY (ARRAY(SELECT i FROM generate_series(1, 300) i))$$);
SELECT on_both($$UPDATE $v SET key = key || '1' WHERE key = ANY ('{a,a1,a11}')$$);
SELECT on_both($$UPDATE $n SET key = key - 1 WHERE key = ANY ('{1,0,-1}')$$);
SELECT on_both($$UPDATE $m SET key = 'z' WHERE key = ANY ('{a,z}')$$);
SELECT on_both($$INSERT INTO $m SELECT key || '1', value FROM $m WHERE key = ANY ('{a,a1,a11}')$$);
SELECT on_both($$INSERT INTO $n SELECT key + 1, value + 1 FROM $n WHERE key = ANY ('{1,2,3}')$$);
SELECT on_both($$INSERT INTO $n SELECT key + 1, value + 1 FROM $n WHERE key = ANY (ARRAY(SELECT i FROM generate_series(1, 300) i)) ON CONFLICT DO NOTHING$$);
SELECT on_both($$INSERT INTO $v SELECT key || '1', value FROM $v WHERE key IN ('a', 'a1', 'a11')$$);
SELECT on_both($$WITH w AS (INSERT INTO $m SELECT key || '1', value FROM $m WHERE key = ANY ('{a,a1,a11}') RETURNING *) INSERT INTO $n SELECT length(key), 0 FROM w$$);
-- a lookup for each row of a join
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_material = off;
SELECT on_both($$UPDATE $m m SET key = m.key || '1' FROM (VALUES ('a'), ('a1'), ('a11')) v(k) WHERE m.key = v.k$$);
SELECT on_both($$UPDATE $n n SET key = n.key + 1 FROM generate_series(1, 3) i WHERE n.key = i$$);
SELECT on_both($$INSERT INTO $m SELECT m.key || '1', m.value FROM (VALUES ('a'), ('a1'), ('a11')) v(k) JOIN $m m ON m.key = v.k$$);
SELECT on_both($$INSERT INTO $n SELECT i + 1, n.value FROM generate_series(1, 3) i JOIN $n n ON n.key = i$$);
RESET enable_hashjoin;
RESET enable_mergejoin;
RESET enable_material;
-- with a plan that is kept
SET plan_cache_mode = force_generic_plan;
TRUNCATE n;
INSERT INTO n VALUES (1, 1);
PREPARE p(integer[]) AS UPDATE n SET key = key + 1 WHERE key = ANY ($1) RETURNING key;
EXECUTE p('{1,2,3}');
EXECUTE p('{1,2,3}');
PREPARE q(integer[]) AS INSERT INTO n SELECT key + 1, value FROM n WHERE key = ANY ($1) RETURNING key;
EXECUTE q('{3,4,5}');
RESET plan_cache_mode;
DEALLOCATE ALL;
SELECT * FROM n ORDER BY key;
-- a key that is named twice is one row
SELECT on_both($$DELETE FROM $m WHERE key = ANY ('{a,z,a}')$$);
SELECT on_both($$UPDATE $m SET value = value || '+' WHERE key = ANY ('{a,z,a}')$$);

-- an UPDATE that moves keys moves each once, whichever column the key is
CREATE FOREIGN TABLE last (v integer, k integer OPTIONS (key 'true')) SERVER syncmap OPTIONS (ordered 'true');
INSERT INTO last SELECT i, i FROM generate_series(1, 3000) i;
UPDATE last SET k = k + 1000000 WHERE k > 0;
SELECT max(k / 1000000), sum(k / 1000000) FROM last;
TRUNCATE last;
INSERT INTO last VALUES (1, 1), (2, 2), (3, 3);
UPDATE last SET k = j.b FROM (VALUES (1, 10), (10, 100), (100, 1000)) j(a, b) WHERE k = j.a RETURNING k;
-- what is read of the map elsewhere in the statement is what it was before
UPDATE last SET v = last.v + x.v FROM last x WHERE x.k = last.k - 1 RETURNING last.k, last.v;
SELECT on_both($$UPDATE $m SET value = value || (SELECT string_agg(x.value, ',' ORDER BY x.key) FROM $m x WHERE x.key <> $m.key)$$);
SELECT on_both($$UPDATE $m SET value = $m.value || x.value FROM $m x WHERE x.key < $m.key AND length(x.key) = 1$$);
SELECT on_both($$DELETE FROM $m USING $m x WHERE x.key < $m.key$$);
DROP FOREIGN TABLE last;
-- what is not about keys reads the map as it comes
EXPLAIN (COSTS OFF) UPDATE m SET value = 'x' FROM tm WHERE tm.key = m.key || '';
EXPLAIN (COSTS OFF) UPDATE m SET value = 'x' FROM (VALUES ('a')) o(key) WHERE m.key = o.key || '';

DROP VIEW v, tv;
DROP FOREIGN TABLE m, n;
DROP TABLE tm, tn;
DROP FUNCTION on_both;
