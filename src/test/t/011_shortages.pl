# Shortages and disturbances from outside: full memory, no connection left, no space for
# temporary files, settings that are none, and what is dropped while it is in use.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use Seeded;

my $rounds = $ENV{ROUNDS} || 2;
note "ROUNDS=$rounds";
my $connections = 12;
start_server(qq(
syncmap.memory = 8MB
max_connections = $connections
max_wal_senders = 0
));
my $all = sql('SELECT free_bytes FROM syncmap.stat_memory');
sub all_is_free { return $node->poll_query_until('postgres', "SELECT free_bytes = $all FROM syncmap.stat_memory"); }
my $started = time();
sub part { note sprintf('part %d: %.1f s', $_[0], time() - $started); $started = time(); return; }

# ---------------------------------------------------------------------------
# 1. Memory is full.

sql(q(
-- Puts until it fails.  Returns how many it put.
CREATE FUNCTION fill(m regclass, prefix text, size integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	n integer := 0;
BEGIN
	LOOP
		PERFORM syncmap.put(m, prefix || n, make(prefix || n, size));
		n := n + 1;
	END LOOP;
EXCEPTION WHEN out_of_memory THEN
	RETURN n;
END $$;
CREATE FUNCTION fill(m regclass) RETURNS integer LANGUAGE sql AS $$SELECT fill(m, 'a', 20000) + fill(m, 'b', 2000) + fill(m, 'c', 60) + fill(m, 'd', 0)$$;
));
sub is_readable
{
	my ($map, $n, $what) = @_;
	is(sql("SELECT count(*), count(DISTINCT key), bool_and(sane(key, value)), syncmap.count('$map') FROM syncmap.range('$map')"), "$n|$n|t|$n", "M3: $what, all is readable") or diag "SEED=$seed";
	is(sql("SELECT count(*), bool_and(sane(key, value) AND value = syncmap.get('$map', key)) FROM $map"), "$n|t", 'as a table, too');
	is(sql("SELECT count(*), bool_and(sane(key, value)) FROM syncmap.range('$map', descending => true, consistent => true)"), "$n|t", 'and as of one moment');
	return;
}
for my $limit ('arena', 'quota')
{
	for my $ordered ('false', 'true')
	{
		my $what = "$limit full, ordered $ordered";
		sql("SELECT syncmap.create('m', eviction => 'none', ordered => $ordered" . ($limit eq 'quota' ? q(, max_memory => '4MB') : '') . ')');
		sql(q(SELECT syncmap.put('m', 'n', repeat('n', 100)), syncmap.put('m', 'old', make('old', 2000)), syncmap.put('m', 'small', make('small', 60))));
		my $full = $limit eq 'quota' ? qr/^53200: map "m" is full\nDETAIL:.*\nHINT:  Delete keys, raise the map's option max_memory/ : qr/^53200: syncmap is out of memory\nDETAIL:.*\nHINT:  Delete keys or drop maps, or raise syncmap\.memory/;
		my $n = 2 + sql(q(SELECT fill('m')));
		sql(q(SELECT syncmap.delete('m', 'n')));
		$n += sql(q(SELECT fill('m', 'e', 0)));
		cmp_ok($n, '>', 250, "$what: some fit");
		like(failure("SELECT $_"), $full, "$what: $_")
		  for q(syncmap.put('m', 'new', repeat('v', 5000))), q(syncmap.put('m', 'a1', repeat('v', 300000))), q(syncmap.swap('m', 'old', repeat('v', 90000))),
		  q(syncmap.get_or_put('m', 'new', repeat('v', 5000))), q(syncmap.put_many('m', ARRAY['new'], ARRAY[repeat('v', 5000)])), q(syncmap.compare_and_swap('m', 'old', syncmap.get('m', 'old'), repeat('v', 90000)));
		like(failure(q(INSERT INTO m VALUES ('new', repeat('v', 5000)))), $full, "$what: INSERT");
		like(failure(q(UPDATE m SET value = repeat('v', 90000) WHERE key = 'old')), $full, "$what: UPDATE");
		like(failure(q(DO $$BEGIN FOR i IN 1 .. 100000 LOOP PERFORM syncmap.increment('m', 'i' || i); END LOOP; END$$)), $full, "$what: increment");
		sql(q(SELECT count(syncmap.delete_range('m', prefix => 'i'))));
		is_readable('m', $n, $what);
		is(sql(q(SELECT syncmap.get('m', 'a1') = make('a1', 20000), syncmap.get('m', 'old') = make('old', 2000), syncmap.contains('m', 'new'))), 't|t|f', 'M2: the old values stay');
		is(sql(q(SELECT syncmap.put('m', 'small', make('small', 60)))), 'f', 'a small value of the same size has room');
		is(sql(q(SELECT syncmap.delete_range('m', prefix => 'a1') > 10)), 't', 'what is deleted');
		is(sql(q(SELECT syncmap.put('m', 'new', make('new', 5000)))), 't', 'makes room');
		is_readable('m', sql(q(SELECT syncmap.count('m'))), "$what, and then not");
		sql(q(SELECT syncmap.clear('m')));
		is(sql(q(SELECT fill('m', 'z', 3000) > 300)), 't', 'after clear there is room again');
		sql(q(SELECT syncmap.drop('m')));
		ok(all_is_free(), "$what: all memory comes back");
	}
}

# maps that evict never fail, whatever happens to their values
sql(q(
SELECT syncmap.create('hog', eviction => 'none', max_memory => '4MB'), syncmap.create('one'), syncmap.create('two', ordered => true), syncmap.create('small', max_memory => '512kB', shards => 2);
SELECT fill('hog');
));
my $hogged = sql(q(SELECT syncmap.count('hog')));
my $writers = start_pgbench('evicting', 3, q(
\set size random(0, 300) * random(0, 300)
\set i random(1, 5000)
SELECT syncmap.put('one', 'k' || :i, make('k' || :i, :size)), syncmap.put('two', 'k' || :i, make('k' || :i, :size / 2)), syncmap.put('small', 'k' || :i, make('k' || :i, :size / 50));
SELECT must(sane('k' || :i, syncmap.get('one', 'k' || :i)) AND sane('k' || :i, syncmap.get('two', 'k' || :i)), 'get');
));
ok($node->poll_query_until('postgres', "SELECT count(*) = 3 FROM syncmap.stat_map WHERE relname <> 'hog' AND evictions > 500 * $rounds"), 'all maps evict');
finish_pgbench($writers);
is_readable('hog', $hogged, 'beside maps that evict');
is(sql(qq(SELECT bool_and(sane(key, value)), count(*) > 10 FROM syncmap.range('$_'))), 't|t', "$_ is whole") for qw(one two small);
sql(q(SELECT syncmap.drop(m) FROM unnest('{hog, one, two, small}'::regclass[]) m));
ok(all_is_free(), 'all memory comes back');
part(1);

# ---------------------------------------------------------------------------
# 2. No connection is left.

sql(q(
SELECT syncmap.create('m'), syncmap.create('n', ordered => true);
CREATE FUNCTION becomes(query text, within interval) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	deadline timestamptz := clock_timestamp() + within;
	yes boolean;
BEGIN
	LOOP
		PERFORM pg_stat_clear_snapshot(), pg_sleep(0.005);
		EXECUTE query INTO yes;
		IF yes OR clock_timestamp() > deadline THEN RETURN yes; END IF;
	END LOOP;
END $$;
));
my $session = $node->background_psql('postgres');
for my $round (1 .. $rounds)
{
	$writers = start_pgbench("everyone$round", $connections - 1, q(
\set i random(1, 300)
SELECT syncmap.put('m', 'k' || :i, make('k' || :i, :i)), syncmap.put('n', 'k' || :i, make('k' || :i, :i)), syncmap.increment('n', 'number');
SELECT count(*) FROM n WHERE key < 'k2';
SELECT count(*) FROM syncmap.range('m', consistent => true);
SELECT syncmap.delete('m', 'k' || 1 + :i % 300), syncmap.ttl('n', 'k' || :i);
));
	is($session->query_safe(qq(SELECT becomes('SELECT count(*) = $connections FROM pg_stat_activity WHERE backend_type = ''client backend''', '60 s'))), 't', 'all connections are in use');
	like(failure('SELECT 1'), qr/sorry, too many clients already/, 'one more is refused');
	is($session->query_safe(q(SELECT syncmap.delete('n', 'number') IS NOT NULL AND becomes($$SELECT syncmap.get('n', 'number')::integer > 200$$, '60 s'))), 't', 'all work');
	finish_pgbench($writers);
}
is($session->query_safe(q(SELECT bool_and(sane(key, value)) AND count(*) > 0 FROM syncmap.range('m', consistent => true))), 't', 'the map is whole');
$session->quit;
part(2);

# ---------------------------------------------------------------------------
# 3. Settings that are none: the log says so, and the old value stays.

sql(q(SELECT syncmap.put('m', 'stays', 'v')));
my $worker = q(SELECT pid FROM pg_stat_activity WHERE backend_type = 'syncmap maintenance');
my $pid = sql($worker);
my %bad = (
	'syncmap.memory' => [ '0', '262145', "'300GB'", 'much', '-1', "'8 apples'" ],
	'syncmap.max_maps' => [ '0', '8193', 'many', "'1MB'" ],
	'syncmap.promote_ratio' => [ '-1', '101', 'half', "'30%'" ],
	'syncmap.compact_ratio' => [ '-1', '101', 'half' ],
	'syncmap.maintenance_interval' => [ '99', "'2h'", "'50ms'", 'often', "'5MB'" ],
	'syncmap.enabled' => [ '2', 'perhaps', "''" ]);
for my $name (sort keys %bad)
{
	my $old = sql("SHOW $name");
	my $old_line = sql("SELECT setting FROM pg_file_settings WHERE name = '$name' ORDER BY seqno DESC LIMIT 1");
	for my $value (@{ $bad{$name} })
	{
		my $at = -s $node->logfile;
		$node->append_conf('postgresql.conf', "$name = $value");
		$node->reload;
		ok($node->poll_query_until('postgres', "SELECT pg_read_file('" . $node->logfile . "', $at, 100000) ~ 'contains errors; unaffected changes were applied'"), "$name = $value is noticed");
		my $log = substr(slurp_file($node->logfile), $at);
		like($log, qr/(invalid value for parameter "\Q$name\E"|is outside the valid range for parameter "\Q$name\E"|parameter "\Q$name\E" requires a Boolean value)/, 'the log says so');
		is(sql("SHOW $name"), $old, "it stays $old");
		like(failure("ALTER SYSTEM SET $name = $value"), qr/^22023: (?:invalid value|parameter|.* is outside)/, 'ALTER SYSTEM refuses it');
		my $conf = slurp_file($node->data_dir . '/postgresql.conf');
		$conf =~ s/\n\Q$name = $value\E\n\z/\n/ or die;
		open(my $fh, '>', $node->data_dir . '/postgresql.conf') or die;
		print $fh $conf;
		close($fh);
	}
}
$node->append_conf('postgresql.conf', 'syncmap.memory = 9MB');
my $at = -s $node->logfile;
$node->reload;
ok($node->poll_query_until('postgres', "SELECT pg_read_file('" . $node->logfile . "', $at, 100000) ~ 'parameter \"syncmap.memory\" cannot be changed without restarting the server'"), 'a size of memory waits for a restart');
is(sql('SHOW syncmap.memory') . sql(q(SELECT total_bytes <= 8 * 1024 * 1024 FROM syncmap.stat_memory)), '8MBt', 'it stays 8MB until then');
$node->append_conf('postgresql.conf', 'syncmap.memory = 8MB');
$at = -s $node->logfile;
$node->append_conf('postgresql.conf', 'syncmap.promote_ratio = 17');
$node->reload;
ok($node->poll_query_until('postgres', q(SELECT current_setting('syncmap.promote_ratio') = '17')), 'settings that are right are still taken');
unlike(substr(slurp_file($node->logfile), $at), qr/contains errors/, 'and nothing is said');
like(failure(q(SET syncmap.promote_ratio = 5)), qr/^55P02: parameter "syncmap.promote_ratio" cannot be changed now/, 'no session sets its own ratio');
like(failure(q(CREATE ROLE r; SET ROLE r; SET syncmap.enabled = off)), qr/^42501: permission denied to set parameter "syncmap.enabled"/, 'only a superuser turns maps off');
is(sql($worker), $pid, 'the worker has seen all that');
is(sql(q(SELECT syncmap.get('m', 'stays'))), 'v', 'and the map, too');
sql(q(SELECT syncmap.drop('m'), syncmap.drop('n')));

# more than there is: whatever the machine has, the server may not have so much
$node->stop;
$node->append_conf('postgresql.conf', 'syncmap.memory = 16GB');
my $other_log = $node->logfile . '.shortage';
isnt(system(q(sh -c 'ulimit -v 8000000; exec pg_ctl -w -D "$0" -l "$1" start' ') . $node->data_dir . "' '$other_log' >/dev/null 2>&1"), 0, 'a server without the memory does not start');
like(slurp_file($other_log), qr/FATAL:  could not map anonymous shared memory: .*\n.*HINT:  This error usually means that PostgreSQL's request for a shared memory segment exceeded available memory/, 'and says why');
$node->append_conf('postgresql.conf', 'syncmap.memory = 8MB');
$node->start;
is(sql('SELECT free_bytes FROM syncmap.stat_memory'), $all, 'with what it had it does');
part(3);

# ---------------------------------------------------------------------------
# 4. A session that gets no memory from the system, wherever it needs some.

sql(q(
SELECT syncmap.create('values', eviction => 'none', ordered => true), syncmap.create('documents', eviction => 'none', value_type => 'jsonb');
SELECT syncmap.put('values', 'large', make('large', 1500000)), syncmap.put('values', 'small', make('small', 50)),
	syncmap.put('documents', 'd', to_jsonb(array_agg(i))) FROM generate_series(1, 50000) i;
SELECT count(syncmap.put('values', 'k' || i, make('k' || i, i % 900))) FROM generate_series(1, 3000) i;
CREATE FUNCTION deep() RETURNS void LANGUAGE plpgsql AS $$BEGIN PERFORM deep(); END$$;
));
my @hungry = (
	q(SELECT length(syncmap.get('values', 'large'))),
	q(SELECT length(syncmap.get_many('values', array_fill('large'::text, ARRAY[20]))::text)),
	q(SELECT sum(length(v)) FROM (SELECT array_agg(syncmap.get('values', 'large')) a FROM generate_series(1, 20)) x, unnest(a) v),
	q(SELECT jsonb_array_length(syncmap.get('documents', 'd', NULL::jsonb))),
	q(SELECT length(syncmap.swap('values', 'large', make('large', 1400000)))),
	q(SELECT syncmap.compare_and_swap('values', 'large', make('large', 1400000), make('large', 1500000))),
	q(SELECT syncmap.put_many('values', array_agg('large'::text), array_agg(make('large', 1500000))) FROM generate_series(1, 5)),
	q(SELECT length(actual) FROM syncmap.get_or_put('values', 'large', 'never')),
	q(SELECT sum(length(value)) FROM syncmap.range('values', consistent => true)),
	q(SELECT count(*) FROM (SELECT * FROM syncmap.range('values', descending => true) ORDER BY value OFFSET 0) x),
	q(SELECT sum(length(value)) FROM (SELECT * FROM values ORDER BY value OFFSET 0) x),
	q(UPDATE values SET value = make(key, length(value)) WHERE key = 'large' RETURNING length(value)),
	q(SELECT syncmap.delete_range('documents', prefix => 'none')),
);
my %told;
for my $round (1 .. 3 * $rounds)
{
	my $headroom = below(20_000_000);
	# A stack that can't grow is the end of a process, and so is PostgreSQL 18's cache of
	# types if it can't be made: both are there before.
	my $script = "SET work_mem = '1GB';\nSELECT deep();\nSELECT FROM (VALUES ('b'), ('a')) v ORDER BY column1;\nSELECT pg_backend_pid() AS pid \\gset\n\\setenv PID :pid\n"
	  . "\\! prlimit --pid \$PID --as=\$((\$(awk '/VmSize/ { print \$2 }' /proc/\$PID/status) * 1024 + $headroom)):\n";
	$script .= "$hungry[below(scalar @hungry)] \\g (tuples_only) /dev/null\n\\echo :SQLSTATE\n" for 1 .. 30;
	$script .= "\\! prlimit --pid \$PID --as=unlimited:\n"
	  . "SELECT bool_and(sane(key, value)) AND count(*) = 3002 FROM syncmap.range('values', consistent => true);\n"
	  . "SELECT syncmap.put('values', 'small', make('small', 50));\n";
	my ($out) = finish_psql(start_psql('hungry', $script));
	$told{$_}++ for $out =~ /^(\w{5})$/mg;
	like($out, qr/\nt\nf\n\z/, 'its maps are whole, and it works on') or diag "SEED=$seed, headroom $headroom";
	is(sql(q(SELECT count(*) FROM pg_locks WHERE relation = 'values'::regclass)), '0', 'no lock is left');
	is(sql(q(SELECT syncmap.put('values', 'small', make('small', 50)))), 'f', 'another session writes');
}
note join ', ', map { "$_: $told{$_}" } sort keys %told;
is(join(' ', sort keys %told), '00000 53200', 'what was asked for is given, or memory is out') or diag "SEED=$seed";
sql(q(SELECT syncmap.drop('values'), syncmap.drop('documents')));
ok(all_is_free(), 'all memory comes back');
part(4);

# ---------------------------------------------------------------------------
# 5. No space for temporary files.  (A full disk would need a file system to be mounted.)

$node->append_conf('postgresql.conf', 'syncmap.memory = 32MB');
$node->restart;
$all = sql('SELECT free_bytes FROM syncmap.stat_memory');
sql(q(
SELECT syncmap.create('plain', eviction => 'none'), syncmap.create('sorted', eviction => 'none', ordered => true, consistent => true);
CREATE FUNCTION fill_both() RETURNS bigint LANGUAGE sql AS $$SELECT count(syncmap.put(m, 'k' || i, make('k' || i, i % 300))) FROM unnest('{plain, sorted}'::regclass[]) m, generate_series(1, 20000) i$$;
SELECT fill_both();
));
my $little = "SET work_mem = '64kB'; SET temp_file_limit = '1MB'; SET statement_timeout = '30s'";
my @spilling = (
	q(SELECT count(*) FROM syncmap.range('plain', descending => true)), q(SELECT count(*) FROM syncmap.range('plain', consistent => true)),
	q(SELECT count(*) FROM syncmap.range('plain', low => 'k', consistent => true)), q(SELECT count(*) FROM syncmap.range('sorted', consistent => true)),
	q(SELECT count(*) FROM sorted), q(SELECT count(*) FROM (SELECT * FROM sorted WHERE key > 'k' ORDER BY key OFFSET 0) s), q(INSERT INTO plain SELECT 'new' || key, value FROM plain));
$writers = start_pgbench('beside', 1, "\\set i random(1, 20000)\nSELECT syncmap.put(m, 'k' || :i, make('k' || :i, :i % 299)) FROM unnest('{plain, sorted}'::regclass[]) m;\n");
for my $round (1 .. $rounds)
{
	like(failure("$little; $_"), qr/^53400: temporary file size exceeds "?temp_file_limit/, "$_ has no space") for @spilling;
	# caught, in one session, and none holds up the next
	is(sql(q(SET work_mem = '64kB'; SET temp_file_limit = '1MB'; SET statement_timeout = '60s';
		DO $$BEGIN FOR i IN 1 .. 3 LOOP BEGIN
			PERFORM count(*) FROM syncmap.range('plain', consistent => true);
			RAISE 'there was space';
		EXCEPTION WHEN configuration_limit_exceeded THEN NULL; END; END LOOP; END$$;
		SELECT count(*) FROM syncmap.range('sorted', low => 'k', max_rows => 100);
		RESET temp_file_limit;
		SELECT count(*), count(DISTINCT key), bool_and(sane(key, value)) FROM syncmap.range('plain', consistent => true);
		SELECT count(*), count(DISTINCT key), bool_and(sane(key, value)) FROM sorted)), "100\n20000|20000|t\n20000|20000|t", 'with space all is there');
	is(sql(q(SELECT sum(size) FROM pg_ls_tmpdir())), '', 'no temporary file is left');
}
finish_pgbench($writers);
is(sql(q(SELECT count(*) FROM plain WHERE key ~ 'new')), '0', 'an INSERT of what it has not read yet stores nothing');
sql(q(SELECT syncmap.clear('plain'), syncmap.clear('sorted')));
ok(all_is_free(), 'all memory comes back');
part(5);

# ---------------------------------------------------------------------------
# 6. What is in use is dropped.

sql('SELECT fill_both()');
my $reader = $node->background_psql('postgres', on_error_stop => 0);
$reader->query_safe("SET statement_timeout = '60s'");
sub make_again { return sql("SELECT syncmap.create('$_[0]', eviction => 'none', ordered => '" . ($_[0] eq 'sorted' ? 'true' : 'false') . "'); SELECT fill_both()"); }
my @cursors = ([ 'plain', "SELECT * FROM syncmap.range('plain')" ], [ 'sorted', "SELECT * FROM syncmap.range('sorted', descending => true)" ],
	[ 'plain', "SELECT * FROM syncmap.range('plain', consistent => true)" ], [ 'plain', 'SELECT * FROM plain' ], [ 'sorted', "SELECT * FROM sorted WHERE key > '' ORDER BY key" ]);
# What the session of the reader says, errors and all.
sub reader_says
{
	$reader->{stderr} = '';
	my $out = $reader->query($_[0]);
	return "$out\n$reader->{stderr}";
}
for (@cursors)
{
	my ($map, $query) = @$_;
	is(reader_says("BEGIN; DECLARE c CURSOR FOR $query; MOVE 10 IN c"), "\n", 'a cursor is open');
	like(failure("SET lock_timeout = '50ms'; $_"), qr/^55P03: canceling statement due to lock timeout/, "$_ waits for a cursor: $query")
	  for "DROP FOREIGN TABLE $map", "SELECT syncmap.drop('$map')", 'DROP EXTENSION syncmap CASCADE', "TRUNCATE $map";
	my $drop = start_psql('dropper', "DROP FOREIGN TABLE $map;\n");
	ok($node->poll_query_until('postgres', q(SELECT count(*) = 1 FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE application_name = 'dropper' AND NOT granted)), 'without a timeout, too');
	like(reader_says('FETCH 1 FROM c; MOVE 19988 IN c; FETCH 2 FROM c; COMMIT'), qr/^k\d+\|\S+\nk\d+\|\S+\n*$/, 'the reader gets the rest');
	is(join('', finish_psql($drop)), '', 'then the map is dropped');
	like(failure($_), qr/^42P01: relation "$map" does not exist/, "$_ says so") for "SELECT syncmap.get('$map', 'k1')", "SELECT * FROM $map";
	like(reader_says("SELECT syncmap.get('$map', 'k1')"), qr/relation "$map" does not exist/, 'to the reader, too');
	ok($node->poll_query_until('postgres', 'SELECT maps = 1 FROM syncmap.stat_memory'), 'and its memory is given back');
	make_again($map);

	# the session itself
	my $ends = $query =~ /range/ ? qr/dropped\nk\d+\|/ : qr/because it is being used by active queries in this session/;
	like(reader_says("BEGIN; DECLARE c CURSOR FOR $query; MOVE 10 IN c; DROP FOREIGN TABLE $map; SELECT 'dropped'; FETCH 1 FROM c; ROLLBACK"), $ends, 'a session drops what its own cursor reads');
	like(reader_says("BEGIN; SET LOCAL client_min_messages = error; DECLARE c CURSOR FOR $query; MOVE 10 IN c; DROP EXTENSION syncmap CASCADE; SELECT 'dropped'; FETCH 1 FROM c; ROLLBACK"), $ends, 'or the extension');
	is(reader_says("SELECT syncmap.count('$map')"), "20000\n", 'it is as before after ROLLBACK');
	like(reader_says("BEGIN; DECLARE c CURSOR WITH HOLD FOR $query; COMMIT; DROP FOREIGN TABLE $map; SELECT 'dropped'; MOVE 19999 IN c; FETCH 2 FROM c; CLOSE c"), qr/^dropped\nk\d+\|\S+\n*$/, 'a cursor that is held has all rows');
	make_again($map);
}
$reader->quit;

# a session that goes on, while what it uses is dropped and made again and again
sql(q(
CREATE TABLE seen (state text, n integer);
CREATE PROCEDURE use_on() LANGUAGE plpgsql AS $$
DECLARE
	states jsonb := '{}';
	state text;
	deadline timestamptz := clock_timestamp() + interval '100 s';
	i integer := 0;
BEGIN
	WHILE to_regclass('stop') IS NULL AND clock_timestamp() < deadline LOOP
		i := i + 1;
		BEGIN
			CASE i % 6
			WHEN 0 THEN EXECUTE $q$SELECT count(syncmap.put('plain', 'k' || i, 'v')) FROM generate_series(1, 100) i$q$;
			WHEN 1 THEN EXECUTE $q$SELECT count(*) FROM syncmap.range('plain', consistent => true)$q$;
			WHEN 2 THEN EXECUTE $q$SELECT count(*) FROM plain$q$;
			WHEN 3 THEN EXECUTE $q$INSERT INTO plain SELECT 'k' || i, 'v' FROM generate_series(1, 100) i ON CONFLICT DO NOTHING$q$;
			WHEN 4 THEN PERFORM syncmap.get('plain', 'k1');
			ELSE EXECUTE $q$DELETE FROM plain$q$;
			END CASE;
			state := '00000';
		EXCEPTION WHEN OTHERS THEN
			state := sqlstate || CASE WHEN sqlstate = 'XX000' THEN ' ' || sqlerrm ELSE '' END;
		END;
		states := states || jsonb_build_object(state, coalesce((states->>state)::integer, 0) + 1);
		COMMIT;
	END LOOP;
	INSERT INTO seen SELECT key, value::integer FROM jsonb_each_text(states);
END $$;
SET client_min_messages = error;
DROP EXTENSION syncmap CASCADE;
));
my $make = q(CREATE EXTENSION syncmap; SELECT FROM syncmap.create('plain'););
sql($make);
my $users = start_psql('user', "CALL use_on();\n");
for my $round (1 .. 5 * $rounds)
{
	ok($node->poll_query_until('postgres', q(SELECT puts > 0 FROM syncmap.stat_map)), "round $round: the map is used");
	sql("SET client_min_messages = error; SET statement_timeout = '30s'; " . one_of('DROP EXTENSION syncmap CASCADE; ' . $make, 'DROP FOREIGN TABLE plain; ' . q(SELECT FROM syncmap.create('plain');)));
}
sql('CREATE TABLE stop ()');
is(join('', finish_psql($users)), '', 'and nothing worse happens');
my %seen = map { split /\|/ } split /\n/, sql('SELECT state, n FROM seen');
note join ', ', map { "$_: $seen{$_}" } sort keys %seen;
cmp_ok($seen{'00000'}, '>', 0, 'a session uses a map that is dropped and made again');
is(join(' ', grep { !/^(00000|42P01|3F000|42883|42704)$/ } sort keys %seen), '', 'it is told so, or nothing');

# a database, with and without force
sql('CREATE DATABASE other');
my $before = sql('SELECT free_bytes FROM syncmap.stat_memory');
$node->safe_psql('other', q(CREATE EXTENSION syncmap; SELECT syncmap.create('m', eviction => 'none'); SELECT count(syncmap.put('m', 'k' || i, repeat('v', 1000))) FROM generate_series(1, 5000) i));
cmp_ok(sql('SELECT free_bytes FROM syncmap.stat_memory'), '<', $before - 5000000, 'a map of another database has memory');
my $elsewhere = $node->background_psql('other', on_error_stop => 0);
$elsewhere->query_safe(q(BEGIN; DECLARE c CURSOR FOR SELECT * FROM syncmap.range('m'); MOVE 10 IN c; SELECT syncmap.put('m', 'k', 'v')));
# PostgreSQL waits five seconds for the others first
like(failure('DROP DATABASE other'), qr/^55006: database "other" is being accessed by other users/, 'a database that is in use is not dropped');
is($elsewhere->query_safe(q(SELECT syncmap.count('m'))), '5001', 'and its map is there');
sql('DROP DATABASE other WITH (FORCE)');
ok($node->poll_query_until('postgres', "SELECT free_bytes >= $before FROM syncmap.stat_memory"), 'with FORCE it is, and its memory is given back');
eval { $elsewhere->quit };
part(6);

end_test();
