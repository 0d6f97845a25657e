# References to maps: what a backend remembers of one map is never taken for another.
#
# What is attacked: S2 and R1 in one session.  A backend keeps a reference for each
# relation that it has asked about, and gives up old ones when there are many.  Each
# route below is a statement of mallory's on maps of its own that runs mallory's code
# between two steps of the extension: a row trigger, a domain's CHECK, a cast, a function
# in the target list.  That code ("churn") makes its maps' references out of date, asks
# about so many relations that the old references are given up, and then has the session
# look at the victim's map, on which mallory has no right: in vain, or through what the
# victim allows.  Which number of relations would hit differs, so many are tried.
#
# KMAX=n tries each route with all numbers up to n, in all ways or with WAYS=m in the first
# m, in a session of its own: hours for 200, or 20 minutes for one way.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $kmax = $ENV{KMAX};
note 'KMAX=' . ($kmax // '');

# ---- who is there ----------------------------------------------------------

# The victim's number is, as the bytes of a bigint, SECRET!! on one machine, and
# !!TERCES on another.
my $number = '2387225992418952531';
my $leak = qr/SECRET|TERCES|card|$number/;

my $setup = q(
CREATE EXTENSION syncmap;
CREATE ROLE victim LOGIN; CREATE ROLE friend; CREATE ROLE mallory LOGIN; GRANT friend TO mallory;
GRANT USAGE ON FOREIGN SERVER syncmap TO victim, mallory;
CREATE SCHEMA vic AUTHORIZATION victim; GRANT USAGE ON SCHEMA vic TO PUBLIC;
CREATE SCHEMA mal AUTHORIZATION mallory; GRANT USAGE ON SCHEMA mal TO friend;

SET SESSION AUTHORIZATION victim;
SELECT syncmap.create('vic.secrets'), syncmap.create('vic.numbers', key_type => 'bigint', value_type => 'bigint'),
	syncmap.create('vic.bytes', key_type => 'bytea', value_type => 'bytea');
-- What the victim lets others do: ask whether a key is there.
CREATE FUNCTION vic.has_key(k text) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS
	$$BEGIN RETURN EXISTS (SELECT FROM vic.secrets WHERE key = k) OR syncmap.contains('vic.secrets', k); END$$;
CREATE FUNCTION vic.has_number(k bigint) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS
	$$BEGIN RETURN EXISTS (SELECT FROM vic.numbers WHERE key = k) OR syncmap.contains('vic.numbers', k); END$$;
CREATE FUNCTION vic.has_bytes(k bytea) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS
	$$BEGIN RETURN EXISTS (SELECT FROM vic.bytes WHERE key = k) OR syncmap.contains('vic.bytes', k); END$$;

SET SESSION AUTHORIZATION mallory;
SET search_path = mal;

-- Asks about n relations, and then about one of the victim's maps: in ways that are
-- refused, or through what the victim allows.  What is refused must not disturb.
CREATE FUNCTION churn(n integer, victim text, allowed boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	o oid;
	statement text;
BEGIN
	BEGIN EXECUTE 'GRANT SELECT ON ALL TABLES IN SCHEMA mal TO PUBLIC'; EXCEPTION WHEN insufficient_privilege THEN NULL; END;
	FOR o IN SELECT oid FROM pg_catalog.pg_class WHERE relkind IN ('r', 'i') ORDER BY oid LIMIT n LOOP
		BEGIN PERFORM syncmap.get(o::regclass, 'x'); EXCEPTION WHEN OTHERS THEN NULL; END;
	END LOOP;
	IF allowed THEN
		PERFORM CASE victim WHEN 'vic.secrets' THEN vic.has_key('x') WHEN 'vic.numbers' THEN vic.has_number(1) ELSE vic.has_bytes('x') END;
	END IF;
	FOREACH statement IN ARRAY ARRAY['SELECT count(*) FROM %s', 'EXPLAIN SELECT * FROM %s WHERE key IS NOT NULL', 'DELETE FROM %s', 'SELECT syncmap.clear(%L)',
		'SELECT syncmap.count(%L)', 'SELECT count(*) FROM syncmap.range(%L)', 'TRUNCATE %s'] LOOP
		BEGIN
			EXECUTE format(statement, victim, victim);
		EXCEPTION WHEN OTHERS THEN
			NULL;
		END;
	END LOOP;
END $$;

-- What mallory does in the middle of a statement, told by settings of its session.
CREATE FUNCTION hit() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	how text := current_setting('mal.how');
BEGIN
	IF how = 'again' THEN
		-- maps of the same names, and other types
		BEGIN
			DROP FOREIGN TABLE mal.mm, mal.md;
			PERFORM syncmap.create('mal.mm', value_type => 'bytea'), syncmap.create('mal.md', key_type => 'bigint', value_type => 'bigint');
		EXCEPTION WHEN object_in_use OR undefined_table THEN
			NULL;
		END;
	ELSIF how = 'alter' THEN
		BEGIN
			PERFORM syncmap.clear('mal.mm'), syncmap.clear('mal.md');
			ALTER FOREIGN TABLE mal.mm ALTER value TYPE bigint;
			ALTER FOREIGN TABLE mal.md ALTER key TYPE bytea, ALTER value TYPE bytea;
		EXCEPTION WHEN object_in_use OR undefined_table THEN
			NULL;
		END;
	ELSIF how = 'revoke' THEN
		REVOKE ALL ON mal.mm, mal.md, mal.mo FROM CURRENT_USER;
	ELSIF how = 'role' THEN
		IF current_user = 'friend' THEN RESET ROLE; ELSE SET ROLE friend; END IF;
	END IF;
	PERFORM mal.churn(current_setting('mal.n')::integer, current_setting('mal.victim'), current_setting('mal.allowed')::boolean);
	RETURN true;
END $$;
CREATE FUNCTION hit(text) RETURNS text LANGUAGE plpgsql AS $$BEGIN PERFORM mal.hit(); RETURN $1; END$$;
CREATE FUNCTION stable_hit(text) RETURNS text LANGUAGE plpgsql STABLE AS $$BEGIN PERFORM mal.hit(); RETURN $1; END$$;

-- By a domain's CHECK, by a cast, by a trigger.
CREATE DOMAIN d AS text CHECK (mal.hit(VALUE) IS NOT DISTINCT FROM VALUE);
CREATE TYPE c AS (t text);
CREATE FUNCTION text_of(c) RETURNS text LANGUAGE plpgsql AS $$BEGIN PERFORM mal.hit(); RETURN $1.t; END$$;
CREATE CAST (c AS text) WITH FUNCTION text_of(c) AS ASSIGNMENT;
CREATE FUNCTION int8_of(c) RETURNS bigint LANGUAGE plpgsql AS $$BEGIN PERFORM mal.hit(); RETURN length($1.t); END$$;
CREATE CAST (c AS bigint) WITH FUNCTION int8_of(c) AS ASSIGNMENT;
CREATE FUNCTION trigger_hit() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM mal.hit(); RETURN coalesce(NEW, OLD); END$$;
-- and by one that reads and writes maps itself
CREATE FUNCTION deep(text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	PERFORM count(*) FROM mal.mm WHERE mal.hit();
	PERFORM syncmap.put('mal.md', 'inner', 'y');
	PERFORM count(*) FROM mal.mo WHERE key >= '' AND mal.hit();
	RETURN true;
END $$;
CREATE DOMAIN nested AS text CHECK (mal.deep(VALUE));

-- Makes all anew, with the same in them.
CREATE PROCEDURE make_maps() LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('mal.n', '', false);
	SET LOCAL client_min_messages = error;
	DROP TABLE IF EXISTS mal.mp, mal.tw CASCADE;
	DROP FOREIGN TABLE IF EXISTS mal.mm, mal.md, mal.mo, mal.mc, mal.mn, mal.mt, mal.me, mal.mf, mal.mw, mal.mr, mal.ms CASCADE;
	-- gives back their places
	COMMIT;
	SET LOCAL client_min_messages = error;
	CREATE TABLE mal.tw (k text, v text);
	PERFORM syncmap.create('mal.mm'), syncmap.create('mal.md', value_type => 'mal.d'), syncmap.create('mal.mo', ordered => true, expires_at => true),
		syncmap.create('mal.mc', consistent => true), syncmap.create('mal.mn', key_type => 'bigint', value_type => 'bigint'),
		syncmap.create('mal.mt'), syncmap.create('mal.me', value_type => 'mal.nested'),
		syncmap.create('mal.mf', loader => 'SELECT length(mal.hit($1))::text'), syncmap.create('mal.mw', loader => 'SELECT max(v) FROM mal.tw WHERE k = mal.hit($1)');
	PERFORM syncmap.watch('mal.mw', 'mal.tw', 'mal.plain_key(k)');
	CREATE FOREIGN TABLE mal.mr (a text, id text OPTIONS (key 'true'), b mal.c, until bigint OPTIONS (expires 'ms')) SERVER syncmap;
	CREATE FOREIGN TABLE mal.ms (id varchar(8), a mal.d, b text) SERVER syncmap OPTIONS (ordered 'true');
	ALTER FOREIGN TABLE mal.mt ALTER value SET DEFAULT mal.hit('x');
	CREATE TRIGGER hit BEFORE INSERT OR UPDATE OR DELETE ON mal.mt FOR EACH ROW EXECUTE FUNCTION mal.trigger_hit();
	CREATE VIEW mal.mv AS SELECT * FROM mal.mm WHERE mal.hit(value) IS NOT NULL AND key LIKE 'm%' WITH CHECK OPTION;
	CREATE TABLE mal.mp (key text COLLATE "C", value text) PARTITION BY LIST (mal.plain_key(key));
	CREATE FOREIGN TABLE mal.mp1 PARTITION OF mal.mp FOR VALUES IN ('mine', 'more') SERVER syncmap;
	CREATE TRIGGER hit BEFORE INSERT OR UPDATE OR DELETE ON mal.mp1 FOR EACH ROW EXECUTE FUNCTION mal.trigger_hit();
	GRANT ALL ON mal.mm, mal.mo TO friend;
	PERFORM syncmap.put(m::regclass, 'mine', 'x') FROM unnest('{mal.mm, mal.mo, mal.mc, mal.mt, mal.mp1}'::text[]) m;
	PERFORM syncmap.put('mal.mn', 1::bigint, 2::bigint), syncmap.put('mal.mr', 'mine', '(x,mine,"(x)",)');
END $$;
-- Or only what is in them, if they are what they were.
CREATE PROCEDURE fill_maps() LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('mal.n', '', false);
	IF current_setting('mal.how') IN ('again', 'alter', 'revoke') THEN
		CALL mal.make_maps();
		RETURN;
	END IF;
	PERFORM syncmap.clear(m::regclass) FROM unnest('{mal.mm, mal.md, mal.mo, mal.mc, mal.mn, mal.mt, mal.me, mal.mp1, mal.mf, mal.mw, mal.mr, mal.ms}'::text[]) m;
	DELETE FROM mal.tw;
	PERFORM syncmap.put(m::regclass, 'mine', 'x') FROM unnest('{mal.mm, mal.mo, mal.mc, mal.mt, mal.mp1}'::text[]) m;
	PERFORM syncmap.put('mal.mn', 1::bigint, 2::bigint), syncmap.put('mal.mr', 'mine', '(x,mine,"(x)",)');
END $$;
-- so that a partition's bounds run it, too
CREATE FUNCTION plain_key(k text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF current_setting('mal.n', true) <> '' THEN PERFORM mal.hit(); END IF;
	RETURN k;
END $$;
);

my $fill_victim = q(
SELECT syncmap.clear('vic.secrets'), syncmap.clear('vic.numbers'), syncmap.clear('vic.bytes');
SELECT syncmap.put('vic.secrets', 'card', '4111-1111-SECRET'), syncmap.put('vic.numbers', 1::bigint, NUMBER), syncmap.put('vic.bytes', 'card', 'bytes SECRET');
) =~ s/NUMBER/$number/r;
my $of_victim = q(
SELECT 'secrets', * FROM vic.secrets; SELECT 'numbers', * FROM vic.numbers; SELECT 'bytes', key, convert_from(value, 'UTF8') FROM vic.bytes;
SELECT count(*) FROM syncmap.range('vic.secrets'));
my $whole = "secrets|card|4111-1111-SECRET\nnumbers|1|$number\nbytes|\\x63617264|bytes SECRET\n1";

# ---- the routes ------------------------------------------------------------
#
# None of them says what the victim's key or value is, so what is printed with these in
# it was stolen; 'ca' || 'rd' asks for the key.

my %routes = (
	cursor => 'BEGIN; DECLARE c CURSOR FOR SELECT * FROM mm; SELECT hit(); FETCH ALL FROM c; COMMIT;',
	cursor_lookup => q(BEGIN; DECLARE c CURSOR FOR SELECT value FROM mm WHERE key = ANY (ARRAY['mine', 'ca' || 'rd']); SELECT hit(); FETCH ALL FROM c; COMMIT;),
	cursor_range => q(BEGIN; DECLARE c CURSOR FOR SELECT * FROM mo WHERE key >= '' ORDER BY key; SELECT hit(); FETCH ALL FROM c; COMMIT;),
	cursor_function => q(BEGIN; DECLARE c CURSOR FOR SELECT * FROM syncmap.range('mm'); SELECT hit(); FETCH ALL FROM c; COMMIT;),
	cursor_consistent => 'BEGIN; DECLARE c CURSOR FOR SELECT * FROM mc; SELECT hit(); FETCH ALL FROM c; COMMIT;',
	cursor_between => q(SELECT syncmap.put('mm', 'mine' || i, 'x') FROM generate_series(1, 3) i;
		BEGIN; DECLARE c SCROLL CURSOR FOR SELECT * FROM mm; FETCH 1 FROM c; SELECT hit(); FETCH ALL FROM c; SELECT hit(); FETCH ABSOLUTE 1 FROM c; FETCH ALL FROM c; COMMIT;),
	cursor_analyze => q(BEGIN; DECLARE c CURSOR FOR SELECT * FROM mm; SELECT hit(); ANALYZE mm; FETCH ALL FROM c; COMMIT;
		SELECT histogram_bounds, most_common_vals FROM pg_stats WHERE schemaname = 'mal' AND tablename = 'mm';),
	loop => q(DO $$DECLARE r record; BEGIN FOR r IN SELECT key, value FROM mm UNION ALL SELECT key, value FROM mo LOOP PERFORM hit(); RAISE NOTICE '%', r; END LOOP; END$$;),
	prepared => q(PREPARE p AS SELECT * FROM mm; PREPARE q AS SELECT syncmap.get('mm', $1), value FROM mo WHERE key = $1;
		EXECUTE p; SELECT hit(); EXECUTE p; EXECUTE q('mine'); SELECT hit(); EXECUTE q('mine');),

	target_of_scan => 'SELECT hit(), * FROM mm;',
	where_of_scan => 'SELECT * FROM mm WHERE hit();',
	once_before_scan => 'SELECT * FROM mm WHERE (SELECT hit());',
	once_before_ordered => 'SELECT * FROM mo WHERE (SELECT hit()) ORDER BY key DESC;',
	target_of_lookup => q(SELECT hit(), * FROM mm WHERE key IN ('mine', 'other');),
	operand_of_lookup => q(SELECT value FROM mm WHERE key = stable_hit('mine'); SELECT value FROM mm WHERE key = (SELECT hit('ca' || 'rd'));),
	operand_of_lookups => q(SELECT value FROM mm WHERE key = ANY (ARRAY[stable_hit('mine'), stable_hit('ca' || 'rd')]);),
	join_lookup => q(SELECT hit(), m.value FROM (VALUES ('mine'), ('ca' || 'rd'), ('mine')) v(k) JOIN mm m ON m.key = v.k;),
	join_where => q(SELECT m.value FROM (VALUES ('mine'), ('ca' || 'rd'), ('mine')) v(k) JOIN mm m ON m.key = v.k AND hit() WHERE hit();),
	join_scan => q(SET enable_material = off; SELECT m.* FROM (VALUES (1), (2)) v(i), LATERAL (SELECT * FROM mm WHERE hit() OFFSET v.i - v.i) m;),
	sublink => q(SELECT (SELECT value FROM mm m WHERE m.key = v.k AND hit()), EXISTS (SELECT FROM mo WHERE hit(key) = v.k) FROM (VALUES ('mine'), ('ca' || 'rd')) v(k);),
	self_join => q(SELECT hit(), a.*, b.* FROM mm a JOIN mm b USING (key) JOIN mo USING (key);),

	bound_cast => q(SELECT * FROM syncmap.range('mm', ROW('')::c); SELECT * FROM syncmap.range('mm', NULL::c, ROW('z')::c, descending => true);),
	bound_cast_rows => q(SELECT syncmap.range_rows('mm', ROW('')::c, ROW('z')::c, true, true, NULL, 10, NULL, false), hit();),
	bound_cast_number => q(SELECT * FROM syncmap.range('mn', ROW('')::c, ROW('zzzz')::c);),
	bound_cast_consistent => q(SELECT * FROM syncmap.range('mc', ROW('')::c, consistent => true);),
	bound_domain => q(SELECT * FROM syncmap.range('mm', ''::d, 'z'::d);),
	between_rows => q(SELECT syncmap.put('mm', 'mine' || i, 'x') FROM generate_series(1, 2) i;
		SELECT hit(key), value FROM syncmap.range('mm'); SELECT hit(key), value FROM syncmap.range('mo', descending => true); SELECT hit(key), value FROM syncmap.range('mm', consistent => true);),
	ordered_bound => q(SELECT * FROM mo WHERE key >= stable_hit('') ORDER BY key; SELECT * FROM mo WHERE key >= (SELECT hit('')) AND key < (SELECT hit('z'));),
	ordered_rebound => q(SELECT * FROM (VALUES (''), ('a')) v(k), LATERAL (SELECT * FROM mo WHERE key >= v.k AND hit() ORDER BY key LIMIT 5) o;),
	delete_range => q(SELECT syncmap.delete_range('mm', ROW('')::c, ROW('z')::c); SELECT syncmap.delete_range('mn', ROW('')::c);),

	put => q(SELECT syncmap.put('md', 'mine', 'y'); SELECT syncmap.put('md', ROW('mine')::c, 'y'); SELECT syncmap.put('mm', ROW('mine')::c, ROW('y')::c); SELECT syncmap.put('mn', ROW('m')::c, ROW('m')::c);),
	get => q(SELECT syncmap.get('mm', ROW('ca' || 'rd')::c); SELECT syncmap.get('md', ROW('mine')::c, NULL::d); SELECT syncmap.get('mn', ROW('m')::c); SELECT syncmap.get('mm', hit('ca' || 'rd'));),
	contains => q(SELECT syncmap.contains('mm', ROW('ca' || 'rd')::c), syncmap.ttl('mm', ROW('mine')::c);),
	get_or_put => q(SELECT actual, loaded FROM syncmap.get_or_put('md', 'mine', 'y'); SELECT actual FROM syncmap.get_or_put('mm', ROW('ca' || 'rd')::c, 'z');),
	swap => q(SELECT syncmap.swap('md', 'mine', 'y'); SELECT syncmap.swap('mm', ROW('ca' || 'rd')::c, 'z'); SELECT syncmap.swap('mn', ROW('m')::c, ROW('m')::c);),
	compare => q(SELECT syncmap.compare_and_swap('md', 'mine', 'x', 'y'); SELECT syncmap.compare_and_delete('md', ROW('mine')::c, 'x'); SELECT syncmap.compare_and_swap('mn', ROW('m')::c, ROW('mm')::c, ROW('m')::c);),
	increment => q(SELECT syncmap.increment('mn', ROW('m')::c); SELECT syncmap.increment('mm', ROW('mine')::c);),
	remove => q(SELECT syncmap.delete('mm', ROW('ca' || 'rd')::c); SELECT syncmap.get_and_delete('mm', ROW('ca' || 'rd')::c); SELECT syncmap.expire('mm', ROW('ca' || 'rd')::c, '1 s');),
	fetch => q(SELECT syncmap.fetch('mf', 'mine'); SELECT syncmap.fetch('mf', ROW('ca' || 'rd')::c); SELECT syncmap.fetch_many('mf', ARRAY['x', 'ca' || 'rd']), hit();),
	fetch_query => q(SELECT syncmap.fetch_query('mm', 'ca' || 'rd', NULL::text, 'SELECT length(mal.hit($1))::text'); SELECT syncmap.fetch_query('md', ROW('mine2')::c, NULL::text, 'SELECT mal.hit($2)', hit('y')); SELECT syncmap.fetch_query('mn', ROW('m3')::c, NULL::text, 'SELECT ROW($2)::mal.c', hit('m3')); SELECT value, is_stale FROM syncmap.fetch_stale('mf', ROW('ca' || 'rd')::c);),
	put_leased => q(SELECT syncmap.put_leased('md', 'mine', 'y', syncmap.lease('md')); SELECT syncmap.put_leased('mm', ROW('mine')::c, ROW('y')::c, syncmap.lease('mm'));),
	watch_trigger => q(INSERT INTO tw VALUES ('mine', 'x'), ('ca' || 'rd', 'y'); SELECT syncmap.fetch('mw', 'mine'); UPDATE tw SET k = k || 'r', v = hit(v); SELECT syncmap.fetch('mw', 'miner'); DELETE FROM tw WHERE hit();
		BEGIN; INSERT INTO tw VALUES ('mine', 'x'); SELECT hit(), syncmap.fetch('mw', 'mine'); COMMIT; SELECT syncmap.get('mw', 'mine'), hit();),
	put_many => q(SELECT syncmap.put_many('md', '{mine, more}', '{y, z}'); SELECT syncmap.put_many('mm', ARRAY[ROW('a')::c, ROW('b')::c], ARRAY[ROW('y')::c, ROW('z')::c]);),
	get_many => q(SELECT syncmap.get_many('mm', ARRAY[ROW('mine')::c, ROW('ca' || 'rd')::c]); SELECT syncmap.get_many('md', ARRAY[ROW('mine')::c], NULL::d);),
	delete_many => q(SELECT syncmap.delete_many('mm', ARRAY[ROW('mine')::c, ROW('ca' || 'rd')::c]);),
	arguments => q(SELECT syncmap.put('mm', hit('mine'), hit('y')), syncmap.get('mm', hit('mine')), syncmap.swap('mm', 'mine', hit('z')), syncmap.get('mm', 'ca' || hit('rd'));),

	insert_trigger => q(INSERT INTO mt VALUES ('more', 'y'), ('most', 'z') RETURNING *;),
	insert_default => q(INSERT INTO mt (key) VALUES ('more'), ('most') RETURNING *;),
	insert_domain => q(INSERT INTO md VALUES ('more', 'y'), ('most', 'z') RETURNING *, hit();),
	insert_select => q(INSERT INTO mm SELECT hit(key || '1'), value FROM mm RETURNING hit(), *; INSERT INTO md SELECT key, value FROM mm;),
	insert_conflict => q(INSERT INTO mt VALUES ('mine', 'y') ON CONFLICT DO NOTHING RETURNING hit();),
	upsert => q(INSERT INTO mm VALUES ('mine', 'y'), ('ca' || 'rd', 'z') ON CONFLICT (key) DO UPDATE SET value = mm.value || hit(EXCLUDED.value) RETURNING *, hit(); INSERT INTO mm VALUES ('mine', 'v') ON CONFLICT (key) DO UPDATE SET value = hit('w') WHERE hit() RETURNING *;),
	upsert_key => q(INSERT INTO mm VALUES ('mine', 'y') ON CONFLICT (key) DO UPDATE SET key = hit('more') RETURNING *; INSERT INTO mo (key, value) VALUES ('mine', 'y') ON CONFLICT (key) DO UPDATE SET expires_at = hit('infinity')::timestamptz;),
	upsert_again => q(INSERT INTO mm VALUES ('mine', 'y') ON CONFLICT (key) DO UPDATE SET value = syncmap.swap('mm', 'mine', 'z' || random()) || hit('w') RETURNING *;),
	upsert_trigger => q(INSERT INTO mt VALUES ('mine', 'y'), ('more', 'z') ON CONFLICT (key) DO UPDATE SET value = mt.value || EXCLUDED.value RETURNING *;),
	upsert_domain => q(INSERT INTO md VALUES ('mine', 'x'), ('more', 'y') ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value RETURNING *; INSERT INTO md VALUES ('mine', 'z') ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value || md.value RETURNING *;),
	upsert_view => q(INSERT INTO mv VALUES ('mine', 'y') ON CONFLICT (key) DO UPDATE SET value = 'z' RETURNING *; INSERT INTO mv VALUES ('other', 'y') ON CONFLICT (key) DO UPDATE SET value = 'z';),
	upsert_partition => q(INSERT INTO mp1 VALUES ('mine', 'y'), ('more', 'z') ON CONFLICT (key) DO UPDATE SET value = hit('z') RETURNING *;),
	update_again => q(UPDATE mm SET value = syncmap.swap('mm', key, 'z' || random()) || hit('w') WHERE key IN ('mine', 'ca' || 'rd') RETURNING *; DELETE FROM mm WHERE key = 'mine' AND length(syncmap.swap('mm', key, 'z' || random()) || hit('w')) > 0 RETURNING *;),
	insert_view => q(INSERT INTO mv VALUES ('more', 'y') RETURNING *; INSERT INTO mv VALUES ('other', 'y');),
	insert_partition => q(INSERT INTO mp VALUES ('more', 'y') RETURNING *; INSERT INTO mp1 VALUES ('more', 'y'); SELECT * FROM mp;),
	update_trigger => q(UPDATE mt SET value = value || 'y' RETURNING *;),
	update_set => q(UPDATE mm SET value = hit('y') WHERE key IN ('mine', 'ca' || 'rd') RETURNING value, hit(); UPDATE mm SET value = value || hit('z'); UPDATE mo SET expires_at = hit('infinity')::timestamptz;),
	update_key => q(UPDATE mm SET key = hit('more') WHERE key = 'mine';),
	update_domain => q(INSERT INTO md VALUES ('mine', 'x'); UPDATE md SET value = 'y' WHERE key = 'mine' RETURNING *;),
	update_view => q(UPDATE mv SET value = 'y' RETURNING *; UPDATE mv SET key = 'other'; DELETE FROM mv RETURNING *;),
	update_partition => q(UPDATE mp SET value = value || 'y' RETURNING *; UPDATE mp SET key = 'more'; DELETE FROM mp RETURNING *;),
	update_from => q(UPDATE mm SET value = o.value FROM mo o WHERE o.key = mm.key AND hit() RETURNING *; DELETE FROM mm USING mo WHERE mo.key = mm.key AND hit() RETURNING *;),
	delete_trigger => q(DELETE FROM mt RETURNING *, hit();),
	delete_where => q(DELETE FROM mm WHERE hit() RETURNING *; DELETE FROM mo WHERE key = stable_hit('mine');),
	copy => "COPY mt FROM STDIN;\nmore\ty\nmost\tz\n\\.\nCOPY md FROM STDIN;\nmore\ty\nmost\tz\n\\.\nCOPY mp FROM STDIN;\nmore\ty\n\\.\nCOPY mt (key) FROM STDIN;\nlast\n\\.\n",
	copy_out => 'COPY (SELECT hit(), * FROM mm) TO STDOUT;',
	with_modify => q(WITH w AS (INSERT INTO mm SELECT 'more', hit('y') FROM mo RETURNING *), d AS (DELETE FROM mo WHERE hit() RETURNING *) SELECT * FROM w, d, mm;),

	upsert => q(INSERT INTO mm VALUES ('mine', 'y'), ('more', 'z') ON CONFLICT (key) DO UPDATE SET value = hit(mm.value || excluded.value) WHERE hit() RETURNING hit(), *;),
	upsert_domain => q(INSERT INTO md VALUES ('mine', 'y'); INSERT INTO md VALUES ('mine', 'z'), ('more', 'a') ON CONFLICT (key) DO UPDATE SET value = excluded.value || md.value RETURNING *;),
	upsert_trigger => q(INSERT INTO mt VALUES ('mine', 'y'), ('more', 'z') ON CONFLICT (key) DO UPDATE SET value = excluded.value || mt.value RETURNING *;),
	upsert_view => q(INSERT INTO mv VALUES ('mine', 'y') ON CONFLICT (key) DO UPDATE SET value = excluded.value || mv.value RETURNING *; INSERT INTO mv VALUES ('mine', 'y') ON CONFLICT (key) DO UPDATE SET key = hit('other');),
	upsert_select => q(INSERT INTO mm SELECT key, hit(value) FROM mo ON CONFLICT (key) DO UPDATE SET (key, value) = (SELECT mm.key, value || hit('y') FROM mo LIMIT 1) RETURNING hit(), *;),
	upsert_own => q(INSERT INTO mm VALUES ('mine', 'y') ON CONFLICT (key) DO UPDATE SET value = hit(syncmap.swap('mm', 'mine', 'z')) RETURNING *; INSERT INTO mm VALUES ('mine', 'y') ON CONFLICT (key) DO UPDATE SET value = CASE WHEN syncmap.delete('mm', 'mine') THEN hit('z') END RETURNING *;),
	upsert_prepared => q(PREPARE u AS INSERT INTO mm VALUES ($1, hit($2)) ON CONFLICT (key) DO UPDATE SET value = hit(excluded.value) RETURNING *; EXECUTE u('mine', 'y'); SELECT hit(); EXECUTE u('mine', 'z');),
	update_again => q(UPDATE mm SET value = hit(syncmap.swap('mm', key, 'z')) WHERE value <> '' RETURNING *; UPDATE mo SET value = o.value || syncmap.increment('mn', 1::bigint) FROM mm o WHERE o.key = mo.key AND syncmap.put('mo', mo.key, hit('y')) IS NOT NULL RETURNING *;
		DELETE FROM mm WHERE syncmap.put('mm', key, hit('y')) IS NOT NULL RETURNING *;),

	row_scan => q(SELECT hit(), * FROM mr; SELECT hit(), mr FROM mr WHERE id = 'mine'; BEGIN; DECLARE c CURSOR FOR SELECT mr, b FROM mr; SELECT hit(); FETCH ALL FROM c; COMMIT;),
	row_get => q(SELECT hit(), syncmap.get('mr', hit('mine'), NULL::mr), syncmap.get('mr', ROW('mine')::c), syncmap.get('mr', 'ca' || hit('rd')); SELECT syncmap.get_many('mr', ARRAY[ROW('mine')::c, ROW('ca' || 'rd')::c], NULL::mr), hit(); SELECT *, hit() FROM syncmap.range('mr');),
	row_put => q(SELECT syncmap.put('ms', 'mine', '(mine,y,z)'), hit(); SELECT syncmap.put('ms', ROW('mine')::c, '(,y,z)'); SELECT syncmap.swap('ms', 'mine', '(mine,y,z)'), syncmap.get('ms', 'mine'); SELECT syncmap.put('mr', ROW('mine')::c, ROW(hit('y'), 'mine', ROW(hit('z')), NULL)::mr);
		SELECT syncmap.put_many('ms', ARRAY[ROW('mine')::c, ROW('more')::c], ARRAY['(mine,y,z)', '(more,y,z)']); SELECT * FROM syncmap.get_or_put('ms', ROW('most')::c, '(most,y,z)'); SELECT ms, hit() FROM ms;),
	row_modify => q(INSERT INTO ms VALUES ('mine', 'y', hit('z')), ('more', 'y', 'z') RETURNING *, hit(); UPDATE ms SET b = hit(b), a = b || 'y' RETURNING *; UPDATE mr SET b = ROW(hit('y'))::c, a = (b).t RETURNING *, hit(); DELETE FROM ms WHERE a = hit('zy') OR hit() RETURNING *;),
	row_upsert => q(INSERT INTO mr VALUES (hit('y'), 'mine', ROW('z')::c) ON CONFLICT (id) DO UPDATE SET a = hit(mr.a || excluded.a), b.t = hit((excluded.b).t) WHERE hit() RETURNING *; INSERT INTO ms VALUES ('mine', 'y', 'z'), ('more', 'y', hit('z')) ON CONFLICT (id) DO UPDATE SET a = excluded.b RETURNING ms, hit();),
	key_length => q(SELECT syncmap.put('ms', ROW('mine-mine-mine')::c, '(,y,z)'); SELECT * FROM ms WHERE id = stable_hit('mine'); SELECT * FROM ms WHERE id >= stable_hit('') AND id LIKE 'm%' ORDER BY id; SELECT * FROM syncmap.range('ms', ROW('')::c);),

	explain => q(EXPLAIN SELECT * FROM mm WHERE key = stable_hit('mine'); EXPLAIN (VERBOSE) SELECT * FROM mo WHERE key > stable_hit('');),
	explain_analyze => q(EXPLAIN (ANALYZE) SELECT hit(), * FROM mm; EXPLAIN (ANALYZE) SELECT * FROM mo WHERE key >= stable_hit('') ORDER BY key; EXPLAIN (ANALYZE) INSERT INTO mt VALUES ('more', 'y');),
	truncate => q(BEGIN; DECLARE c CURSOR FOR SELECT * FROM mo; SELECT hit(); TRUNCATE mm; FETCH ALL FROM c; COMMIT;),

	nested_put => q(SELECT syncmap.put('me', key, value) FROM mm; SELECT syncmap.put('me', key, value), hit() FROM mo WHERE hit() ORDER BY key; SELECT * FROM me;),
	nested_insert => q(INSERT INTO me SELECT key, value FROM mm WHERE hit() RETURNING *, hit(); SELECT syncmap.swap('me', key, hit(value)) FROM syncmap.range('mm');),
	nested_range => q(SELECT syncmap.put('me', key, value), hit(key) FROM syncmap.range('mm', ROW('')::c) WHERE syncmap.get('mm', ROW(key)::c) = value;));

my @all = sort keys %routes;

# ---- trying them -----------------------------------------------------------

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->append_conf('postgresql.conf', q(
shared_preload_libraries = 'syncmap'
syncmap.memory = 4MB
syncmap.maintenance_interval = 1h
client_encoding = UTF8
jit = off
fsync = off
autovacuum = off
log_line_prefix = '%m [%p] %e %q%u '
log_min_error_statement = panic
log_statement = none
restart_after_crash = on
));
$node->start;
$node->safe_psql('postgres', $setup);
# mallory's maps are there, or all that follows shows nothing
{
	my ($ret, $out, $err) = $node->psql('postgres', "SET mal.how = 'churn';\nSET mal.victim = 'vic.secrets';\nSET mal.allowed = on;\nCALL mal.make_maps();\nCALL mal.fill_maps();\nSET mal.n = 1;\nSELECT syncmap.fetch('mal.mf', 'x');\n",
		extra_params => [ '-U', 'mallory' ]);
	is("$ret $out", '0 1', 'mallory has maps of its own') or diag $err;
}

my ($tried, %stolen, %mistaken, %damaged, %crashed) = (0);

# Runs the routes with n relations, a session each.  Notes which were told the victim's, or
# of a relation that is none of theirs; which have crashed the server; and whether the
# victim's maps are what they were.
sub try_routes
{
	my ($max_maps, $k, $victim, $allowed, $how, @names) = @_;
	my $case = "$how, $victim" . ($allowed eq 'on' ? ' as allowed' : '') . ", max_maps $max_maps, k $k";
	my $each = defined $kmax ? 1 : 4;
	my $settings = join '', map { "SET $_;\n" } 'search_path = mal', "mal.victim = '$victim'", "mal.allowed = $allowed",
	  "mal.how = '$how'", 'client_min_messages = notice';
	my $n = $max_maps + 1 + $k;
	while (@names && keys %crashed < 10)
	{
		# maps are made anew where a route can have left others
		my $script = '';
		for my $i (0 .. $#names)
		{
			$script .= "\\c\n$settings" if $i % $each == 0;
			$script .= "\\echo ==$names[$i]\n\\warn ==$names[$i]\nSET mal.n = $n;\n$routes{$names[$i]}\nROLLBACK;\nRESET ROLE;\n\\echo ==\nCALL mal.fill_maps();\n";
		}
		my ($out, $err) = ('', '');
		$node->psql('postgres', "CALL mal.make_maps();\n$script", stdout => \$out, stderr => \$err, on_error_stop => 0,
			extra_params => [ '-U', 'mallory' ], timeout => 300);
		my $route = '';
		for my $line (split /\n/, $out)
		{
			if ($line =~ /^==(\w*)$/) { $route = $1; }
			elsif ($line =~ $leak) { push @{ $stolen{$route} }, "$case: $line"; }
		}
		for my $line (split /\n/, $err)
		{
			if ($line =~ /^==(\w*)$/) { $route = $1; }
			elsif ($line =~ $leak) { push @{ $stolen{$route} }, "$case: $line"; }
			elsif ($line =~ /ERROR: .*"(?:pg_\w+|secrets|numbers|bytes)"/) { push @{ $mistaken{$route} }, "$case: $line"; }
		}
		if ($err !~ /connection to server was lost|server closed the connection/)
		{
			$tried += @names;
			last;
		}
		# goes on behind the one that has crashed it
		$crashed{$route} //= $case;
		$tried++ while shift(@names) ne $route;
		$tried++;
		$node->poll_query_until('postgres', 'SELECT true');
		$node->safe_psql('postgres', $fill_victim);
	}
	my $is = $node->safe_psql('postgres', $of_victim);
	if ($is ne $whole)
	{
		$damaged{ "$case: " . (@_ > 6 ? 'some route' : $_[5]) } = $is;
		$node->safe_psql('postgres', $fill_victim);
	}
	return;
}

# Which route was it that has written into the victim's maps?
sub try_each
{
	my ($max_maps, $k, $victim, $allowed, $how, @names) = @_;
	my $before = keys %damaged;
	try_routes(@_) if @names;
	if (keys %damaged > $before && keys %damaged < 3)
	{
		try_routes($max_maps, $k, $victim, $allowed, $how, $_) for @names;
	}
	return;
}

for my $max_maps (16, 128)
{
	$node->append_conf('postgresql.conf', "syncmap.max_maps = $max_maps");
	$node->restart;
	$node->safe_psql('postgres', $fill_victim);
	my @ks = defined $kmax ? 0 .. $kmax : $max_maps == 16 ? 0 .. 20 : (0, 1, 2, 40, 69, 81, 100, 135, 200);
	my @ways = map { [ $_->[0], $_->[1], 'churn' ] } map { [ $_, 'on' ], [ $_, 'off' ] } 'vic.secrets', 'vic.numbers', 'vic.bytes';
	push @ways, map { [ 'vic.secrets', 'on', $_ ] } 'again', 'alter', 'revoke', 'role';
	splice(@ways, $ENV{WAYS}) if $ENV{WAYS};
	my $time = time();
	for my $i (0 .. $#ks)
	{
		if (defined $kmax)
		{
			try_each($max_maps, $ks[$i], @$_, @all) for @ways;
			next;
		}
		# another way each time, and another route first in its session; where it takes
		# long, each route but the simplest a few times only
		my @names = map { $all[ ($i + $_) % @all ] } 0 .. $#all;
		@names = ('cursor', map { $names[$_] } grep { $names[$_] ne 'cursor' && $_ % 3 == 0 } 0 .. $#names) if $max_maps > 16;
		try_each($max_maps, $ks[$i], @{ $ways[ $i % 2 ] }, @names);
		try_each($max_maps, $ks[$i], @{ $ways[ 2 + $i % 8 ] }, grep { $i % 2 } @names);
	}
	note sprintf('syncmap.max_maps %d: %d numbers of relations, %.1f s', $max_maps, scalar @ks, time() - $time);
}

note scalar(@all), " routes, $tried tries";

# Of each route one case, and how many there were.
sub listed
{
	my (%found) = @_;
	return join "\n", map { "$_: $found{$_}[0] (" . @{ $found{$_} } . ' lines)' } sort keys %found;
}
is(listed(%stolen), '', 'S2: no route gives mallory what is in another role\'s map');
is(listed(%mistaken), '', 'R1: no route takes another relation for its own');
my @damages = map { "$_: $damaged{$_}" } sort keys %damaged;
is(join("\n", grep { defined } @damages[ 0 .. 9 ]), '', 'S2: no route changes another role\'s map');
is(join("\n", map { "$_: $crashed{$_}" } sort keys %crashed), '', 'no route crashes the server');
my $log = slurp_file($node->logfile);
my @internal = $log =~ /(.*(?:terminated by signal|PANIC|TRAP|\] XX000 ).*)/g;
is(join("\n", grep { defined } @internal[ 0 .. 4 ]), '', 'the server met nothing that must not happen');
$node->stop;

done_testing();
