# Faults: sessions that are cancelled, terminated, killed, or stopped in the middle of
# each function and statement, and a server that is killed.
use strict;
use warnings;
use List::Util qw(max shuffle);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use Seeded;

my $rounds = $ENV{ROUNDS} || 1;
note "ROUNDS=$rounds";
start_server(q(
restart_after_crash = on
max_connections = 30
));

my @maps = qw(kept cache frozen);
sql(q(
SELECT syncmap.create('kept', eviction => 'none', ordered => true), syncmap.create('cache', max_memory => '1MB', shards => 4),
	syncmap.create('frozen', consistent => true, ordered => true, max_memory => '16MB'), syncmap.create('counters', value_type => 'bigint');
CREATE FUNCTION key_of(i integer) RETURNS text LANGUAGE sql IMMUTABLE AS $$SELECT 'k' || i % 700$$;
CREATE FUNCTION value_of(i integer) RETURNS text LANGUAGE sql IMMUTABLE AS
	$$SELECT make(key_of(i), CASE WHEN i % 300 = 7 THEN 200000 WHEN i % 50 = 1 THEN 20000 WHEN i % 10 = 2 THEN 3000 ELSE i % 60 END)$$;
CREATE FUNCTION keys_of(i integer) RETURNS text[] LANGUAGE sql IMMUTABLE AS
	$$SELECT array_agg(key_of(j) ORDER BY j) FROM generate_series(i, i + 99) j$$;
CREATE FUNCTION values_of(i integer) RETURNS text[] LANGUAGE sql IMMUTABLE AS
	$$SELECT array_agg(value_of(j) ORDER BY j) FROM generate_series(i, i + 99) j$$;

-- What others do meanwhile.
CREATE FUNCTION disturb() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	m regclass;
	i integer;
BEGIN
	FOREACH m IN ARRAY '{kept, cache, frozen}'::regclass[] LOOP
		FOR n IN 1 .. 10 LOOP
			i := below(100000);
			PERFORM syncmap.put(m, key_of(i), value_of(i));
			PERFORM syncmap.delete(m, key_of(i + 1));
			PERFORM must(sane(key_of(i + 2), syncmap.get(m, key_of(i + 2))), 'get');
		END LOOP;
	END LOOP;
END $$;

-- Hits the sessions "victim" in the middle of statements, once each.
CREATE PROCEDURE hunt(how text, n integer) LANGUAGE plpgsql AS $$
DECLARE
	victim record;
	last timestamptz := '-infinity';
	deadline timestamptz := clock_timestamp() + n * interval '3 s' + interval '20 s';
BEGIN
	FOR i IN 1 .. n LOOP
		LOOP
			PERFORM pg_stat_clear_snapshot();
			SELECT pid, query_start INTO victim FROM pg_stat_activity
				WHERE application_name = 'victim' AND state = 'active' AND query ~ 'endless' AND query_start > last;
			EXIT WHEN FOUND;
			IF clock_timestamp() > deadline THEN RAISE 'victim % did not come', i; END IF;
			PERFORM pg_sleep(0.001);
		END LOOP;
		PERFORM pg_sleep(random() * 0.03);
		last := victim.query_start;
		PERFORM CASE how WHEN 'cancel' THEN pg_cancel_backend(victim.pid) ELSE pg_terminate_backend(victim.pid) END;
	END LOOP;
END $$;
));
my $file = $node->basedir . '/copied';
my $all = sql('SELECT free_bytes FROM syncmap.stat_memory');
sql("COPY (SELECT 'copied' || i, make('copied' || i, i % 60) FROM generate_series(1, 5000) i) TO '$file'");

# ---------------------------------------------------------------------------
# 1. Every function and statement, cut short in its middle.  Each goes on for ever;
# M is a map, S a number to start with.

my $each = 'FROM (SELECT generate_series(S, 1000000000) AS i) endless';
sub loop { return "DO \$\$BEGIN FOR endless IN S .. 1000000000 LOOP $_[0] END LOOP; END\$\$"; }
sub range_of { return "SELECT count(must((SELECT coalesce(bool_and(sane(key, value)), true) FROM (SELECT key, value FROM $_[0] OFFSET 0 * i) pairs), 'range')) $each"; }
my $retry = q(EXCEPTION WHEN serialization_failure OR SQLSTATE '72000' THEN NULL;);
my %calls = (
	get => "SELECT count(must(sane(key_of(i), syncmap.get('M', key_of(i))), 'get')) $each",
	contains => "SELECT count(syncmap.contains('M', key_of(i))) $each",
	get_many => "SELECT count(must((SELECT bool_and(sane(k, v)) FROM unnest(keys_of(i), syncmap.get_many('M', keys_of(i))) p(k, v)), 'get_many')) $each",
	put => "SELECT count(syncmap.put('M', key_of(i), value_of(i))) $each",
	put_many => "SELECT count(syncmap.put_many('M', keys_of(i), values_of(i))) $each",
	get_or_put => "SELECT count(must(sane(key_of(i), (syncmap.get_or_put('M', key_of(i), value_of(i))).actual), 'get_or_put')), count(syncmap.delete('M', key_of(i + 9))) $each",
	get_and_delete => "SELECT count(must(sane(key_of(i), syncmap.get_and_delete('M', key_of(i))), 'get_and_delete')), count(syncmap.put('M', key_of(i + 9), value_of(i + 9))) $each",
	delete => "SELECT count(syncmap.delete('M', key_of(i))), count(syncmap.put('M', key_of(i + 9), value_of(i + 9))) $each",
	delete_many => "SELECT count(syncmap.delete_many('M', keys_of(i))), count(syncmap.put('M', key_of(i + 9), value_of(i + 9))) $each",
	swap => "SELECT count(must(sane(key_of(i), syncmap.swap('M', key_of(i), value_of(i))), 'swap')) $each",
	compare_and_swap => "SELECT count(syncmap.put('M', key_of(i), value_of(i))), count(syncmap.compare_and_swap('M', key_of(i), value_of(i), make(key_of(i), 50))) $each",
	compare_and_delete => "SELECT count(syncmap.put('M', key_of(i), value_of(i))), count(syncmap.compare_and_delete('M', key_of(i), value_of(i))) $each",
	increment => "SELECT count(syncmap.increment('counters', 'c' || i % 50)), count(syncmap.delete('counters', 'c' || i % 49)) $each",
	expire => "SELECT count(syncmap.put('M', key_of(i), value_of(i), '1 h')), count(syncmap.expire('M', key_of(i), CASE i % 3 WHEN 0 THEN interval '1 ms' WHEN 1 THEN interval '1 h' END)) $each",
	ttl => "SELECT count(syncmap.ttl('M', key_of(i))), count(syncmap.put('M', key_of(i), value_of(i), '2 ms')) $each",
	clear => "SELECT count(syncmap.put_many('M', keys_of(i), values_of(i))), count(syncmap.clear('M')) $each",
	count => "SELECT count(syncmap.count('M')), count(syncmap.put('M', key_of(i), value_of(i))) $each",
	range => range_of("syncmap.range('M')"),
	range_ordered => range_of("syncmap.range('M', 'k2', 'k6', descending => i % 2 = 0)"),
	range_consistent => range_of("syncmap.range('kept', consistent => true)"),
	range_consistent_ordered => range_of("syncmap.range('frozen', prefix => 'k', max_rows => 500, consistent => true)"),
	delete_range => "SELECT count(syncmap.delete_range('M', key_of(i), max_rows => 20)), count(syncmap.put_many('M', keys_of(i), values_of(i))) $each",
	select => range_of('M'),
	select_range => range_of("M WHERE key LIKE 'k3%' ORDER BY key DESC"),
	select_keys => "SELECT count(must(sane(key, value), 'lookup')) $each JOIN M ON key = key_of(i)",
	insert => loop('INSERT INTO M SELECT key_of(i), value_of(i) FROM generate_series(endless, endless + 99) i ON CONFLICT DO NOTHING; DELETE FROM M WHERE key = ANY (keys_of(endless));'),
	update => loop("BEGIN UPDATE M SET value = make(key, length(value) % 500) WHERE length(value) > 20; $retry END; PERFORM syncmap.put_many('M', keys_of(endless), values_of(endless));"),
	update_key => loop("BEGIN UPDATE M SET key = 'k' || right(key, 1), value = make('k' || right(key, 1), 99) WHERE key = ANY (keys_of(endless)); $retry WHEN unique_violation THEN NULL; END;"),
	delete_rows => loop("BEGIN DELETE FROM M WHERE length(value) % 3 = 0; $retry END; PERFORM syncmap.put_many('M', keys_of(endless), values_of(endless));"),
	copy => loop("PERFORM syncmap.delete_range('M', prefix => 'copied'); COPY M FROM '$file';"),
	truncate => loop("TRUNCATE M; PERFORM syncmap.put_many('M', keys_of(endless), values_of(endless));"));

# All of them in some order, each with some map: its name and the statement.
sub all_calls
{
	my @list;
	for my $name (shuffle(sort keys %calls))
	{
		my ($map, $start) = (one_of(@maps), below(100000));
		push @list, [ $name, $calls{$name} =~ s/\bM\b/$map/gr =~ s/\bS\b/$start/gr, $map ];
	}
	return @list;
}

# Sessions that were cut short have left maps whole, no lock, and no memory in use.
sub check_maps
{
	my ($after) = @_;
	my $relations = join ', ', map { "'$_'::regclass" } @maps, 'counters';
	ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_locks WHERE relation IN ($relations)"), "$after: no lock on a map is left");
	for my $map (@maps)
	{
		# an LWLock that is left would not let statement_timeout in
		my $late;
		my $out = '';
		$node->psql('postgres', qq(
			SET statement_timeout = '20s';
			SELECT 'whole', coalesce(bool_and(sane(key, value)), true), count(*) = count(DISTINCT key) FROM syncmap.range('$map');
			SELECT 'as a table', coalesce(bool_and(sane(key, value)), true), count(*) = count(DISTINCT key) FROM $map;
			SELECT 'consistent', coalesce(bool_and(sane(key, value)), true), count(*) = count(DISTINCT key) FROM syncmap.range('$map', descending => false, consistent => true);
			SELECT 'put', count(syncmap.put('$map', 'after' || i, make('after' || i, i % 70))) = 2000 FROM generate_series(1, 2000) i;),
			stdout => \$out, timeout => 60, timed_out => \$late);
		is($out, "whole|t|t\nas a table|t|t\nconsistent|t|t\nput|t", "$after: $map is whole, and nobody holds it") or diag "SEED=$seed";
		BAIL_OUT('a lock is left') if $late;
		ok($node->poll_query_until('postgres', "SELECT syncmap.count('$map') = count(*) FROM syncmap.range('$map')"), "$after: its keys are counted");
	}
	sql("SET statement_timeout = '20s'; SELECT syncmap.clear(m) FROM unnest(ARRAY[$relations]) m");
	ok($node->poll_query_until('postgres', "SELECT free_bytes = $all FROM syncmap.stat_memory"), "$after: all memory is given back")
	  or diag "SEED=$seed: free of $all: ", sql('SELECT * FROM syncmap.stat_memory'), "\n", sql('SELECT * FROM syncmap.stat_map');
	sql("SELECT syncmap.put_many(m, keys_of(i), values_of(i)) FROM unnest('{kept, cache, frozen}'::regclass[]) m, generate_series(0, 600, 100) i");
	return;
}

my $started = time();
my $works = q(SELECT 'works' WHERE sane('alive', syncmap.get('M', 'alive')));
sub after_it { return "RESET statement_timeout;\nSELECT syncmap.put('$_[0]', 'alive', make('alive', 7)) AS \"new\" \\gset\n" . ($works =~ s/\bM\b/$_[0]/r) . ";\n"; }
sql("SELECT syncmap.put_many(m, keys_of(i), values_of(i)) FROM unnest('{kept, cache, frozen}'::regclass[]) m, generate_series(0, 600, 100) i");
for my $round (1 .. $rounds)
{
	for my $how ('timeout', 'cancel')
	{
		my @list = all_calls();
		my $others = start_pgbench("$how$round", 1, "SELECT disturb();\n");
		my $hunter = start_psql('hunter', "CALL hunt('cancel', " . @list . ");\n") if $how eq 'cancel';
		my $victim = start_psql('victim', join('', map {
			"\\warn $_->[0]\n" . "SET statement_timeout = " . ($how eq 'timeout' ? 1 + below(40) : 30000) . ";\n" . "$_->[1];\n" . after_it($_->[2]) } @list));
		my ($out, $err) = finish_psql($victim);
		is($err, join('', map { "$_->[0]\nERROR:  57014\n" } @list), "each is cut short by $how, round $round") or diag "SEED=$seed";
		is($out, "works\n" x @list, "and its session works on after $how, round $round") or diag "SEED=$seed";
		is(join('', finish_psql($hunter)), '', 'all were met') if $hunter;
		finish_pgbench($others);
		check_maps($how);
	}
	my @list = all_calls();
	my $others = start_pgbench("terminate$round", 1, "SELECT disturb();\n");
	my $hunter = start_psql('hunter', "CALL hunt('terminate', " . @list . ");\n");
	my @errors;
	for my $call (@list)
	{
		my ($out, $err) = finish_psql(start_psql('victim', "SET statement_timeout = '30s';\n$call->[1];\n"));
		push @errors, "$call->[0]: $out$err" unless $err =~ /^FATAL:  57P01$/m;
	}
	is("@errors", '', "each is cut short by the session's end, round $round") or diag "SEED=$seed";
	is(join('', finish_psql($hunter)), '', 'all were met');
	finish_pgbench($others);
	check_maps('terminate');
}
note sprintf('part 1: %.1f s', time() - $started);
$started = time();

# ---------------------------------------------------------------------------
# 2. A session, the worker, or the postmaster is killed: maps are empty, and there.

my $kills = 0;
my @whom = qw(writer reader worker postmaster);
my %query = (
	writer => "SELECT syncmap.put_many(m, keys_of(i), values_of(i)) FROM unnest('{kept, cache, frozen}'::regclass[]) m, generate_series(1, 600, 100) i;\n",
	reader => "SELECT count(*) FROM syncmap.range('kept', consistent => true); SELECT count(*) FROM frozen;\n");
for my $round (1 .. max($rounds, 4))
{
	my $whom = $round <= 4 ? $whom[ $round - 1 ] : one_of(@whom);
	my @others = map { start_pgbench("$_", 1, "-- $round\n$query{$_}") } 'writer', 'reader';
	$node->poll_query_until('postgres', q(SELECT count(DISTINCT application_name) = 2 AND (SELECT count(*) FROM syncmap.range('kept')) > 100
		FROM pg_stat_activity WHERE application_name IN ('writer', 'reader')));
	my $pid = $whom eq 'postmaster' ? undef : sql("SELECT pid FROM pg_stat_activity WHERE application_name = '" . ($whom eq 'worker' ? 'syncmap maintenance' : $whom) . "'");
	sleep(rand(0.05));
	if ($pid)
	{
		$kills += kill 'KILL', $pid;
		$_->{harness}->finish for @others;
	}
	else
	{
		$node->kill9;
		$_->{harness}->finish for @others;
		# until the last of its sessions has gone
		my $deadline = time() + 60;
		until ($node->start(fail_ok => 1) || time() > $deadline)
		{
			sleep(0.1);
			$node->stop('fast', fail_ok => 1);
		}
	}
	ok($node->poll_query_until('postgres', 'SELECT true'), "$whom was killed, and the server is there again");
	is(sql(join ' UNION ALL ', map { "SELECT syncmap.count('$_') + (SELECT count(*) FROM $_)" } @maps), "0\n0\n0", 'the maps are there, and empty');
	is(sql('SELECT free_bytes FROM syncmap.stat_memory'), $all, 'all memory is free');
	is(sql("SELECT sum(syncmap.put_many(m, keys_of(i), values_of(i))) FROM unnest('{kept, frozen}'::regclass[]) m, generate_series(0, 600, 100) i"), '1400', 'and they work');
	ok($node->poll_query_until('postgres', q(SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'syncmap maintenance')), 'so does the worker');
	check_maps("killed $whom") if $round <= 4 || $round % 20 == 0;
}
my $worker = sql(q(SELECT pid FROM pg_stat_activity WHERE backend_type = 'syncmap maintenance'));
is(sql("SELECT pg_terminate_backend($worker)"), 't', 'the worker is terminated');
note sprintf('part 2: %.1f s', time() - $started);
$started = time();

# ---------------------------------------------------------------------------
# 3. R6: a reader that is stopped holds up nobody.  "stays" has a quota, and what is kept
# for a snapshot makes room in it, too.  The keys w0 to w15 are put in turn by one writer,
# so that at each moment they are sixteen numbers in a row.

sql(q(
SELECT syncmap.create('stays', eviction => 'none', ordered => true, max_memory => '4MB'), syncmap.create('unordered', eviction => 'none', max_memory => '4MB'), syncmap.create('flags', value_type => 'bigint');
SELECT syncmap.put(m, 's' || i, make('s' || i, i % 100)), syncmap.put(m, 'w' || i % 16, lpad(i::text, 12, '0')) FROM unnest('{stays, unordered}'::regclass[]) m, generate_series(1, 4000) i;
SELECT syncmap.put('flags', 'n', 4000);

CREATE FUNCTION try_put(m regclass, key text, value text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	RETURN syncmap.put(m, key, value);
EXCEPTION WHEN out_of_memory THEN
	RETURN NULL;
END $$;
CREATE FUNCTION write_on() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	m regclass;
	first integer := 1 + syncmap.get('flags', 'n')::integer;
	stays text;
BEGIN
	FOR n IN first .. first + 99 LOOP
		stays := 's' || 1 + below(4000);
		FOREACH m IN ARRAY '{stays, unordered}'::regclass[] LOOP
			-- in the place of a value of the same size: this can't fail
			PERFORM syncmap.put(m, 'w' || n % 16, lpad(n::text, 12, '0'));
			PERFORM try_put(m, stays, make(stays, below(100)));
			PERFORM try_put(m, 'x' || below(1000), make('x', below(300)));
			PERFORM syncmap.delete(m, 'x' || below(1000));
		END LOOP;
		PERFORM syncmap.increment('flags', 'n');
	END LOOP;
END $$;
-- How many keys fit.
CREATE FUNCTION fill_up(m regclass) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	n integer := 0;
BEGIN
	WHILE try_put(m, 'y' || n, repeat('y', 1000)) IS NOT NULL LOOP
		n := n + 1;
	END LOOP;
	PERFORM syncmap.delete_range(m, prefix => 'y');
	RETURN n;
END $$;
-- Reads until it is told to stop.  Returns what was wrong.
CREATE FUNCTION read_on(query text, wanted integer, consistent boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	r record;
BEGIN
	LOOP
		BEGIN
			EXECUTE format($q$
				SELECT count(*) FILTER (WHERE key ~ '^s') AS stays, count(*) - count(DISTINCT key) AS twice, count(*) FILTER (WHERE key ~ '^s' AND NOT sane(key, value)) AS torn,
					max(value::bigint) FILTER (WHERE key ~ '^w') - min(value::bigint) FILTER (WHERE key ~ '^w') AS apart FROM %s $q$, query) INTO r;
			IF r.stays <> wanted OR r.twice <> 0 OR r.torn <> 0 OR (consistent AND r.apart <> 15) THEN RETURN r; END IF;
			EXIT WHEN syncmap.contains('flags', 'stop');
		EXCEPTION WHEN SQLSTATE '72000' THEN
			NULL;
		END;
	END LOOP;
	RETURN 'right';
END $$;
));
my @readers = (
	[ 'plain', "syncmap.range('unordered')", 0 ], [ 'sorted', "syncmap.range('unordered', descending => true)", 0 ],
	[ 'ordered', "syncmap.range('stays', descending => false)", 0 ], [ 'table', 'unordered', 0 ],
	[ 'consistent', "syncmap.range('stays', consistent => true)", 1 ],
	# all are read, and few rows come of it: it is most often stopped while it reads
	[ 'consistent', "syncmap.range('stays', prefix => 'w', consistent => true)", 1 ]);
my $stops = int((4 + $rounds) / 5);
my %fits = map { $_ => sql("SELECT fill_up('$_')") } 'stays', 'unordered';
cmp_ok($fits{$_}, '>', 1000, "$_ has room") for sort keys %fits;

# A process' state, as proc(5) tells it.
sub state_of { return slurp_file("/proc/$_[0]/stat") =~ /.*\) (\w)/ ? $1 : ''; }

# Becomes a query true within so many seconds?
sub becomes_within
{
	my ($seconds, $query) = @_;
	for (my $deadline = time() + $seconds; time() < $deadline; sleep(0.02))
	{
		my $out;
		$node->psql('postgres', $query, stdout => \$out, timeout => $seconds, timed_out => \my $late);
		return 1 if !$late && $out eq 't';
	}
	return 0;
}

my ($held_up, $waited, $stopped) = (0, 0, 0);
my $others = start_pgbench('write_on', 1, "SELECT write_on();\n");
for my $stop (1 .. $stops)
{
	for (@readers)
	{
		my ($name, $query, $consistent) = @$_;
		my $map = $query =~ /stays/ ? 'stays' : 'unordered';
		my $seconds = $rounds >= 100 && $stop == 1 ? 60 : 0.5;
		my $reader = start_psql('reader', "SELECT read_on(\$\$$query\$\$, " . ($query =~ /'w'/ ? 0 : 4000) . ", '$consistent');\n");
		$node->poll_query_until('postgres', q(SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'reader' AND query ~ 'read_on' AND state = 'active'));
		my $pid = sql(q(SELECT pid FROM pg_stat_activity WHERE application_name = 'reader'));
		sleep(0.02 + rand(0.1));
		kill 'STOP', $pid;
		for (my $deadline = time() + 20; state_of($pid) ne 'T' && time() < $deadline;) { sleep(0.005); }
		is(state_of($pid), 'T', "a $name reader is stopped");
		$stopped++;

		# An LWLock that wakes up a process wakes up no other until that one has run.
		my $queues = sql("SELECT count(*) FROM pg_stat_activity WHERE pid = $pid AND wait_event_type = 'LWLock'");
		my $end = time() + $seconds;
		my $n = 'to be read';
		$node->psql('postgres', q(SELECT syncmap.get('flags', 'n')), stdout => \$n);
		if (!$queues && becomes_within(10, "SELECT syncmap.get('flags', 'n')::bigint > $n + 300"))
		{
			my ($out, $late) = ('', 0);
			$node->psql('postgres', "SELECT fill_up('$map')", stdout => \$out, timeout => 60, timed_out => \$late);
			cmp_ok($late ? 0 : $out, '>', 0.9 * $fits{$map}, 'as much fits beside it as before') or diag "SEED=$seed";
			$out = failure("SET statement_timeout = '200ms'; SELECT count(*) FILTER (WHERE key ~ '^s') FROM syncmap.range('$map', consistent => true)");
			$waited++ if $out =~ /^57014/;
			like($out, $consistent ? qr/^(no error: 4000|57014|72000)/ : qr/^(no error: 4000|72000)/, 'a snapshot may wait for that of the reader, for nothing else');
			sleep(0.1) while time() < $end;
			$n = sql(q(SELECT syncmap.get('flags', 'n')));
			ok(becomes_within(10, "SELECT syncmap.get('flags', 'n')::bigint > $n + 300"), 'writers go on beside it');
		}
		else
		{
			# while it took, read, or closed a snapshot, which are under locks
			ok($consistent, "no $name reader holds a lock, or waits for one") or diag "SEED=$seed";
			$held_up++;
		}
		kill 'CONT', $pid;
		sql(q(SELECT syncmap.put('flags', 'stop', 1)));
		is(join('', finish_psql($reader)), "right\n", 'and it reads on as if nothing had been') or diag "SEED=$seed";
		sql(q(SELECT syncmap.delete('flags', 'stop')));
		is(sql("SELECT count(*) FILTER (WHERE key ~ '^s') FROM syncmap.range('$map')"), '4000', 'all keys are there');
	}
}
finish_pgbench($others);
cmp_ok($held_up, '<=', 1 + $stopped / 20, 'readers seldom have to do with a lock');
note "$held_up of $stopped readers were stopped while they held or awaited a lock, $waited in the middle of a snapshot";
like(sql(q(SET statement_timeout = '20s'; SELECT count(*) FROM syncmap.range('stays', prefix => 's', consistent => true))), qr/^4000$/, 'no snapshot is open any more');
sql(q(SELECT syncmap.drop(m) FROM unnest('{stays, unordered, flags}'::regclass[]) m));
check_maps('stopped');
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 AND bool_and(pid <> $worker) FROM pg_stat_activity WHERE backend_type = 'syncmap maintenance'"), 'the worker that was terminated is there again');
note sprintf('part 3: %.1f s', time() - $started);

end_test($kills);
