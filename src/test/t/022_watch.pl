# What can be watched, what cannot, and what becomes of a watch.
#
# What is attacked: C7, and that a watch silently stops working.  Each thing that can be done
# to a table, a map, a column, a trigger, or a partition is either refused, with a SQLSTATE
# that says so, or leaves a watch that works: after it a change of the table is seen.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(allows_streaming => 'logical', extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->append_conf('postgresql.conf', q(
shared_preload_libraries = 'syncmap'
syncmap.memory = 32MB
max_prepared_transactions = 10
autovacuum = off
fsync = off
log_line_prefix = '%m [%p] %e %q%a '
));
$node->start;

# What it gives, or the error that it raises: one that fails does not keep the others from being tried.
sub sql
{
	my ($script, $database) = @_;
	my ($rc, $out, $err) = $node->psql($database // 'postgres', $script, on_error_stop => 1);
	return $out if $err !~ /ERROR|FATAL/;
	diag "$script\n$err";
	return $err;
}
# What statements fail with: SQLSTATE and message.
sub failure
{
	my ($script, $database) = @_;
	my ($rc, $out, $err) = $node->psql($database // 'postgres', "\\set VERBOSITY verbose\n$script", on_error_stop => 1, timeout => 60);
	return $err =~ /(?:ERROR|FATAL):\s+(.*)/ ? $1 : "no error: $out";
}
sub refused
{
	my ($statement, $states, $what) = @_;
	like(failure($statement), qr/^(?:$states): /, "refused: " . ($what // $statement));
	return;
}

sql(q(
CREATE EXTENSION syncmap;
CREATE SCHEMA s;
CREATE ROLE alice;
GRANT ALL ON SCHEMA public, s TO alice;
GRANT USAGE ON FOREIGN SERVER syncmap TO alice;
));

# Maps and tables, made anew for each group of trials.
my $made = q(
SET client_min_messages = warning;
DROP TABLE IF EXISTS t, t2, child, refs, plain CASCADE;
DROP FOREIGN TABLE IF EXISTS m, m2, n, mt, whole CASCADE;
CREATE TABLE t (k bigint PRIMARY KEY, v bigint, w text DEFAULT 'w', k2 bigint);
INSERT INTO t SELECT i, i, 'w', i + 100 FROM generate_series(1, 10) i;
CREATE FOREIGN TABLE m (key bigint, value bigint) SERVER syncmap OPTIONS (loader 'SELECT v FROM public.t WHERE k = $1');
CREATE FOREIGN TABLE mt (key text COLLATE "C", value text) SERVER syncmap OPTIONS (loader 'SELECT v::text FROM public.t WHERE $1 = w || k');
CREATE FOREIGN TABLE whole (key integer, value bigint) SERVER syncmap OPTIONS (loader 'SELECT sum(v)::bigint FROM public.t WHERE $1 > 0');
RESET client_min_messages;
);
my $watched = $made . q(SELECT syncmap.watch('m', 't', 'k'););
sub fresh { sql($watched); return; }

# Whether a watch works: what is cached stays until a change, and goes with it.
my $turn = 0;
sub works
{
	my ($what, %at) = @_;
	my $map = $at{map} // 'm';
	my $table = $at{table} // 't';
	my $key = $at{key} // 'k';
	my $value = $at{value} // 'v';
	my $database = $at{database} // 'postgres';
	my $k = $at{at} // 3;
	$turn += 10;
	is(sql(qq(
		SELECT syncmap.fetch('$map', ${k}::bigint, NULL::bigint) IS NOT DISTINCT FROM (SELECT $value FROM $table WHERE $key = $k);
		SELECT syncmap.get('$map', ${k}::bigint, NULL::bigint) = (SELECT $value FROM $table WHERE $key = $k);
		UPDATE $table SET $value = 1000000 + $turn WHERE $key = $k;
		SELECT syncmap.get('$map', ${k}::bigint, NULL::bigint) IS NULL;
		SELECT syncmap.fetch('$map', ${k}::bigint, NULL::bigint) = 1000000 + $turn;
		SELECT syncmap.get('$map', ${k}::bigint, NULL::bigint) = 1000000 + $turn), $database), "t\nt\nt\nt\nt", "works: $what");
	return;
}
# One that a statement, or a transaction, has changed in some way: every key is right.
sub right
{
	my ($what, $change, $map, $query) = @_;
	$map //= 'm';
	$query //= 'SELECT v FROM t WHERE k = i';
	sql(qq(SELECT count(syncmap.fetch('$map', i::bigint, NULL::bigint)) FROM generate_series(0, 30) i));
	my ($rc, $out, $err) = $node->psql('postgres', $change, on_error_stop => 1);
	unlike($err, qr/ERROR|FATAL/, "no error: $what") or return;
	is(sql(qq(SELECT string_agg(i::text, ' ') FROM generate_series(0, 30) i WHERE syncmap.fetch('$map', i::bigint, NULL::bigint) IS DISTINCT FROM ($query))), '', "right after: $what");
	return;
}
sub watches { return sql(q(SELECT map, source, coalesce(key, 'null') FROM syncmap.watches ORDER BY map::text, source::text, 3), $_[0] // 'postgres'); }

# ---------------------------------------------------------------------------
# 1. Declarations.

sql($made);
sql(q(
CREATE TEMP TABLE nothing ();
SET client_min_messages = warning;
CREATE VIEW view AS SELECT * FROM t;
CREATE MATERIALIZED VIEW mview AS SELECT * FROM t;
CREATE SEQUENCE seq;
CREATE TABLE ancestor (k bigint, v bigint);
CREATE TABLE heir () INHERITS (ancestor);
CREATE FUNCTION volatile_key(bigint) RETURNS bigint LANGUAGE sql VOLATILE AS 'SELECT $1';
CREATE FUNCTION stable_key(bigint) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT $1';
CREATE FUNCTION fixed_key(bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1; END';
CREATE FUNCTION set_key(bigint) RETURNS SETOF bigint LANGUAGE sql IMMUTABLE AS 'SELECT $1';
));
for my $trial (
	[ q('m', 'view', 'k'), '42809', 'a view' ],
	[ q('m', 'mview', 'k'), '42809', 'a materialized view' ],
	[ q('m', 'seq', 'last_value'), '42809', 'a sequence' ],
	[ q('m', 'mt', 'length(key)'), '42809', 'another map' ],
	[ q('m', 'm', 'key'), '42809', 'itself' ],
	[ q('m', 't_pkey', 'k'), '42809', 'an index' ],
	[ q('m', 'pg_class', 'oid::bigint'), '42809|42501|0A000', 'a catalog' ],
	[ q('m', 'ancestor', 'k'), '0A000|42809', 'a table with children' ],
	[ q('t', 't', 'k'), '42809', 'a map that is none' ],
	[ q('m', 't', 'nothing'), '42703', 'a column that is not there' ],
	[ q('m', 't', 'k +'), '42601', 'no expression' ],
	[ q('m', 't', ''), '42601|22023', 'an empty expression' ],
	[ q('m', 't', 'k, v'), '42601|0A000|42804', 'two expressions' ],
	[ q{'m', 't', 'k); SELECT (1'}, '42601', 'more than an expression' ],
	[ q('m', 't', '*'), '42601|42P20|0A000|42804', 'all columns' ],
	[ q('m', 't', 'k = 1'), '42804', 'another type' ],
	[ q('m', 't', 'w'), '42804', 'a text for a number' ],
	[ q('m', 't', 'volatile_key(k)'), '42P17', 'a volatile function' ],
	[ q('m', 't', 'stable_key(k)'), '42P17', 'a stable function' ],
	[ q('m', 't', 'random()::bigint'), '42P17', 'random' ],
	[ q('mt', 't', 'now()::text'), '42P17', 'now' ],
	[ q('m', 't', 'set_key(k)'), '0A000', 'a set' ],
	[ q('m', 't', '(SELECT k)'), '0A000', 'a subquery' ],
	[ q('m', 't', '(SELECT max(k) FROM t)'), '0A000', 'a subquery of the table' ],
	[ q('m', 't', 'max(k)'), '42803', 'an aggregate' ],
	[ q('m', 't', 'row_number() OVER ()'), '42P20', 'a window function' ],
	[ q('m', 't', 'xmin::text::bigint'), '0A000|42P17|42P10|42703', 'a system column' ],
	[ q('mt', 't', 'ctid::text'), '0A000|42P17|42P10|42703', 'a system column' ],
	[ q('mt', 't', 't::text'), '0A000|42P17|42P10', 'a whole row' ],
	[ q('m', 't', '$1'), '42P02|42601|42703', 'a parameter' ],
	[ q('m', 't', 'new.k'), '42P01|42703', 'new' ],
	[ q('m', 't', 'DEFAULT'), '42601|0A000', 'DEFAULT' ])
{
	refused("SELECT syncmap.watch($trial->[0])", $trial->[1], $trial->[2]);
}
refused(q(CREATE TEMP TABLE tt (k bigint, v bigint); SELECT syncmap.watch('m', 'tt', 'k')), '0A000|42809|42P16', 'a temporary table');
is(watches(), '', 'nothing is watched yet');
is(sql(q(SELECT count(*) FROM pg_trigger WHERE tgfoid = 'syncmap.invalidate'::regproc)), '0', 'nor is any trigger left');

# who may
sql(q(CREATE TABLE alices (k bigint, v bigint); ALTER TABLE alices OWNER TO alice));
refused(q(SET ROLE alice; SELECT syncmap.watch('m', 'alices', 'k')), '42501', 'a map of somebody else');
sql(q(CREATE FOREIGN TABLE am (key bigint, value bigint) SERVER syncmap OPTIONS (loader 'SELECT v FROM public.alices WHERE k = $1'); ALTER FOREIGN TABLE am OWNER TO alice));
refused(q(SET ROLE alice; SELECT syncmap.watch('am', 't', 'k')), '42501', 'a table of somebody else');
sql(q(SET ROLE alice; SELECT syncmap.watch('am', 'alices', 'k')));
sql(q(INSERT INTO alices SELECT i, i FROM generate_series(1, 10) i));
works('a map and a table of a role without rights', map => 'am', table => 'alices');
refused(q(CREATE ROLE bob; SET ROLE bob; SELECT syncmap.unwatch('am', 'alices')), '42501', 'unwatch by somebody else');
sql(q(ALTER TABLE alices OWNER TO bob));
refused(q(SET ROLE alice; SELECT syncmap.unwatch('am', 't')), '42501', 'unwatch of a table that does not watch, by the owner of the map');
is(sql(q(SET ROLE alice; SELECT syncmap.unwatch('am', 'alices'), syncmap.get('am', 3::bigint))), 't|', 'unwatch by the owner of the map');
sql(q(SELECT syncmap.watch('am', 'alices', 'k')));
refused(q(BEGIN READ ONLY; SELECT syncmap.unwatch('am', 'alices')), '25006', 'unwatch in a transaction that is READ ONLY');
is(sql(q(SET ROLE bob; SELECT syncmap.unwatch('am', 'alices'))), 't', 'unwatch by the owner of the table');
sql(q(DROP FOREIGN TABLE am; DROP TABLE alices));

# what is taken
for my $expression ('k', 'k + 0', 'fixed_key(k)', 'CASE WHEN k > 0 THEN k END', 'coalesce(k, k2)', '(w || k::text)::varchar(10)::text')
{
	my $map = $expression =~ /w \|/ ? 'mt' : 'm';
	is(failure("$made SELECT syncmap.watch('$map', 't', '$expression')"), 'no error: ', "$expression can be watched");
	is(watches() =~ s/\|.*\|.*/ /r, "$map ", "$expression is a watch");
	works("by $expression") if $map eq 'm';
}

# the view, twice, and unwatch
fresh();
is(watches(), 'm|t|k', 'syncmap.watches shows it');
is(sql(q(SELECT tgenabled::text || ' ' || count(*) FROM pg_trigger WHERE tgrelid = 't'::regclass AND NOT tgisinternal GROUP BY tgenabled)), 'A 2', 'two triggers, which are always enabled');
is(sql(q(SELECT count(*) FROM syncmap.watches w JOIN pg_trigger ON tgname = w.trigger)) >= 1, 1, 'it names its trigger');
like(failure(q(SELECT syncmap.watch('m', 't', 'k'))), qr/^42710: /, 'the same watch twice is refused') or note watches();
is(sql(q(SELECT syncmap.unwatch('m', 't'))), 't', 'unwatch tells that there was one');
is(sql(q(SELECT syncmap.unwatch('m', 't'))), 'f', 'and that there was none');
is(watches(), '', 'then there is no watch');
is(sql(q(SELECT count(*) FROM pg_trigger WHERE tgrelid = 't'::regclass AND NOT tgisinternal)), '0', 'and no trigger');
is(sql(q(SELECT syncmap.put('m', 3::bigint, 5::bigint); SELECT syncmap.get('m', 3::bigint))), "t\n5", 'and a plain put is allowed again');
sql(q(BEGIN; SELECT syncmap.watch('m', 't', 'k'); ROLLBACK));
is(watches(), '', 'a watch that is rolled back is none');
sql(q(SELECT syncmap.watch('m', 't', 'k')));
is(sql(q(SELECT syncmap.get('m', 3::bigint))), '', 'what was put before a watch is gone');
works('after unwatch and watch');
sql(q(BEGIN; SELECT syncmap.unwatch('m', 't'); ROLLBACK));
works('an unwatch that is rolled back');
sql(q(BEGIN; SELECT syncmap.watch('mt', 't', 'w || k::text'); SAVEPOINT a; SELECT syncmap.unwatch('m', 't'); ROLLBACK TO a; COMMIT));
is(watches(), "m|t|k\nmt|t|(w || (k)::text)", 'a savepoint that is rolled back') or note watches();
works('an unwatch in a savepoint that is rolled back');

# ---------------------------------------------------------------------------
# 2. Plain stores.

fresh();
for my $store (
	q(SELECT syncmap.put('m', 1::bigint, 5::bigint)), q(SELECT syncmap.put('m', 1::bigint, '5')), q(SELECT syncmap.swap('m', 1::bigint, 5::bigint)),
	q(SELECT * FROM syncmap.get_or_put('m', 99::bigint, 5::bigint)), q(SELECT syncmap.increment('m', 1::bigint)), q(SELECT syncmap.increment('m', 99::bigint)),
	q(SELECT syncmap.put_many('m', ARRAY[1::bigint, 2], ARRAY[1::bigint, 2])), q(INSERT INTO m VALUES (1, 1)), q(INSERT INTO m VALUES (1, 1) ON CONFLICT DO NOTHING),
	q(INSERT INTO m SELECT k, v FROM t), qq(COPY m FROM stdin;\n1\t1\n\\.\n))
{
	refused($store, '55000');
}
sql(q(SELECT count(syncmap.fetch('m', k)) FROM t));
for my $store (q(SELECT syncmap.put('m', 1::bigint, 5::bigint)), q(SELECT syncmap.compare_and_swap('m', 1::bigint, 1::bigint, 2::bigint)), q(UPDATE m SET value = 5), q(UPDATE m SET value = value + 1 WHERE key = 1),
	q(SELECT syncmap.increment('m', 1::bigint)), q(SELECT syncmap.swap('m', 1::bigint, 7::bigint)))
{
	refused($store, '55000', "$store, where the key is there");
}
is(sql(q(SELECT syncmap.get('m', 1::bigint))), '1', 'a store that is refused changes nothing');
my ($rc, $out, $err) = $node->psql('postgres', q(SELECT syncmap.put('m', 1::bigint, 5::bigint)));
like($err, qr/HINT:.*fetch.*put_leased/s, 'the hint names fetch and put_leased');
is(sql(q(SELECT syncmap.delete('m', 1::bigint), syncmap.expire('m', 2::bigint, '1 h'), syncmap.delete_many('m', ARRAY[4::bigint]), syncmap.get_and_delete('m', 5::bigint, NULL::bigint))), 't|t|1|5', 'deletions and expire are allowed');
is(failure(q(DELETE FROM m WHERE key = 3; SELECT syncmap.clear('m'); TRUNCATE m)), 'no error: ', 'so are DELETE, clear, TRUNCATE');
sql(q(ALTER FOREIGN TABLE m OPTIONS (ADD unchecked_puts 'true')));
is(sql(q(SELECT syncmap.put('m', 1::bigint, 5::bigint); SELECT syncmap.get('m', 1::bigint))), "t\n5", 'unchecked_puts allows a put');
sql(q(ALTER FOREIGN TABLE m OPTIONS (DROP unchecked_puts)));
refused(q(SELECT syncmap.put('m', 1::bigint, 5::bigint)), '55000', 'a put without that option again');

# leases
fresh();
is(sql(q(SELECT syncmap.put_leased('m', 3::bigint, 3::bigint, syncmap.lease('m')); SELECT syncmap.get('m', 3::bigint))), "t\n3", 'a lease stores');
is(sql(q(SELECT syncmap.lease('m') AS l \gset
	UPDATE t SET v = 33 WHERE k = 3;
	SELECT syncmap.put_leased('m', 3::bigint, 3::bigint, :'l'::bytea), syncmap.get('m', 3::bigint);
	SELECT syncmap.put_leased('m', 4::bigint, 4::bigint, :'l'::bytea), syncmap.get('m', 4::bigint);)), "f|\nt|4", 'a lease that a change has passed does not, for its key');
for my $lease (q(''), q('\x00'), q(decode(repeat('ff', 16), 'hex')), q(decode(repeat('00', 64), 'hex')), q(decode(repeat('ff', 5000), 'hex')), q(substr(syncmap.lease('m'), 2)), q(syncmap.lease('m') || '\x00'::bytea),
	q(overlay(syncmap.lease('m') PLACING '\xffffffff'::bytea FROM 1)), q(overlay(syncmap.lease('m') PLACING '\xffffffff'::bytea FROM octet_length(syncmap.lease('m')) - 3)))
{
	my $was = failure("SELECT syncmap.put_leased('m', 8::bigint, 88::bigint, $lease)");
	like($was, qr/^(?:22023|22P03|22000): |^no error: f$/, "a lease that is none is refused: $lease");
}
refused(q(SELECT syncmap.put_leased('m', NULL::bigint, 3::bigint, syncmap.lease('m'))), '22004', 'a null key');

# ---------------------------------------------------------------------------
# 3. All kinds of changes.

fresh();
sql(q(SELECT syncmap.watch('mt', 't', 'w || k::text'), syncmap.watch('whole', 't', NULL)));
works('one table and three maps');
is(sql(q(SELECT syncmap.fetch('whole', 1, NULL::bigint) = sum(v) FROM t; UPDATE t SET v = v + 5 WHERE k = 7; SELECT syncmap.get('whole', 1) IS NULL; SELECT syncmap.fetch('whole', 1, NULL::bigint) = sum(v) FROM t; SELECT syncmap.fetch('mt', 'w7'))),
	"t\nt\nt\n12", 'the whole map, and one of text');
sub all_right
{
	my ($what, $change) = @_;
	sql(q(SELECT syncmap.fetch('whole', 1), count(syncmap.fetch('mt', 'w' || i)) FROM generate_series(0, 30) i));
	right($what, $change);
	is(sql(q(SELECT count(*) FROM generate_series(0, 30) i WHERE syncmap.fetch('mt', 'w' || i) IS DISTINCT FROM (SELECT v::text FROM t WHERE w || k = 'w' || i))), '0', "text, right after: $what");
	is(sql(q(SELECT syncmap.fetch('whole', 1, NULL::bigint) IS NOT DISTINCT FROM sum(v)::bigint FROM t)), 't', "whole, right after: $what");
	return;
}
for my $change (
	q(INSERT INTO t VALUES (11, 11)), q(INSERT INTO t VALUES (11, 12) ON CONFLICT (k) DO UPDATE SET v = excluded.v), q(INSERT INTO t VALUES (11, 13) ON CONFLICT DO NOTHING),
	q(UPDATE t SET k = 20, v = 20 WHERE k = 4), q(UPDATE t SET k = 4 WHERE k = 20), q(UPDATE t SET w = 'x' WHERE k = 4), q(UPDATE t SET w = 'w' WHERE k = 4), q(DELETE FROM t WHERE k = 5), q(UPDATE t SET v = NULL WHERE k = 6),
	q(UPDATE t SET w = NULL WHERE k = 7), q(UPDATE t SET w = 'w' WHERE k = 7), q(WITH d AS (DELETE FROM t WHERE k = 8 RETURNING *) INSERT INTO t SELECT 21, v FROM d),
	q(MERGE INTO t USING (VALUES (9, 1), (22, 2)) x(k, v) ON t.k = x.k WHEN MATCHED AND x.v = 1 THEN UPDATE SET v = 99 WHEN NOT MATCHED THEN INSERT VALUES (x.k, x.v)),
	q(MERGE INTO t USING (VALUES (9)) x(k) ON t.k = x.k WHEN MATCHED THEN DELETE), qq(COPY t FROM stdin;\n23\t23\tw\t1\n24\t24\tw\t1\n\\.\n), q(UPDATE t SET v = v + 1), q(UPDATE t SET k = k + 1 WHERE k = 24), q(BEGIN; UPDATE t SET k = 100 WHERE k = 25; UPDATE t SET k = 26 WHERE k = 100; COMMIT),
	q(BEGIN; UPDATE t SET v = 1 WHERE k = 1; SAVEPOINT a; UPDATE t SET v = 2 WHERE k = 1; UPDATE t SET v = 2 WHERE k = 2; ROLLBACK TO a; COMMIT), q(BEGIN; UPDATE t SET v = 17 WHERE k = 1; ROLLBACK), q(BEGIN; UPDATE t SET v = 1717 WHERE k = 1; PREPARE TRANSACTION 'p'; COMMIT PREPARED 'p'),
	q(BEGIN; UPDATE t SET v = 1818 WHERE k = 1; PREPARE TRANSACTION 'p'; ROLLBACK PREPARED 'p'),
	q(SET session_replication_role = replica; UPDATE t SET v = 111 WHERE k = 1; DELETE FROM t WHERE k = 2; INSERT INTO t VALUES (2, 222)), q(SET session_replication_role = local; UPDATE t SET v = 112 WHERE k = 1),
	q(SET session_replication_role = replica; TRUNCATE t), q(INSERT INTO t SELECT i, i FROM generate_series(1, 10) i), q(TRUNCATE t), q(INSERT INTO t SELECT i, 2 * i FROM generate_series(1, 10) i), q(BEGIN; TRUNCATE t; INSERT INTO t SELECT i, 3 * i FROM generate_series(1, 10) i; COMMIT),
	q(BEGIN; TRUNCATE t; ROLLBACK), q(DO $$BEGIN UPDATE t SET v = 5 WHERE k = 1; BEGIN UPDATE t SET v = 6 WHERE k IN (1, 2); PERFORM 1 / 0; EXCEPTION WHEN OTHERS THEN NULL; END; END $$), q(LOCK TABLE t; VACUUM t) =~ s/LOCK TABLE t; //r, q(VACUUM FULL t), q(CLUSTER t USING t_pkey))
{
	all_right($change =~ s/\s+/ /gr, $change);
}
sql(q(CREATE FUNCTION changes() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.k := 12; NEW.v := 1200; RETURN NEW; END'; CREATE TRIGGER changes BEFORE UPDATE OF k2 ON t FOR EACH ROW EXECUTE FUNCTION changes()));
all_right('a BEFORE trigger that changes the key', q(UPDATE t SET k2 = 0 WHERE k = 3));
sql(q(DROP TRIGGER changes ON t));
sql(q(CREATE RULE r AS ON DELETE TO t DO INSTEAD UPDATE t SET v = -1 WHERE k = OLD.k));
all_right('a rule', q(DELETE FROM t WHERE k = 1));
sql(q(DROP RULE r ON t));

# foreign keys: a cascade changes rows; one table's rows have other keys' values
sql($watched . q(
CREATE TABLE refs (id bigint PRIMARY KEY, k bigint REFERENCES t ON UPDATE CASCADE ON DELETE SET NULL, amount bigint);
CREATE FOREIGN TABLE n (key bigint, value bigint) SERVER syncmap OPTIONS (loader 'SELECT coalesce(sum(amount), 0)::bigint FROM public.refs WHERE k = $1');
INSERT INTO refs SELECT i, i % 5 + 1, i FROM generate_series(1, 20) i;
SELECT syncmap.watch('n', 'refs', 'k')));
my $total = 'SELECT coalesce(sum(amount), 0)::bigint FROM refs WHERE k = i';
right($_, $_, 'n', $total) for q(INSERT INTO refs VALUES (21, 3, 1000)), q(UPDATE refs SET amount = 0 WHERE id = 7), q(UPDATE refs SET k = 2 WHERE k = 3), q(UPDATE t SET k = 27 WHERE k = 4), q(DELETE FROM t WHERE k = 27), q(INSERT INTO refs VALUES (22, NULL, 3)), q(UPDATE refs SET k = 1 WHERE k IS NULL), q(DELETE FROM refs WHERE k = 5), q(TRUNCATE t CASCADE);
is(sql(q(SELECT count(*) FROM generate_series(0, 30) i WHERE syncmap.fetch('m', i::bigint, NULL::bigint) IS NOT NULL)), '0', 'TRUNCATE CASCADE took both');
# deferred: rows that change while the transaction commits
sql($watched . q(
CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN UPDATE t SET v = 777 WHERE k = 8; RETURN NULL; END';
CREATE TABLE plain (i int); CREATE CONSTRAINT TRIGGER late AFTER INSERT ON plain DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION late()));
right('a deferred trigger', q(INSERT INTO plain VALUES (1)));
is(sql(q(SELECT syncmap.fetch('m', 8::bigint))), '777', 'which has changed a row');
# two columns for one map: two watches of it
sql($made . q(SELECT syncmap.watch('m', 't', 'k'); CREATE TABLE t2 (a bigint, b bigint, x bigint); INSERT INTO t2 VALUES (1, 2, 3); SELECT syncmap.watch('m', 't2', 'a')));
is(watches(), "m|t|k\nm|t2|a", 'two tables feed one map');
sql(q(ALTER FOREIGN TABLE m OPTIONS (SET loader 'SELECT v + coalesce((SELECT x FROM public.t2 WHERE a = $1), 0) FROM public.t WHERE k = $1')));
right('the other table', q(UPDATE t2 SET x = 30), 'm', 'SELECT v + coalesce((SELECT x FROM t2 WHERE a = i), 0) FROM t WHERE k = i');
right('the other table\'s key', q(UPDATE t2 SET a = 2), 'm', 'SELECT v + coalesce((SELECT x FROM t2 WHERE a = i), 0) FROM t WHERE k = i');
sql(q(SELECT syncmap.unwatch('m', 't2')));
refused(q(SELECT syncmap.put('m', 1::bigint, 1::bigint)), '55000', 'a put while one watch is left');
works('one of two watches removed', at => 5);
sql(q(DROP TABLE t2));

# ---------------------------------------------------------------------------
# 4. DDL of the table, the map, the columns, the triggers.

my ($rowtrigger, $statementtrigger);
fresh();
($rowtrigger) = sql(q(SELECT tgname FROM pg_trigger WHERE tgrelid = 't'::regclass AND NOT tgisinternal AND tgtype & 1 = 1));
($statementtrigger) = sql(q(SELECT tgname FROM pg_trigger WHERE tgrelid = 't'::regclass AND NOT tgisinternal AND tgtype & 1 = 0));
note "triggers $rowtrigger and $statementtrigger";
my $refusals = '0A000|55000|55006|2BP01|42809|42P16';
for my $statement (
	qq(ALTER TABLE t DISABLE TRIGGER "$rowtrigger"), qq(ALTER TABLE t DISABLE TRIGGER "$statementtrigger"), 'ALTER TABLE t DISABLE TRIGGER ALL', 'ALTER TABLE t DISABLE TRIGGER USER',
	qq(ALTER TABLE t ENABLE TRIGGER "$rowtrigger"), qq(ALTER TABLE t ENABLE REPLICA TRIGGER "$rowtrigger"), qq(ALTER TABLE t ENABLE TRIGGER "$statementtrigger"), 'ALTER TABLE t ENABLE TRIGGER ALL', 'ALTER TABLE t ENABLE TRIGGER USER',
	'ALTER TABLE t RENAME COLUMN k TO kk', 'ALTER TABLE t DROP COLUMN k', 'ALTER TABLE t ALTER COLUMN k TYPE text', 'ALTER TABLE t ALTER COLUMN k TYPE integer', 'CREATE TABLE child () INHERITS (t)', 'CREATE TABLE child (LIKE t); ALTER TABLE child INHERIT t',
	'ALTER FOREIGN TABLE m RENAME TO m2', 'ALTER TABLE m RENAME TO m2', 'ALTER FOREIGN TABLE m SET SCHEMA s', 'ALTER SCHEMA public RENAME TO pub', 'ALTER FOREIGN TABLE m ALTER key TYPE text')
{
	refused("BEGIN; $statement; COMMIT", $refusals, $statement);
	works("after $statement");
	is(sql(q(SELECT string_agg(tgenabled::text, '') FROM pg_trigger WHERE tgrelid = 't'::regclass AND NOT tgisinternal)), 'AA', "and its triggers are as they were");
	fresh() if watches() ne 'm|t|k';
}
for my $statement (
	'ALTER TABLE t ADD COLUMN more integer', 'ALTER TABLE t ADD COLUMN more integer DEFAULT 5', 'ALTER TABLE t ALTER COLUMN v TYPE numeric; ALTER TABLE t ALTER COLUMN v TYPE bigint', 'ALTER TABLE t DROP COLUMN w', 'ALTER TABLE t RENAME COLUMN k2 TO k3', 'ALTER TABLE t ADD CHECK (v > 0)',
	'ALTER TABLE t SET UNLOGGED', 'ALTER TABLE t SET LOGGED', 'ALTER TABLE t DROP CONSTRAINT t_pkey', 'ALTER TABLE t ENABLE ROW LEVEL SECURITY', 'ALTER TABLE t OWNER TO alice', 'ALTER TABLE t SET (fillfactor = 50)', 'ALTER TABLE t ADD UNIQUE (v)', 'CREATE INDEX ON t (v)', 'ALTER TABLE t REPLICA IDENTITY FULL',
	qq(ALTER TABLE t ENABLE ALWAYS TRIGGER "$rowtrigger"), qq(ALTER TRIGGER "$rowtrigger" ON t RENAME TO renamed), 'ALTER FOREIGN TABLE m OWNER TO alice; GRANT SELECT ON t TO alice', q(ALTER FOREIGN TABLE m OPTIONS (ADD ttl '1 hour')), q(ALTER FOREIGN TABLE m OPTIONS (ADD load_wait '1s')), 'ALTER FOREIGN TABLE m RENAME COLUMN key TO k', 'VACUUM FULL t', 'REINDEX TABLE t')
{
	fresh();
	is(failure($statement), 'no error: ', "allowed: $statement");
	works("after $statement");
}
# what the loader names goes away or comes again
fresh();
sql(q(ALTER TABLE t RENAME TO t2));
like(failure(q(SELECT syncmap.fetch('m', 25::bigint))), qr/^42P01: /, 'a loader whose table is gone says so');
sql(q(ALTER FOREIGN TABLE m OPTIONS (SET loader 'SELECT v FROM public.t2 WHERE k = $1')));
works('a table that is renamed, and a loader that knows', table => 't2');
sql(q(ALTER TABLE t2 SET SCHEMA s; ALTER FOREIGN TABLE m OPTIONS (SET loader 'SELECT v FROM s.t2 WHERE k = $1')));
works('a table that is moved, and a loader that knows', table => 's.t2');
sql(q(DROP TABLE s.t2));
is(watches(), '', 'a table that is dropped takes its watch with it');
is(sql(q(SELECT syncmap.get('m', 3::bigint))), '', 'and what was cached');
# a column that a loader reads
fresh();
sql(q(SELECT syncmap.fetch('m', 3::bigint)));
like(failure(q(BEGIN; ALTER TABLE t RENAME COLUMN v TO vv; COMMIT; SELECT syncmap.fetch('m', 3::bigint))), qr/^42703: /, 'a loader whose column is gone says so; nothing is left of what it was');
is(sql(q(ALTER TABLE t RENAME COLUMN w TO v2; ALTER TABLE t RENAME COLUMN vv TO w; ALTER TABLE t RENAME COLUMN k2 TO v; SELECT syncmap.fetch('m', 3::bigint))), '103', 'another column of that name is read');
# dropping
fresh();
sql(q(DROP FOREIGN TABLE m));
is(watches() . sql(q(SELECT count(*) FROM pg_trigger WHERE tgrelid = 't'::regclass AND NOT tgisinternal)), '0', 'a map that is dropped takes its triggers with it');
is(failure(q(UPDATE t SET v = 1 WHERE k = 3)), 'no error: ', 'and the table can be changed');
fresh();
sql(q(SELECT syncmap.drop('m')));
is(watches(), '', 'so does syncmap.drop');
fresh();
is(failure(qq(DROP TRIGGER "$rowtrigger" ON t)) =~ /^(?:no error|$refusals)/, 1, 'DROP TRIGGER is refused, or ends the watch');
is(watches() eq 'm|t|k' || sql(q(SELECT count(*) FROM m)) eq '0', 1, 'and leaves nothing that is cached');
# functions in the key
sql(qq($made SELECT syncmap.watch('m', 't', 'fixed_key(k)')));
refused('DROP FUNCTION fixed_key', '2BP01', 'to drop a function that a key needs');
refused('ALTER TABLE t DROP COLUMN k', '2BP01', 'to drop a column that a key needs');
works('by a function');
refused('ALTER FUNCTION fixed_key RENAME TO fixed2', $refusals, 'to rename a function that a key needs');
sql(q(CREATE OR REPLACE FUNCTION fixed_key(bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS 'BEGIN IF $1 = 9 THEN RAISE ''no key''; END IF; RETURN NULLIF($1, 10); END'));
right('a key that is null', q(UPDATE t SET w = 'y' WHERE k = 10));
like(failure(q(UPDATE t SET v = 1 WHERE k = 9)), qr/^P0001: no key/, 'a key that cannot be computed fails the change');
# a search_path of the one who changes is not that of the watch
fresh();
sql(q(CREATE FUNCTION s.abs(bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 0::bigint'; SELECT syncmap.unwatch('m', 't'); SELECT syncmap.watch('m', 't', 'abs(k)')));
right('a search_path with a trap', q(SET search_path = s, public, pg_catalog; UPDATE t SET v = 99 WHERE k = 3));
sql(q(SELECT syncmap.unwatch('m', 't'); SELECT syncmap.watch('m', 't', 'k'); CREATE SCHEMA trap; CREATE FOREIGN TABLE trap.m (key bigint, value bigint) SERVER syncmap));
right('a search_path with another map of that name', q(SET search_path = trap, public; UPDATE t SET v = 98 WHERE k = 3));
sql(q(DROP SCHEMA trap CASCADE));
# names that must be quoted
sql(q(CREATE SCHEMA "S '"; CREATE TABLE "S '"."T "" ." ("K ' "" k" bigint, v bigint); CREATE FOREIGN TABLE "S '"."M ' ""." (key bigint, value bigint) SERVER syncmap OPTIONS (loader 'SELECT v FROM "S ''"."T "" ." WHERE "K '' "" k" = $1');
	INSERT INTO "S '"."T "" ." VALUES (3, 3); SELECT syncmap.watch('"S ''"."M '' ""."', '"S ''"."T "" ."', '"K '' "" k"')));
works('names that must be quoted', map => q("S ''"."M '' ""."), table => q("S '"."T "" ."), key => q("K ' "" k"));
sql(q(DROP SCHEMA "S '" CASCADE));
# another user who changes the table needs no right on the map
fresh();
sql(q(GRANT SELECT, UPDATE, INSERT, DELETE, TRUNCATE ON t TO alice));
right('a role that may not use the map', q(SET ROLE alice; UPDATE t SET v = 31 WHERE k = 3; UPDATE t SET k = 28 WHERE k = 4));
right('nor empty it', q(SET ROLE alice; TRUNCATE t));
# the trigger function by hand
refused(q(SELECT syncmap.invalidate()), '0A000|55000|39P01', 'the trigger function called');
for my $arguments ('', q('nothing'), q('public.t', 'k'), q('public.m', 'k', 'k'), q('public.m', 'nothing'))
{
	my $was = failure("$made CREATE TRIGGER x AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION syncmap.invalidate($arguments); UPDATE t SET v = 0 WHERE k = 1");
	like($was, qr/^(?!XX000)[0-9A-Z]{5}: /, "a trigger with ($arguments) fails") or note $was;
}
for my $trigger ('BEFORE UPDATE ON t FOR EACH ROW', 'AFTER UPDATE ON t', 'BEFORE TRUNCATE ON t', 'AFTER UPDATE OF v ON t FOR EACH ROW', 'AFTER UPDATE ON t FOR EACH ROW WHEN (NEW.v > 0)', 'AFTER DELETE ON t FOR EACH ROW')
{
	my $was = failure("$made CREATE TRIGGER x $trigger EXECUTE FUNCTION syncmap.invalidate('public.m', 'k'); UPDATE t SET v = 0 WHERE k = 1");
	like($was, qr/^(?!XX000)[0-9A-Z]{5}: /, "a trigger $trigger is refused") or note $was;
}

# a change while a loop over the map is open, and in a transaction with a cursor
fresh();
right('inside a loop over the map', q(DO $$DECLARE r record; BEGIN FOR r IN SELECT * FROM m LOOP UPDATE t SET v = v + 1 WHERE k = r.key; END LOOP; END $$));

# ---------------------------------------------------------------------------
# 5. Partitions.

sub fresh_parts
{
	sql(q(
SET client_min_messages = warning;
DROP TABLE IF EXISTS p, p3, t CASCADE; DROP FOREIGN TABLE IF EXISTS m, mt, whole;
CREATE TABLE p (k bigint, v bigint, a integer) PARTITION BY LIST (a);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2) PARTITION BY RANGE (k);
CREATE TABLE p21 (a integer, v bigint, x text, k bigint); ALTER TABLE p21 DROP COLUMN x;
ALTER TABLE p2 ATTACH PARTITION p21 FOR VALUES FROM (0) TO (1000);
INSERT INTO p SELECT i, i, i % 2 + 1 FROM generate_series(1, 10) i;
CREATE FOREIGN TABLE m (key bigint, value bigint) SERVER syncmap OPTIONS (loader 'SELECT v FROM public.p WHERE k = $1');
SELECT syncmap.watch('m', 'p', 'k')));
	return;
}
fresh_parts();
my $parts = 'SELECT v FROM p WHERE k = i';
is(watches(), 'm|p|k', 'a partitioned table is one watch') or note watches();
works('a partitioned table', table => 'p', at => $_) for 3, 4;
for my $change (q(UPDATE p SET v = v + 1), q(UPDATE p SET a = 3 - a, v = v + 1), q(UPDATE p1 SET v = v + 1), q(UPDATE p21 SET v = v + 1), q(UPDATE p SET k = k + 10, a = 3 - a WHERE k < 5), q(DELETE FROM p2 WHERE k > 8), q(INSERT INTO p21 (k, v, a) VALUES (25, 25, 2)),
	qq(COPY p (k, v, a) FROM stdin;\n26\t26\t1\n27\t27\t2\n\\.\n), qq(COPY p21 (k, v, a) FROM stdin;\n28\t28\t2\n\\.\n), q(TRUNCATE p1), q(INSERT INTO p SELECT i, i, i % 2 + 1 FROM generate_series(1, 10, 2) i), q(TRUNCATE p21), q(INSERT INTO p SELECT i, i, i % 2 + 1 FROM generate_series(1, 4) i), q(TRUNCATE ONLY p21), q(INSERT INTO p SELECT i, i, i % 2 + 1 FROM generate_series(1, 10) i WHERE i % 2 = 1), q(TRUNCATE p2), q(INSERT INTO p SELECT i, i, 2 FROM generate_series(10, 20) i), q(TRUNCATE p),
	q(INSERT INTO p SELECT i, i, i % 2 + 1 FROM generate_series(1, 10) i), q(ALTER TABLE p DETACH PARTITION p1), q(UPDATE p1 SET v = 5), q(ALTER TABLE p ATTACH PARTITION p1 FOR VALUES IN (1)), q(UPDATE p1 SET v = 6),
	q(CREATE TABLE p3 PARTITION OF p FOR VALUES IN (3)), q(INSERT INTO p3 VALUES (30, 30, 3)), q(TRUNCATE p3), q(DROP TABLE p3), q(CREATE TABLE p3 (a int, k bigint, v bigint); INSERT INTO p3 VALUES (3, 29, 29), (3, 30, 30)), q(ALTER TABLE p ATTACH PARTITION p3 FOR VALUES IN (3)), q(UPDATE p3 SET v = v + 1), q(TRUNCATE p3), q(INSERT INTO p VALUES (29, 1, 3)), q(ALTER TABLE p DETACH PARTITION p3), q(DROP TABLE p1))
{
	right($change, $change, 'm', $parts);
}
# what is detached is watched no more, and can be attached elsewhere
is(failure(q(UPDATE p3 SET v = v + 1)), 'no error: ', 'a detached partition can be changed');
is(watches(), 'm|p|k', 'and is no watch of its own');
fresh_parts();
refused(q(ALTER TABLE p1 DISABLE TRIGGER ALL), $refusals);
refused(q(ALTER TABLE p21 DISABLE TRIGGER USER), $refusals);
refused(q(ALTER TABLE p DISABLE TRIGGER ALL), $refusals);
refused(q(ALTER TABLE ONLY p DISABLE TRIGGER ALL), $refusals);
for my $trigger (sql(q(SELECT DISTINCT tgname FROM pg_trigger WHERE tgrelid = 'p1'::regclass)) =~ /.+/g)
{
	refused(qq(ALTER TABLE p1 DISABLE TRIGGER "$trigger"), $refusals);
	refused(qq(DROP TRIGGER "$trigger" ON p1), $refusals);
}
works('a partition whose triggers nobody could disable', table => 'p', at => 3);
refused(q(ALTER TABLE p RENAME COLUMN k TO kk), $refusals);
sql(q(ALTER FOREIGN TABLE m OWNER TO alice));
refused(q(SET ROLE alice; SELECT syncmap.unwatch('m', 'p1')), '42501', 'unwatch of a partition, by the owner of the map');
sql(q(ALTER FOREIGN TABLE m OWNER TO postgres));
is(sql(q(SELECT syncmap.unwatch('m', 'p'); SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal AND tgfoid = 'syncmap.invalidate'::regproc AND tgrelid IN ('p'::regclass, 'p1'::regclass, 'p2'::regclass, 'p21'::regclass))), "t\n0", 'unwatch leaves no trigger on a partition');
is(sql(q(SELECT syncmap.watch('m', 'p1', 'k'); ALTER FOREIGN TABLE m OPTIONS (SET loader 'SELECT v FROM public.p1 WHERE k = $1'))), '', 'a partition alone is watched');
right($_, $_, 'm', 'SELECT v FROM p1 WHERE k = i') for q(UPDATE p SET v = v + 1), q(UPDATE p SET a = 3 - a), q(TRUNCATE p), q(INSERT INTO p SELECT i, i, i % 2 + 1 FROM generate_series(1, 10) i), q(TRUNCATE p1), q(INSERT INTO p SELECT i, i, 1 FROM generate_series(1, 10) i), q(ALTER TABLE p DETACH PARTITION p1), q(UPDATE p1 SET v = 77);
sql(q(DROP TABLE p, p1 CASCADE));

# ---------------------------------------------------------------------------
# 6. pg_dump and restore.

sql($made . q(
SELECT syncmap.watch('m', 't', 'k'), syncmap.watch('mt', 't', $$w || k::text$$), syncmap.watch('whole', 't', NULL);
CREATE TABLE p (k bigint, v bigint, a integer) PARTITION BY LIST (a);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1); CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2);
INSERT INTO p SELECT i, i, i % 2 + 1 FROM generate_series(1, 10) i;
CREATE FOREIGN TABLE s.pm (key bigint, value bigint) SERVER syncmap OPTIONS (loader 'SELECT v FROM public.p WHERE k = $1', load_wait '2s');
SELECT syncmap.watch('s.pm', 'p', 'k'), syncmap.watch('s.pm', 't', 'k2');
SELECT count(syncmap.fetch('m', k)), syncmap.fetch('s.pm', 3::bigint), syncmap.fetch('whole', 1) FROM t GROUP BY 2, 3));
my $are = watches();
my $triggers = q(SELECT tgrelid::regclass, tgname, tgenabled, tgtype, tgisinternal, tgparentid <> 0, pg_get_triggerdef(oid) FROM pg_trigger WHERE tgfoid = 'syncmap.invalidate'::regproc ORDER BY tgrelid::regclass::text, 2;
	SELECT refobjid::regclass, deptype, tgname, refobjsubid FROM pg_depend d JOIN pg_trigger t ON classid = 'pg_trigger'::regclass AND objid = t.oid WHERE tgfoid = 'syncmap.invalidate'::regproc AND refclassid = 'pg_class'::regclass ORDER BY refobjid::regclass::text, 2, 3, 4);
my $their_triggers = sql($triggers);
note $are, "\n", $their_triggers;
for my $how ('plain', 'custom', 'plain with data', 'clean')
{
	my $file = "$PostgreSQL::Test::Utils::tmp_check/watch." . ($how =~ s/ /_/gr);
	my $database = 'restored_' . ($how =~ s/ /_/gr);
	my @data = $how =~ /data/ ? ('--include-foreign-data=syncmap') : ();
	push @data, '--clean', '--if-exists' if $how eq 'clean';
	sql("CREATE DATABASE $database");
	my $format = $how eq 'custom' ? 'custom' : 'plain';
	$node->command_ok([ 'pg_dump', "--format=$format", @data, '-f', $file, 'postgres' ], "pg_dump, $how");
	for my $round (1 .. ($how eq 'clean' ? 2 : 1))
	{
		if ($format eq 'plain')
		{
			$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', $file, $database ], "$how: the dump can be restored");
		}
		else
		{
			$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $database, $file ], "$how: the dump can be restored");
		}
	}
	is(watches($database), $are, "$how: the same is watched there");
	is(sql($triggers, $database), $their_triggers, "$how: by the same triggers, which depend on the same");
	works("$how: restored", database => $database, at => 4);
	works("$how: restored, partitioned", database => $database, map => 's.pm', table => 'p');
	is(sql(q(SELECT syncmap.fetch('s.pm', 7::bigint); UPDATE p SET a = 3 - a, v = 70 WHERE k = 7; TRUNCATE p1; SELECT syncmap.fetch('s.pm', 7::bigint), (SELECT v FROM p WHERE k = 7)), $database), "7\n|", "$how: moved rows, and an emptied partition");
	like(failure(q(SELECT syncmap.put('m', 1::bigint, 1::bigint)), $database), qr/^55000: /, "$how: a put is refused there");
	like(failure(q(ALTER FOREIGN TABLE m RENAME TO m2), $database), qr/^(?:$refusals): /, "$how: a rename is refused there");
	is(sql(q(DROP FOREIGN TABLE mt; SELECT count(*) FROM pg_trigger WHERE tgfoid = 'syncmap.invalidate'::regproc AND encode(tgargs, 'escape') ~ '\.mt'), $database), '0', "$how: a map that is dropped takes its triggers with it");
	my $again = "$file.again";
	next if $how ne 'plain';
	# a dump of the restored one is the same, but for what was dropped
	$node->command_ok([ 'pg_dump', '-f', $again, $database ], 'what was restored can be dumped');
}
# data only: what pg_dump does with triggers there
{
	my $file = "$PostgreSQL::Test::Utils::tmp_check/watch.data";
	$node->command_ok([ 'pg_dump', '--data-only', '-t', 't', '-f', $file, 'postgres' ], 'pg_dump of data');
	sql(q(SELECT count(syncmap.fetch('m', k)) FROM t; UPDATE t SET v = -v; DELETE FROM t), 'restored_plain');
	sql(q(SELECT count(syncmap.fetch('m', i::bigint)) FROM generate_series(1, 10) i), 'restored_plain');
	$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', $file, 'restored_plain' ], 'data are restored into a watched table');
	is(sql(q(SELECT count(*) FROM t WHERE syncmap.fetch('m', k, NULL::bigint) IS DISTINCT FROM v), 'restored_plain'), '0', 'and are seen');
}

# ---------------------------------------------------------------------------
# 7. Logical replication: the subscriber's maps.

sql($watched . 'CREATE PUBLICATION pub FOR TABLE t');
sql('CREATE DATABASE subscriber');
sql($watched =~ s/INSERT INTO t [^;]*;//r, 'subscriber') if eval { sql('CREATE EXTENSION syncmap', 'subscriber'); 1 };
sql(q(SELECT pg_create_logical_replication_slot('sub', 'pgoutput')));
sql(sprintf(q(CREATE SUBSCRIPTION sub CONNECTION 'host=%s port=%s dbname=postgres' PUBLICATION pub WITH (create_slot = false, slot_name = 'sub')), $node->host, $node->port), 'subscriber');
$node->poll_query_until('subscriber', 'SELECT count(*) = 10 FROM t') or die;
is(sql(q(SELECT count(syncmap.fetch('m', k)) FROM t; SELECT syncmap.get('m', 3::bigint)), 'subscriber'), "10\n3", 'what was copied is cached');
my $lsn = q(SELECT pg_current_wal_lsn());
for my $change (q(UPDATE t SET v = 300 WHERE k = 3), q(UPDATE t SET k = 13 WHERE k = 4), q(DELETE FROM t WHERE k = 5), q(TRUNCATE t))
{
	sql(q(SELECT count(syncmap.fetch('m', i::bigint)) FROM generate_series(1, 15) i), 'subscriber');
	sql($change);
	$node->wait_for_catchup('sub');
	is(sql(q(SELECT string_agg(i::text, ' ') FROM generate_series(1, 15) i WHERE syncmap.fetch('m', i::bigint, NULL::bigint) IS DISTINCT FROM (SELECT v FROM t WHERE k = i)), 'subscriber'), '', "applied: $change");
}
sql('DROP SUBSCRIPTION sub', 'subscriber');

# ---------------------------------------------------------------------------
# 8. What a first version did not know of.

# an error while a session finds out what a trigger is about, and the same again
fresh();
sql(q(SELECT syncmap.unwatch('m', 't'); CREATE OR REPLACE FUNCTION fixed_key(bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1; END'; SELECT syncmap.watch('m', 't', 'fixed_key(k)')));
is(join(' ', failure(q(UPDATE t SET v = 1 WHERE k = 3; ALTER FUNCTION fixed_key(bigint) VOLATILE; UPDATE t SET v = 2 WHERE k = 3)) =~ /^(.{5})/,
	map { ($node->psql('postgres', "\\set VERBOSITY sqlstate\nUPDATE t SET v = 1 WHERE k = 3;\nUPDATE t SET v = 2 WHERE k = 3;", on_error_stop => 0))[2] =~ /(42P17|lost|closed)/g } 1),
	'42P17 42P17 42P17', 'a key that is no more immutable fails each change');
sql(q(ALTER FUNCTION fixed_key(bigint) IMMUTABLE));
works('by a function that is immutable again');

# a constant in the key, in a session that uses it often
sql($made . q(SELECT syncmap.watch('mt', 't', $$'a constant of some length in a key:' || k::text$$)));
is(failure(q(DO $$BEGIN FOR i IN 1 .. 300 LOOP UPDATE t SET v = v + 1; END LOOP; END $$; UPDATE t SET v = v + 1)), 'no error: ', 'a key with a constant');

# C2: what looks at the row after its trigger (a statement's other rows: see README)
fresh();
sql(q(
CREATE OR REPLACE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF syncmap.fetch('m', 5::bigint, NULL::bigint) IS DISTINCT FROM (SELECT v FROM t WHERE k = 5) OR syncmap.get('m', 5::bigint) IS NOT NULL THEN
		RAISE '% of % sees %, but the table has %', TG_NAME, NEW.k, syncmap.fetch('m', 5::bigint), (SELECT v FROM t WHERE k = 5);
	END IF;
	RETURN NULL;
END $$;
SELECT syncmap.fetch('m', 5::bigint)));
is(failure("SELECT syncmap.fetch('m', 5::bigint) \\g /dev/null\nBEGIN; CREATE TRIGGER zz AFTER UPDATE ON t FOR EACH ROW EXECUTE FUNCTION look(); UPDATE t SET v = v + 1 WHERE k = 5; ROLLBACK"), 'no error: ', "a trigger zz after the change of that row");
is(sql(q(BEGIN; UPDATE t SET v = 5000 WHERE k = 5; SELECT syncmap.compare_and_delete('m', 5::bigint, 5::bigint), syncmap.get_and_delete('m', 5::bigint); ROLLBACK)), 'f|', 'what deletes does not tell of an own key either');

# another loader: what the one before has computed is gone
fresh();
is(sql(q(SELECT syncmap.fetch('m', 5::bigint); ALTER FOREIGN TABLE m OPTIONS (SET loader 'SELECT v + 1000 FROM public.t WHERE k = $1'); SELECT syncmap.fetch('m', 5::bigint))), "5\n1005", 'another loader');

# CREATE OR REPLACE TRIGGER, which ends a watch, or its ENABLE ALWAYS
sql(q(CREATE OR REPLACE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'));
for my $trial ('AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION nothing()', q(AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION syncmap.invalidate('public.m', 'k')),
	q(AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION syncmap.invalidate('public.m', 'k2')))
{
	for my $role ('origin', 'replica')
	{
		fresh();
		sql(q(SELECT syncmap.fetch('m', 6::bigint)));
		my $was = failure("CREATE OR REPLACE TRIGGER \"$rowtrigger\" $trial");
		sql(q(SELECT syncmap.fetch('m', 6::bigint))) if $was =~ /no error/ && watches() ne '';
		is(sql("SET session_replication_role = $role; UPDATE t SET v = 600 WHERE k = 6; SELECT syncmap.fetch('m', 6::bigint)"), '600', "CREATE OR REPLACE TRIGGER $trial ($was): a change as $role is not missed")
		  unless $trial =~ /k2/ && $was =~ /no error/;
	}
}
# a trigger that was made by hand is not of use until it is ENABLE ALWAYS
sql($made . q(CREATE TRIGGER by_hand AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION syncmap.invalidate('public.m', 'k')));
like(failure(q(UPDATE t SET v = 601 WHERE k = 6)), qr/^55000: /, 'a trigger that was made by hand, and not ENABLE ALWAYS');
sql(q(ALTER TABLE t ENABLE ALWAYS TRIGGER by_hand; SELECT syncmap.fetch('m', 6::bigint)));
is(sql(q(SET session_replication_role = replica; UPDATE t SET v = 601 WHERE k = 6; SELECT syncmap.fetch('m', 6::bigint))), '601', 'and one that is');

# values that have all columns
sql($made . q(CREATE FOREIGN TABLE n (key bigint, value text) SERVER syncmap OPTIONS (loader 'SELECT to_jsonb(t)::text FROM public.t WHERE k = $1'); SELECT syncmap.watch('n', 't', 'k')));
for my $statement ('ADD COLUMN more integer DEFAULT 9', 'RENAME more TO most', 'ALTER most TYPE text', 'DROP COLUMN most', 'ALTER v TYPE numeric USING v * 2', 'DROP COLUMN v')
{
	is(sql(qq(SELECT count(syncmap.fetch('n', k)) FROM t; ALTER TABLE t $statement; SELECT count(*) FROM t WHERE syncmap.fetch('n', k) IS DISTINCT FROM to_jsonb(t)::text)), "10\n0", "whole rows after ALTER TABLE t $statement");
}

# a partition whose changes nobody sees
sql(q(CREATE TABLE q (key bigint, value bigint) PARTITION BY LIST (key); CREATE TABLE q1 PARTITION OF q DEFAULT; CREATE FOREIGN TABLE q7 PARTITION OF q FOR VALUES IN (7) SERVER syncmap));
refused(q(SELECT syncmap.watch('m', 'q', 'key')), '42809|0A000', 'a partitioned table with a map in it');
sql(q(DROP FOREIGN TABLE q7; SELECT syncmap.watch('m', 'q', 'key')));
refused(q(CREATE FOREIGN TABLE q7 PARTITION OF q FOR VALUES IN (7) SERVER syncmap), '42809|0A000', 'a map as a partition of a watched table');
refused(q(CREATE FOREIGN TABLE q7 (key bigint, value bigint) SERVER syncmap; ALTER TABLE q ATTACH PARTITION q7 FOR VALUES IN (7)), '42809|0A000', 'a map that is attached to one');
sql(q(DROP TABLE q));

# DETACH CONCURRENTLY, which is not one moment
sql(q(SET client_min_messages = warning; DROP TABLE IF EXISTS p CASCADE));
fresh_parts();
refused(q(ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY), '0A000');

# a lease, and values of the transaction's own that are rolled back
fresh();
is(sql(q(SELECT syncmap.lease('m') AS l \gset
	BEGIN; UPDATE t SET v = 99 WHERE k = 5; SELECT v FROM t WHERE k = 5 \gset
	SELECT syncmap.put_leased('m', 5::bigint, :v::bigint, :'l'::bytea); ROLLBACK;
	SELECT syncmap.get('m', 5::bigint))), "f\n", 'a lease of before does not store in a transaction that has written');

# changes of partitions that are replicated
sql(q(SET client_min_messages = warning; DROP TABLE IF EXISTS p, p1 CASCADE));
fresh_parts();
sql($_->[0], $_->[1]) for [ q(CREATE PUBLICATION parts FOR TABLE p WITH (publish_via_partition_root = false); ALTER TABLE p1 REPLICA IDENTITY FULL; ALTER TABLE p21 REPLICA IDENTITY FULL), 'postgres' ];
sql(q(SET client_min_messages = warning; DROP TABLE IF EXISTS t CASCADE; DROP FOREIGN TABLE IF EXISTS m, mt, whole;
	CREATE TABLE p (k bigint, v bigint, a integer) PARTITION BY LIST (a); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1); CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2) PARTITION BY RANGE (k); CREATE TABLE p21 PARTITION OF p2 FOR VALUES FROM (0) TO (1000);
	CREATE FOREIGN TABLE m (key bigint, value bigint) SERVER syncmap OPTIONS (loader 'SELECT v FROM public.p WHERE k = $1'); SELECT syncmap.watch('m', 'p', 'k')), 'subscriber');
sql(q(SELECT pg_create_logical_replication_slot('parts', 'pgoutput')));
sql(sprintf(q(CREATE SUBSCRIPTION parts CONNECTION 'host=%s port=%s dbname=postgres' PUBLICATION parts WITH (create_slot = false, slot_name = 'parts')), $node->host, $node->port), 'subscriber');
$node->poll_query_until('subscriber', 'SELECT count(*) = 10 FROM p') or diag 'nothing is replicated';
for my $change (
	q(UPDATE p SET v = v + 1 WHERE k < 5), q(UPDATE p SET a = 3 - a WHERE k = 6),
	q(TRUNCATE p1), q(TRUNCATE p21; INSERT INTO p SELECT i, 2 * i, 1 + i % 2 FROM generate_series(1, 10) i), q(TRUNCATE p))
{
	sql(q(SELECT count(syncmap.fetch('m', i::bigint)) FROM generate_series(1, 10) i), 'subscriber');
	sql($change);
	$node->wait_for_catchup('parts');
	is(sql(q(SELECT string_agg(i::text, ' ') FROM generate_series(1, 10) i WHERE syncmap.fetch('m', i::bigint, NULL::bigint) IS DISTINCT FROM (SELECT v FROM p WHERE k = i)), 'subscriber'), '', "applied to partitions: $change");
}
sql('DROP SUBSCRIPTION parts', 'subscriber');
sql(q(DROP TABLE p CASCADE));

# ---------------------------------------------------------------------------
# 9. DROP EXTENSION, and a server that starts again.

fresh();
$node->restart;
works('after a restart');
sql(q(SELECT syncmap.fetch('m', 3::bigint)));
refused('DROP EXTENSION syncmap', '2BP01');
sql('SET client_min_messages = warning; DROP EXTENSION syncmap CASCADE');
is(failure('UPDATE t SET v = 1 WHERE k = 3'), 'no error: ', 'without the extension the table can be changed');
is(sql('SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal'), '0', 'and has no trigger');

unlike(slurp_file($node->logfile), qr/PANIC|TRAP|\] XX000 |terminated by/, 'the server met nothing that must not happen');
$node->stop;
done_testing();
