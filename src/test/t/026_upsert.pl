# INSERT ... ON CONFLICT (key) DO UPDATE, and UPDATE and DELETE that look at their row again.
#
# What is attacked: that no change of a crowd at hot keys is lost, done twice, or done to a
# row that does not qualify any more, and that none fails, beside eviction, compaction,
# expiry, and emptied maps; that random upserts do to a map what they do to a table, rows that
# are returned and command tags included; that others who hook the planner and the executor
# see what they see of a table.
#
# SECONDS_UPSERT=n: so long for each crowd; UPSERTS=n: so many random statements.
use strict;
use warnings;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;
use Seeded;

my $seconds = $ENV{SECONDS_UPSERT} || 2;
my $upserts = $ENV{UPSERTS} || 600;
note "SECONDS_UPSERT=$seconds UPSERTS=$upserts";
# one before, and one behind: both see the query, and the plan
start_server(q(
shared_preload_libraries = 'pg_stat_statements, syncmap, auto_explain'
pg_stat_statements.track_planning = on
pg_stat_statements.track = all
));

sql(q(
CREATE EXTENSION pg_stat_statements;
CREATE FOREIGN TABLE c (key text COLLATE "C", n bigint) SERVER syncmap;
CREATE FOREIGN TABLE s (sid text COLLATE "C", hits bigint NOT NULL, note text, misses bigint NOT NULL, seen timestamptz, expire timestamptz OPTIONS (expires 'true')) SERVER syncmap;
CREATE FOREIGN TABLE l (id bigint, n bigint, until bigint OPTIONS (expires 'ms')) SERVER syncmap OPTIONS (ordered 'true');
CREATE FOREIGN TABLE evicts (key bigint, value text) SERVER syncmap OPTIONS (max_memory '2MB');
CREATE FOREIGN TABLE expires (key bigint, value text) SERVER syncmap OPTIONS (ttl '20 ms');
CREATE VIEW v AS SELECT n AS number, key AS k FROM c WHERE n >= 0 WITH CHECK OPTION;
CREATE TABLE taken (n bigint);
CREATE FUNCTION add(k text) RETURNS void LANGUAGE plpgsql AS
	$$BEGIN INSERT INTO c VALUES (k, 1) ON CONFLICT (key) DO UPDATE SET n = c.n + EXCLUDED.n; END$$;
));

# Runs scripts with eight clients, beside others that evict, expire, and compact.  Returns how
# many transactions succeeded; the others' errors are told.
sub crowd
{
	my ($name, @scripts) = @_;
	my (@files, $out, $err);
	for my $i (0 .. $#scripts)
	{
		my $file = $node->basedir . "/$name.$i.sql";
		append_to_file($file, $scripts[$i]);
		push @files, '-f', $file;
	}
	IPC::Run::run([ 'pgbench', '-n', '-c', '8', '-j', '2', '-T', $seconds, '-M', one_of('simple', 'extended', 'prepared'), "--random-seed=$seed", @files,
			'-h', $node->host, '-p', $node->port, 'postgres' ],
		'<', \undef, '>', \$out, '2>', \$err);
	my ($done) = $out =~ /actually processed: (\d+)/;
	my ($failed) = $out =~ /failed transactions: (\d+)/;
	cmp_ok($done // 0, '>', 0, "$name: some succeeded") or diag $err;
	is(($failed // 0) . join(' ', grep { /error|FATAL|aborted/i } split /\n/, $err), '0', "$name: none failed") or diag "SEED=$seed";
	return $done // 0;
}

my $churn = start_pgbench('churn', 1, q(
\set from random(1, 100000)
\set size random(1, 3000)
INSERT INTO evicts SELECT i, repeat('x', :size) FROM generate_series(:from, :from + 200) i ON CONFLICT (key) DO UPDATE SET value = evicts.value || 'y';
INSERT INTO expires SELECT i % 500, repeat('x', :size) FROM generate_series(:from, :from + 200) i ON CONFLICT (key) DO UPDATE SET value = left(expires.value || EXCLUDED.value, 9000);
DELETE FROM evicts WHERE key % 7 = :from % 7;
));

# each transaction adds 1 to one of three keys, and so to their sum
my %adds = (
	upsert => q(INSERT INTO c VALUES ('k' || :k, 1) ON CONFLICT (key) DO UPDATE SET n = c.n + 1;),
	upsert_excluded => q(INSERT INTO c AS x VALUES ('k' || :k, 1) ON CONFLICT (key) DO UPDATE SET n = EXCLUDED.n + x.n WHERE x.n < 1000000000;),
	upsert_query => q(INSERT INTO c AS x SELECT 'k' || :k, 1 ON CONFLICT (key) DO UPDATE SET (n) = (SELECT x.n + i FROM generate_series(1, 1) i);),
	upsert_view => q(INSERT INTO v AS x VALUES (1, 'k' || :k) ON CONFLICT (k) DO UPDATE SET number = x.number + 1;),
	upsert_cte => q(WITH w AS (INSERT INTO c VALUES ('k' || :k, 1) ON CONFLICT (key) DO UPDATE SET n = c.n + 1 RETURNING n) SELECT n FROM w;),
	upsert_plpgsql => q(SELECT add('k' || :k);),
	# with time for others between reading and writing
	upsert_slow => q(INSERT INTO c VALUES ('k' || :k, 1) ON CONFLICT (key) DO UPDATE SET n = c.n + 1 WHERE pg_sleep(0.002) IS NOT NULL;),
	update_slow => q(UPDATE c SET n = n + 1 WHERE key = 'k' || :k AND pg_sleep(0.002) IS NOT NULL;),
	update => q(UPDATE c SET n = n + 1 WHERE key = 'k' || :k;),
	update_any => q(UPDATE c SET n = n + 1 WHERE key = ANY (ARRAY['k' || :k, 'none']);),
	update_scan => q(UPDATE c SET n = n + 1 WHERE right(key, 1) = (:k)::text;),
	update_join => q(UPDATE c SET n = n + i FROM generate_series(1, 1) i WHERE key = 'k' || :k;),
	update_view => q(UPDATE v SET number = number + 1 WHERE k = 'k' || :k;),
	update_cte => q(WITH w AS (UPDATE c SET n = n + 1 WHERE key = 'k' || :k RETURNING n) SELECT n FROM w;));
for my $name (sort keys %adds)
{
	sql(q(TRUNCATE c)) if $name =~ /upsert/;
	sql(q(TRUNCATE c; INSERT INTO c SELECT 'k' || i, 0 FROM generate_series(1, 3) i)) if $name =~ /update/;
	my $done = crowd($name, "\\set k random(1, 3)\n$adds{$name}\n");
	is(sql(q(SELECT sum(n) FROM c)), $done, "$name: none is lost") or diag "SEED=$seed";
	note "$name: $done";
}
# several rows at once, in one order, beside single ones in another
sql(q(TRUNCATE c));
my $many = crowd('many', q(INSERT INTO c SELECT 'k' || i, 1 FROM generate_series(1, 6) i ON CONFLICT (key) DO UPDATE SET n = c.n + 1;) . "\n",
	join('', map { "INSERT INTO c VALUES ('k$_', 1) ON CONFLICT (key) DO UPDATE SET n = c.n + 1;\n" } reverse 1 .. 6));
is(sql(q(SELECT string_agg(n::text, ' ') FROM c)), join(' ', ($many) x 6), 'many: none is lost') or diag "SEED=$seed";

# columns of one row: who sets one leaves the others
sql(q(INSERT INTO s SELECT 's' || i, 0, 'n', 0, NULL, 'infinity' FROM generate_series(1, 2) i));
sql(q(INSERT INTO l SELECT i, 0, NULL FROM generate_series(1, 2) i));
my ($hits, $misses, $limits) = (0, 0, 0);
my $rows = crowd('columns',
	"\\set k random(1, 2)\nUPDATE s SET hits = hits + 1 WHERE sid = 's' || :k;\nUPDATE s SET misses = misses + 1 WHERE sid = 's' || :k;\nUPDATE l SET n = n + 1 WHERE id = :k;\n",
	"\\set k random(1, 2)\nINSERT INTO s VALUES ('s' || :k, 1, 'n', 0) ON CONFLICT (sid) DO UPDATE SET hits = s.hits + 1;\nINSERT INTO s VALUES ('s' || :k, 1, 'n', 1) ON CONFLICT (sid) DO UPDATE SET misses = s.misses + 1, note = left(s.note || 'n', 100);\nINSERT INTO l VALUES (:k, 1) ON CONFLICT (id) DO UPDATE SET n = l.n + 1;\n",
	"\\set k random(1, 2)\nUPDATE s SET seen = now(), hits = hits + 1, expire = now() + interval '1 h' WHERE sid = 's' || :k;\nINSERT INTO s VALUES ('s' || :k, 1, 'n', 1) ON CONFLICT (sid) DO UPDATE SET misses = s.misses + 1, expire = s.expire + interval '1 s';\nINSERT INTO l VALUES (:k, 1) ON CONFLICT (id) DO UPDATE SET n = l.n + 1, until = coalesce(l.until, (extract(epoch FROM now()) * 1000)::bigint + 3600000) + 1;\n");
is(sql(q(SELECT (SELECT sum(hits) || ' ' || sum(misses) FROM s) || ' ' || (SELECT sum(n) FROM l))), "$rows $rows $rows", 'columns: none is lost') or diag "SEED=$seed";

# when a row expires is compared, too: nothing else changes here
sql(q(UPDATE l SET until = 10000000000000, n = 0));
my $later = crowd('expiry', "\\set k random(1, 2)\nUPDATE l SET until = until + 1 WHERE id = :k;\n", "\\set k random(1, 2)\nINSERT INTO l VALUES (:k, 1) ON CONFLICT (id) DO UPDATE SET until = l.until + 1;\n");
is(sql(q(SELECT sum(until) - 20000000000000 FROM l)), $later, 'expiry: no change of it is lost') or diag "SEED=$seed";

# what is taken out, and what is there in the end, is what was put in
sql(q(TRUNCATE c));
my $put = crowd('taken', "\\set k random(1, 3)\nINSERT INTO c VALUES ('k' || :k, 1) ON CONFLICT (key) DO UPDATE SET n = c.n + 1;\n" x 4 .
	"\\set k random(1, 3)\nWITH d AS (DELETE FROM c WHERE key = 'k' || :k AND n >= 3 RETURNING n) INSERT INTO taken SELECT n FROM d;\n" .
	"\\set k random(1, 3)\nWITH d AS (DELETE FROM c WHERE key = 'k' || :k AND n >= 3 AND pg_sleep(0.002) IS NOT NULL RETURNING n) INSERT INTO taken SELECT n FROM d;\n");
is(sql(q(SELECT coalesce((SELECT sum(n) FROM c), 0) + (SELECT sum(n) FROM taken))), 4 * $put, 'taken: none is lost, or taken twice') or diag "SEED=$seed";
is(sql(q(SELECT count(*) FROM taken WHERE n < 3)), 0, 'taken: none that does not qualify');

# beside maps that are emptied, and keys that expire: nothing fails, and no value is wrong
sql(q(TRUNCATE c));
crowd('emptied', "\\set k random(1, 3)\nINSERT INTO c VALUES ('k' || :k, 1) ON CONFLICT (key) DO UPDATE SET n = c.n + 1;\nUPDATE c SET n = n + 1 WHERE key = 'k' || :k;\n" x 5,
	"TRUNCATE c;\nSELECT syncmap.delete('c', 'k1');\n", "SELECT syncmap.expire('c', 'k2', '1 ms');\n");
is(sql(q(SELECT count(*) FROM c WHERE n < 1 OR key !~ '^k[123]$')), 0, 'emptied: what is there makes sense');
finish_pgbench($churn);
is(sql(q(SELECT count(*) FROM evicts WHERE rtrim(value, 'y') ~ '[^x]') . q( UNION ALL SELECT count(*) FROM expires WHERE value ~ '[^x]')), "0\n0", 'values that grew are whole');

# ---- random upserts, and what a table makes of them ----

sql(q(
CREATE TABLE t (k text COLLATE "C" PRIMARY KEY, a integer, b text, c numeric NOT NULL DEFAULT 1, d jsonb);
CREATE FOREIGN TABLE m (k text COLLATE "C", a integer, b text, c numeric NOT NULL DEFAULT 1, d jsonb) SERVER syncmap;
CREATE VIEW vt AS SELECT d, c AS cc, k AS kk, a FROM t WHERE a IS NULL OR a < 90 WITH CHECK OPTION;
CREATE VIEW vm AS SELECT d, c AS cc, k AS kk, a FROM m WHERE a IS NULL OR a < 90 WITH CHECK OPTION;
CREATE TABLE o (k text, a integer);
INSERT INTO o SELECT 'k' || i % 12, i FROM generate_series(1, 20) i;
-- what a statement gives: its rows, in order if it says so, and how many; or its error
CREATE FUNCTION outcome(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	row record;
	rows text := '';
	n bigint := 0;
BEGIN
	IF statement ~ 'RETURNING' THEN
		FOR row IN EXECUTE statement LOOP
			rows := rows || row::text;
			n := n + 1;
		END LOOP;
	ELSE
		EXECUTE statement;
		GET DIAGNOSTICS n = ROW_COUNT;
	END IF;
	RETURN n || ' ' || rows;
EXCEPTION WHEN OTHERS THEN
	-- whatever came before the error stays in the map
	SET session_replication_role = replica;
	DELETE FROM m;
	INSERT INTO m SELECT * FROM t;
	SET session_replication_role = origin;
	RETURN SQLSTATE;
END $$;
-- what triggers hear, in the second half
CREATE TABLE heard (n serial, relation text, what text);
CREATE FUNCTION hear() RETURNS trigger LANGUAGE plpgsql AS
	$$BEGIN INSERT INTO heard(relation, what) VALUES (TG_TABLE_NAME, concat_ws(' ', TG_WHEN, TG_OP, TG_LEVEL, OLD, NEW)); RETURN NEW; END$$;
CREATE TABLE outcomes (statement text, of_table text, of_map text, same boolean);
));

sub key { return "'k" . below(10) . "'"; }
sub integer { return one_of(below(120), below(120), 'NULL'); }
sub row
{
	return '(' . join(', ', key(), integer(), one_of("'b" . below(9) . "'", 'NULL', "repeat('long', " . below(2000) . ')'),
		one_of(below(50) . '.5', below(50) . '.50', 'DEFAULT', below(20) ? '1' : 'NULL'), one_of("'{\"n\": " . below(9) . "}'", "'[]'", 'NULL')) . ')';
}
# %t is the table, x its row; EXCLUDED is the other
sub number { return one_of('x.a', 'EXCLUDED.a', 'coalesce(x.a, 0) + 1', 'x.a + EXCLUDED.a', integer(), 'length(x.b)', '(SELECT max(o.a) FROM o WHERE o.k = x.k)', '(SELECT count(*) FROM %t)::integer', '(SELECT z.a FROM %t z WHERE z.k = EXCLUDED.k)'); }
sub setting
{
	return one_of('a = ' . number(), 'b = x.b || EXCLUDED.b', 'b = x.k', 'c = x.c + EXCLUDED.c', 'c = ' . one_of('DEFAULT', 'NULL', '10 / coalesce(x.a, 1)'), 'd = coalesce(x.d, EXCLUDED.d)',
		'(a, b) = (SELECT o.a, o.k FROM o WHERE o.k = x.k ORDER BY o.a LIMIT 1)', '(b, c) = (EXCLUDED.b, x.c)', 'd = to_jsonb(x)', 'a = x.a', below(4) ? 'a = 5' : 'k = ' . key());
}
sub condition { return one_of('x.a < EXCLUDED.a', 'x.a IS NULL', 'x.b IS DISTINCT FROM EXCLUDED.b', 'x.k > ' . key(), 'EXISTS (SELECT FROM o WHERE o.k = x.k)', 'x.c = EXCLUDED.c', 'false', 'x.d @> EXCLUDED.d'); }
sub statement
{
	my $from = one_of('VALUES ' . join(', ', map { row() } 1 .. 1 + below(3)), 'VALUES ' . row(), 'SELECT k, a + ' . below(9) . ', b, c, d FROM %t WHERE k > ' . key() . ' ORDER BY k',
		"SELECT DISTINCT ON (k) k, a FROM o WHERE a < " . below(20) . ' ORDER BY k');
	my $columns = $from =~ /FROM o/ ? '(k, a)' : '(k, a, b, c, d)';
	my %set = map { (/^\(?(\w)/ ? $1 : '') . /^\(a/ => $_ } map { setting() } 1 .. 1 + below(3);
	my @set = values %set;
	@set = ($set[0]) if grep { /^\(/ } @set;
	my $action = below(6) ? 'UPDATE SET ' . join(', ', @set) . (below(2) ? '' : ' WHERE ' . condition()) : 'NOTHING';
	my $returning = one_of('', ' RETURNING *', ' RETURNING x.k, x.a, x', ' RETURNING length(x.b), c');
	my $statement = "INSERT INTO %t AS x $columns $from ON CONFLICT (k) DO $action$returning";
	$statement =~ s/ON CONFLICT \(k\)/'ON CONFLICT ' . one_of('(a)', '(k, a)', '(lower(k))', '(k COLLATE "C")', '(k, k)')/e if below(15) == 0;
	return $statement if below(8);
	# by a view, with other names
	return 'INSERT INTO v%t AS x (kk, a, d) VALUES (' . key() . ', ' . integer() . ", '[1]'), (" . key() . ', 3, NULL) ON CONFLICT (kk) DO UPDATE SET a = coalesce(x.a, 0) + ' . below(60) . ', cc = EXCLUDED.cc + 1 RETURNING *';
}
sub change
{
	my ($joins) = @_;
	return 'UPDATE %t x SET b = o.k FROM o WHERE o.k = x.k AND o.a < ' . below(20) if $joins && !below(4);
	return one_of('UPDATE %t x SET a = coalesce(a, 0) + 1 WHERE k = ' . key() . ' RETURNING *', 'DELETE FROM %t x WHERE k = ' . key() . ' AND a > ' . below(60) . ' RETURNING x.*',
		'UPDATE %t x SET a = (SELECT o.a FROM o WHERE o.k = x.k ORDER BY o.a LIMIT 1) WHERE k > ' . key(), 'DELETE FROM %t x USING o WHERE o.k = x.k AND o.a = ' . below(20));
}

# from 18 on RETURNING gives the row as it was, too
my $gives_old = sql('SHOW server_version_num') >= 180000;
my $script = '';
for (1 .. $upserts)
{
	$script .= join '', map { "CREATE TRIGGER a AFTER INSERT OR UPDATE ON $_ FOR EACH ROW EXECUTE FUNCTION hear(); CREATE TRIGGER b BEFORE UPDATE ON $_ FOR EACH ROW EXECUTE FUNCTION hear(); CREATE TRIGGER c AFTER UPDATE OR INSERT ON $_ EXECUTE FUNCTION hear();\n" } 't', 'm'
	  if $_ == int($upserts / 2);
	# a row that a join has twice is told to the triggers before it twice, other than a table's
	my $statement = below(4) ? statement() : change($_ < int($upserts / 2));
	$statement =~ s/(INSERT INTO %t.*) RETURNING \*/"$1 RETURNING " . one_of('old.*, new.*', 'old, new.k', 'old.a + new.a, old IS NULL', 'old.b')/e if $gives_old && below(2);
	$statement =~ s/(UPDATE %t.*) RETURNING \*/$1 RETURNING old.a, new.*, old/ if $gives_old;
	my ($of_table, $of_map) = map { $statement =~ s/%t/$_/gr } 't', 'm';
	$script .= 'SET plan_cache_mode = ' . one_of('auto', 'force_generic_plan') . ";\n" if below(20) == 0;
	$script .= "INSERT INTO outcomes SELECT \$q\$$of_map\$q\$, outcome(\$q\$$of_table\$q\$), outcome(\$q\$$of_map\$q\$);\n";
	$script .= "UPDATE outcomes SET same = (SELECT coalesce(string_agg(t::text, ' ' ORDER BY k), '') FROM t) = (SELECT coalesce(string_agg(m::text, ' ' ORDER BY k), '') FROM m) WHERE same IS NULL;\n";
	$script .= "SELECT outcome('DELETE FROM t'), outcome('DELETE FROM m');\n" if below(60) == 0;
}
sql($script);
is(sql(q(SELECT count(*) FROM outcomes)), $upserts, 'every statement has an outcome');
is(sql(q(SELECT * FROM outcomes WHERE of_table <> of_map OR NOT same LIMIT 5)), '', 'a map does what a table does') or diag "SEED=$seed";
is(sql(q(SELECT string_agg(what, '; ' ORDER BY what) FROM heard WHERE relation = 'm')), sql(q(SELECT string_agg(what, '; ' ORDER BY what) FROM heard WHERE relation = 't')), 'triggers of a map hear what those of a table do');
note sql(q(SELECT string_agg(what || ': ' || n, ', ') FROM (SELECT CASE WHEN of_table ~ '^[0-9A-Z]{5}$' THEN of_table WHEN of_table ~ '^0 ' THEN 'no rows' ELSE 'rows' END, count(*) FROM outcomes GROUP BY 1 ORDER BY 1) s(what, n)));
cmp_ok(sql(q(SELECT count(*) FROM outcomes WHERE of_table ~ '^[1-9]\d* ')), '>', $upserts / 4, 'many with rows');

# ---- who else looks at queries ----

sql(q(SELECT pg_stat_statements_reset(); TRUNCATE c));
sql(q(INSERT INTO c VALUES ('a', 1) ON CONFLICT (key) DO UPDATE SET n = c.n + 7)) for 1 .. 3;
is(sql(q(SELECT calls, plans, rows FROM pg_stat_statements WHERE query ~ '^INSERT INTO c')), '3|3|3', 'pg_stat_statements counts it as one');
is(sql(q(SELECT query FROM pg_stat_statements WHERE query ~ '^INSERT INTO c')), 'INSERT INTO c VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET n = c.n + $3', 'and knows what it was');
sql(q(SET auto_explain.log_min_duration = 0; SET auto_explain.log_analyze = on; SET auto_explain.log_nested_statements = on; SELECT add('b'), add('b')));
like(slurp_file($node->logfile), qr/Insert on c .*?Effects: immediate.*?Conflict Arbiter: key\s+Conflict Resolution: UPDATE\s+Tuples Inserted: 0\s+Conflicting Tuples: 1/s, 'auto_explain shows it');
is(sql(q(CREATE FUNCTION counted() RETURNS text LANGUAGE plpgsql AS $$DECLARE n integer; BEGIN INSERT INTO c VALUES ('z', 1), ('b', 1) ON CONFLICT (key) DO UPDATE SET n = 5 WHERE c.n > 100; GET DIAGNOSTICS n = ROW_COUNT; RETURN n || ' ' || FOUND; END$$; SELECT counted())), '1 true', 'PL/pgSQL counts the rows');

end_test();
