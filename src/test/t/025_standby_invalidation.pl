# Watched maps on standbys that the WAL tells of invalidations: the option wal_invalidation.
#
# What is attacked: C5.  After each change on the primary a standby must give what was
# replayed, from the replay of the commit on, and until then it may give the value before;
# what a transaction that is in progress makes old is not stored beside it.  That is tried
# across PREPARE, a crash of the primary between the record and the commit, restarts and
# crashes of the standby, a cascading and a delayed standby, changes of the option, and
# promotion.  At last standbys read beside writers: each value has its row's version, and
# may not be less than that which a plain read showed there before, nor greater than the
# one of a read after it.
#
# COHERENCE_SECONDS=n: so long for each round of that.
use strict;
use warnings;
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seconds = $ENV{COHERENCE_SECONDS} || 6;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', q(
shared_preload_libraries = 'syncmap'
syncmap.memory = 16MB
max_prepared_transactions = 10
synchronous_commit = local
autovacuum = off
fsync = off
));
$primary->start;
$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;
my $cascade = PostgreSQL::Test::Cluster->new('cascade');
$cascade->init_from_backup($primary, 'backup');
$cascade->enable_streaming($standby);
$cascade->append_conf('postgresql.conf', 'restart_after_crash = on');
$cascade->start;

sub primary { return $primary->safe_psql($_[1] // 'postgres', $_[0]); }
sub standby { return $standby->safe_psql($_[1] // 'postgres', $_[0]); }
sub cascade { return $cascade->safe_psql($_[1] // 'postgres', $_[0]); }

sub replayed
{
	$primary->wait_for_catchup($standby);
	$standby->wait_for_catchup($cascade, 'replay', $primary->lsn('flush'));
	return;
}

sub change { primary(@_); replayed(); return; }

# SQLSTATE and message of what fails.
sub failure
{
	my ($node, $script) = @_;
	my ($ret, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$script");
	return $err =~ /(?:ERROR|FATAL):\s+(.*)/ ? $1 : "no error: $out";
}

# What fetch gives for a key, and what is in the map then: the same if it was stored.
sub fetched
{
	my ($node, $key, $map) = (@_, 'm');
	return $node->safe_psql('postgres', "SELECT syncmap.fetch('$map', $key); SELECT coalesce(syncmap.get('$map', $key), 'none')") =~ s/\n/|/r;
}
# The same, and before it what is in the map.
sub looked
{
	my ($node, $key) = @_;
	return $node->safe_psql('postgres', "SELECT coalesce(syncmap.get('m', $key), 'none'); SELECT syncmap.fetch('m', $key); SELECT coalesce(syncmap.get('m', $key), 'none')") =~ s/\n/|/gr;
}
sub cached
{
	my ($node, $key, $map) = (@_, 'm');
	return $node->safe_psql('postgres', "SELECT coalesce(syncmap.get('$map', $key), 'none')");
}

# Both standbys have a key's value by now; it is changed; both have lost it, and give the new one.
sub follows
{
	my ($name, $key, $before, $script, $after) = @_;
	is(fetched($_, $key), "$before|$before", "$name: " . $_->name . ' has the value before') for $standby, $cascade;
	change($script);
	is(looked($_, $key), "none|$after|$after", "C5: $name: " . $_->name . ' loses it, and gets the one after') for $standby, $cascade;
	return;
}

# ---------------------------------------------------------------------------
# The setting, and the option.

change(q(
	CREATE EXTENSION syncmap;
	CREATE TABLE t (k integer PRIMARY KEY, v text NOT NULL);
	INSERT INTO t SELECT i, 'first' FROM generate_series(1, 10) i;
	CREATE FOREIGN TABLE m (key integer, value text) SERVER syncmap
		OPTIONS (loader 'SELECT v FROM public.t WHERE k = $1', load_wait '100ms');
	SELECT syncmap.watch('m', 't', 'k')));
my $not_allowed = qr/^55000: map "\w+" cannot have the option "wal_invalidation"/;
my $add = q(ALTER FOREIGN TABLE m OPTIONS (ADD wal_invalidation 'true'));
my $drop = 'ALTER FOREIGN TABLE m OPTIONS (DROP wal_invalidation)';
like(failure($primary, $add), $not_allowed, 'S3: the option is refused while the setting is off');
like(failure($primary, q(CREATE FOREIGN TABLE r (key text, value text) SERVER syncmap OPTIONS (wal_invalidation 'on'))), $not_allowed, 'S3: of a new map, too');
like(failure($primary, q(SET syncmap.wal_invalidation = on)), qr/^55P02: /, 'S3: and a session cannot set that');
is(primary(q(CREATE FOREIGN TABLE r (key text, value text) SERVER syncmap OPTIONS (wal_invalidation 'off'); DROP FOREIGN TABLE r)), '', 'false may be said');
is(fetched($standby, 1), 'first|none', 'C5: without it the standby stores nothing');
like(failure($standby, q(SELECT syncmap.put('m', 1, 'x'))), qr/^55000: /, 'S3: put is refused there');

$primary->append_conf('postgresql.conf', 'syncmap.wal_invalidation = on');
$primary->reload;
$primary->poll_query_until('postgres', 'SHOW syncmap.wal_invalidation', 'on');
my $session = $standby->background_psql('postgres');
is($session->query_safe(q(SELECT syncmap.fetch('m', 1), syncmap.get('m', 1))), 'first|', 'a session that stays');
change($add);
is(fetched($standby, 1), 'first|first', 'C5: with it the standby stores what it computes');
is($session->query_safe(q(SELECT syncmap.get('m', 1))), 'first', 'and the session finds it');
like(failure($standby, q(SELECT syncmap.put('m', 1, 'x'))), qr/^55000: /, 'S3: put is refused all the same');
my ($hits, $loads) = split /\|/, standby(q(SELECT hits, loads FROM syncmap.stat_map WHERE relname = 'm'));
standby(q(SELECT syncmap.fetch('m', 1)));
is(standby(q(SELECT hits, loads FROM syncmap.stat_map WHERE relname = 'm')), $hits + 1 . "|$loads", 'a fetch hits there');
is(standby(q(SELECT syncmap.put_leased('m', 2, 'leased', syncmap.lease('m')), syncmap.get('m', 2))), 't|leased', 'a lease of the standby stores');

# ---------------------------------------------------------------------------
# Changes of all kinds.

follows('UPDATE', 1, 'first', q(UPDATE t SET v = 'second' WHERE k = 1), 'second');
is($session->query_safe(q(SELECT syncmap.fetch('m', 1))), 'second', 'C5: in the session that stays, too');
follows('a savepoint', 1, 'second', q(BEGIN; SAVEPOINT a; UPDATE t SET v = 'third' WHERE k = 1; RELEASE a; COMMIT), 'third');
follows('a savepoint that is rolled back', 1, 'third', q(BEGIN; INSERT INTO t VALUES (100, 'x'); SAVEPOINT a; UPDATE t SET v = 'x' WHERE k = 1; ROLLBACK TO a; COMMIT), 'third');
follows('many subtransactions', 3, 'first', q(DO $$BEGIN FOR i IN 1 .. 200 LOOP BEGIN UPDATE t SET v = i WHERE k = 3; EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END$$), '200');
follows('a key that is moved', 4, 'first', q(BEGIN; UPDATE t SET k = 40 WHERE k = 4; INSERT INTO t VALUES (4, 'new'); COMMIT), 'new');
is(fetched($standby, 40), 'first|first', 'where it went');
follows('DELETE and INSERT', 5, 'first', q(BEGIN; DELETE FROM t WHERE k = 5; INSERT INTO t VALUES (5, 'again'); COMMIT), 'again');
follows('a transaction that is rolled back writes nothing', 5, 'again', q(BEGIN; UPDATE t SET v = 'never' WHERE k = 5; ROLLBACK; UPDATE t SET v = v WHERE k = 5), 'again');
follows('TRUNCATE', 6, 'first', q(BEGIN; TRUNCATE t; INSERT INTO t SELECT i, 'after' FROM generate_series(1, 10) i; COMMIT), 'after');
follows('more keys than are noted', 7, 'after', q(INSERT INTO t SELECT i, 'many' FROM generate_series(1000, 9000) i; UPDATE t SET v = 'many'), 'many');
follows('COPY of many keys', 8, 'many', q(DELETE FROM t WHERE k = 8; INSERT INTO t SELECT i, 'some' FROM generate_series(10000, 14000) i UNION ALL SELECT 8, 'some'), 'some');
follows('ALTER of the table', 9, 'many', q(ALTER TABLE t ALTER v TYPE text USING v || '!'), 'many!');
follows('another loader', 9, 'many!', q(ALTER FOREIGN TABLE m OPTIONS (SET loader 'SELECT ''L'' || v FROM public.t WHERE k = $1')), 'Lmany!');
primary(q(ALTER FOREIGN TABLE m OPTIONS (SET loader 'SELECT v FROM public.t WHERE k = $1')));
primary(q(DELETE FROM t WHERE k > 10));
replayed();

# a map that is watched as a whole, and one with long keys
change(q(
	CREATE FOREIGN TABLE sums (key integer, value bigint) SERVER syncmap
		OPTIONS (loader 'SELECT count(*) FROM public.t WHERE $1 > 0', wal_invalidation 'true');
	SELECT syncmap.watch('sums', 't', NULL);
	CREATE TABLE long (k text PRIMARY KEY, v integer);
	CREATE FOREIGN TABLE texts (key text COLLATE "C", value integer) SERVER syncmap
		OPTIONS (loader 'SELECT v FROM public.long WHERE k = $1', wal_invalidation 'true');
	SELECT syncmap.watch('texts', 'long', 'k');
	INSERT INTO long SELECT repeat(i::text, 200), 1 FROM generate_series(1000, 2999) i));
is(fetched($standby, 1, 'sums'), '10|10', 'a map of sums');
my $lsn = $primary->lsn('insert');
change(q(INSERT INTO t VALUES (11, 'x')));
is(cached($standby, 1, 'sums'), 'none', 'C5: any change takes it');
is(fetched($standby, 1, 'sums'), '11|11', 'C5: and it is computed anew');
is(fetched($standby, "repeat('2345', 200)", 'texts'), '1|1', 'a map with long keys');
change(q(UPDATE long SET v = 2));
is(standby(q(SELECT count(syncmap.get('texts', k)) FROM long)), '0', 'C5: a change of 1.6 MB of keys takes them');
is(standby(q(SELECT sum(syncmap.fetch('texts', k, NULL::integer)), count(syncmap.get('texts', k)) FROM long)), '4000|2000', 'C5: and they are computed anew');

SKIP:
{
	skip 'no pg_walinspect', 3 unless primary(q(SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_walinspect'));
	primary('CREATE EXTENSION pg_walinspect');
	my $end = $primary->lsn('insert');
	my $records = "FROM pg_get_wal_records_info('$lsn', '$end') WHERE resource_manager = 'syncmap'";
	is(primary("SELECT string_agg(DISTINCT record_type, ',') $records"), 'INVALIDATE,INVALIDATE_ALL', 'records have names');
	my ($count, $longest) = split /\|/, primary("SELECT count(*), max(record_length) $records");
	cmp_ok($longest, '<', 66000, 'a record is bounded');
	cmp_ok($count, '>', 20, 'and there are several then');
	note "$count records, the longest of $longest bytes";
	like(primary("SELECT description $records LIMIT 1"), qr/^map \d+\/\d+; row type \d+; (?:horizon|transaction) \d+/, 'and are described');
	change('DROP EXTENSION pg_walinspect');
}

# another database, with the same names
primary('CREATE DATABASE other');
change(q(
	CREATE EXTENSION syncmap;
	CREATE TABLE t (k integer PRIMARY KEY, v text);
	INSERT INTO t VALUES (1, 'other');
	CREATE FOREIGN TABLE m (key integer, value text) SERVER syncmap
		OPTIONS (loader 'SELECT v FROM public.t WHERE k = $1', wal_invalidation 'true');
	SELECT syncmap.watch('m', 't', 'k')), 'other');
is(standby(q(SELECT syncmap.fetch('m', 1); SELECT syncmap.get('m', 1)), 'other'), "other\nother", 'a map of another database');
is(fetched($standby, 1), 'many!|many!', 'beside that of this one');
change(q(UPDATE t SET v = 'changed' WHERE k = 1), 'other');
is(standby(q(SELECT syncmap.get('m', 1)), 'other'), '', 'C5: it has its own changes');
is(cached($standby, 1), 'many!', 'and takes nothing of this one');
is(standby(q(SELECT syncmap.fetch('m', 1)), 'other'), 'changed', 'C5: and is computed anew');

# REPEATABLE READ (C4), across a change
change(q(UPDATE t SET v = 'old' WHERE k = 1));
is(fetched($standby, 1), 'old|old', 'before a snapshot is taken');
$session->query_safe(q(BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT v FROM t WHERE k = 1));
is($session->query_safe(q(SELECT syncmap.fetch('m', 1))), 'old', 'C4: a value that its snapshot shows is given');
change(q(UPDATE t SET v = 'new' WHERE k = 1));
is($session->query_safe(q(SELECT syncmap.fetch('m', 1))), 'old', 'C4: fetch gives what the snapshot shows');
is(cached($standby, 1), 'none', 'C3: and does not store it');
is(fetched($standby, 1), 'new|new', 'C5: others have the new one');
is($session->query_safe(q(SELECT syncmap.fetch('m', 1))), 'old', 'C4: which is not given to it');
$session->query_safe('COMMIT');
is($session->query_safe(q(SELECT syncmap.fetch('m', 1))), 'new', 'C5: but afterwards');

# ---------------------------------------------------------------------------
# Prepared transactions, and restarts.

# What is prepared on the primary for key 2 is pending: nothing is stored beside it.
sub is_pending
{
	my ($name, $before) = @_;
	is(fetched($_, 2), "$before|none", "C3: $name: nothing is stored on " . $_->name) for $standby, $cascade;
	return;
}
sub is_settled
{
	my ($name, $after) = @_;
	is(fetched($_, 2), "$after|$after", "C5: $name: " . $_->name . ' gives what holds, and stores it') for $standby, $cascade;
	return;
}
my $version = 0;
sub prepare
{
	$version++;
	is_settled('before PREPARE', $version == 1 ? 'many!' : 'v' . ($version - 1));
	change("BEGIN; UPDATE t SET v = 'v$version' WHERE k = 2; PREPARE TRANSACTION 'p'");
	my $before = $version == 1 ? 'many!' : 'v' . ($version - 1);
	is(looked($_, 2), "none|$before|none", 'C5, C3: PREPARE takes the key on ' . $_->name . ', and it is not stored again') for $standby, $cascade;
	return $before;
}

my $before = prepare();
change(q(COMMIT PREPARED 'p'));
is_settled('COMMIT PREPARED', "v$version");

$before = prepare();
change(q(ROLLBACK PREPARED 'p'));
is_settled('ROLLBACK PREPARED', $before);
change("UPDATE t SET v = 'v$version' WHERE k = 2");

# a snapshot that misses subtransactions, and one that was imported, and may have lost its list
is(fetched($standby, 3), 'many!|many!', 'before subtransactions');
change(q(BEGIN; DO $$BEGIN FOR i IN 1 .. 200 LOOP BEGIN UPDATE t SET v = 's' || i WHERE k = 3; EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END$$; PREPARE TRANSACTION 's'));
# what ends later has a greater number
change(q(CREATE TABLE later()));
is(fetched($standby, 3), 'many!|none', 'C3: many subtransactions are prepared');
my $exported = $session->query_safe(q(BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT pg_export_snapshot()));
is(standby(qq(BEGIN ISOLATION LEVEL REPEATABLE READ; SET TRANSACTION SNAPSHOT '$exported'; SELECT syncmap.fetch('m', 3); SELECT syncmap.get('m', 3) IS NULL; COMMIT)), "many!\nt", 'C3: nothing is stored by an imported snapshot');
$session->query_safe('COMMIT');
change(q(COMMIT PREPARED 's'));
is(fetched($standby, 3), 's200|s200', 'C5: they are committed');
change(q(UPDATE t SET v = 'many!' WHERE k = 3));

$session->quit;
for my $mode ('fast', 'immediate')
{
	$before = prepare();
	$standby->stop($mode);
	$standby->start;
	$cascade->stop($mode);
	$cascade->start;
	replayed();
	is_pending("after a stop that is $mode", $before);
	change(q(COMMIT PREPARED 'p'));
	is_settled("COMMIT PREPARED after a stop that is $mode", "v$version");
}

# a restartpoint behind the record: nothing of it is redone
$before = prepare();
change('CHECKPOINT');
$_->safe_psql('postgres', 'CHECKPOINT') for $standby, $cascade;
for my $node ($standby, $cascade)
{
	$node->stop('immediate');
	$node->start;
}
replayed();
is_pending('after a restartpoint', $before);
change(q(COMMIT PREPARED 'p'));
is_settled('COMMIT PREPARED after a restartpoint', "v$version");

# the primary crashes with it
$before = prepare();
$primary->stop('immediate');
$primary->start;
replayed();
is_pending('after a crash of the primary', $before);
change(q(COMMIT PREPARED 'p'));
is_settled('COMMIT PREPARED after a crash of the primary', "v$version");

# ---------------------------------------------------------------------------
# A crash of the primary between the record and the commit.  A commit with NOTIFY takes a lock
# in between, which another one holds while it waits for a standby that is not there.

is(fetched($_, 3), 'many!|many!', 'before the crash') for $standby, $cascade;
$primary->append_conf('postgresql.conf', "synchronous_standby_names = 'nobody'");
$primary->reload;
$primary->poll_query_until('postgres', 'SHOW synchronous_standby_names', 'nobody');
my @waiting = map { $primary->background_psql('postgres', on_error_stop => 0) } 1 .. 2;
$waiting[0]->query_until(qr/start/, "SET synchronous_commit = on;\n\\echo start\nBEGIN; NOTIFY a; CREATE TABLE waiting(); COMMIT;\n");
$primary->poll_query_until('postgres', q(SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'));
$waiting[1]->query_until(qr/start/, "\\echo start\nBEGIN; NOTIFY a; UPDATE t SET v = 'lost' WHERE k = 3; COMMIT;\n");
$primary->poll_query_until('postgres', q(SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'COMMIT'));
change('CREATE TABLE written()');
is(cached($_, 3), 'none', 'C5: the record is there before the commit, on ' . $_->name) for $standby, $cascade;
is(fetched($_, 3), 'many!|none', 'C3: nothing is stored on ' . $_->name) for $standby, $cascade;
$primary->stop('immediate');
$_->{timeout}->reset, eval { $_->quit } for @waiting;
$primary->adjust_conf('postgresql.conf', 'synchronous_standby_names', "''");
$primary->start;
change('CHECKPOINT');
is(primary('SELECT v FROM t WHERE k = 3'), 'many!', 'the transaction was lost');
change(q(INSERT INTO t VALUES (12, 'x')));
is(fetched($_, 3), 'many!|many!', 'C6: it leaves nothing behind on ' . $_->name) for $standby, $cascade;
follows('after the crash', 3, 'many!', q(UPDATE t SET v = 'there' WHERE k = 3), 'there');

# ---------------------------------------------------------------------------
# Delayed replay.

is(fetched($cascade, 5), 'many!|many!', 'before the delay');
$cascade->append_conf('postgresql.conf', "recovery_min_apply_delay = '3s'");
$cascade->reload;
$cascade->poll_query_until('postgres', 'SHOW recovery_min_apply_delay', '3s');
primary(q(UPDATE t SET v = 'late' WHERE k = 5));
$primary->wait_for_catchup($standby);
is(fetched($standby, 5), 'late|late', 'C5: a standby without delay has it');
my ($equal, $seen) = (0, '');
for (1 .. 100)
{
	my ($row, $value) = split /\n/, cascade(q(SELECT v FROM t WHERE k = 5; SELECT syncmap.fetch('m', 5)));
	$equal++ if $value eq $row || $value eq 'late';
	$seen .= " $value" if $seen !~ /$value$/;
	last if $row eq 'late' && $value eq 'late';
	select(undef, undef, undef, 0.1);
}
is($seen, ' many! late', 'C5: one with a delay has the value before, and then the new one');
$cascade->adjust_conf('postgresql.conf', 'recovery_min_apply_delay', '0');
$cascade->reload;
replayed();

# ---------------------------------------------------------------------------
# The option comes and goes.

change($drop);
is(fetched($_, 1), 'new|none', 'C5: without the option nothing is stored on ' . $_->name) for $standby, $cascade;
change(q(UPDATE t SET v = 'unheard' WHERE k = 1));
is(fetched($standby, 1), 'unheard|none', 'C5: and what changes is seen');
change($add);
follows('the option is there again', 1, 'unheard', q(UPDATE t SET v = 'heard' WHERE k = 1), 'heard');
change(qq(UPDATE t SET v = 'gone' WHERE k = 1; $drop; UPDATE t SET v = 'while gone' WHERE k = 1; $add));
is(cached($standby, 1), 'none', 'C5: what was there is not there again, though nobody looked meanwhile');
follows('dropped and added', 1, 'while gone', q(UPDATE t SET v = 'heard' WHERE k = 1), 'heard');
change("BEGIN; $drop; SAVEPOINT a; $add; ROLLBACK TO a; $add; COMMIT");
follows('dropped and added at once', 1, 'heard', q(UPDATE t SET v = 'again' WHERE k = 1), 'again');
change("BEGIN; SAVEPOINT a; $drop; ROLLBACK TO a; UPDATE t SET v = 'still' WHERE k = 1; COMMIT");
follows('not dropped', 1, 'still', q(UPDATE t SET v = 'yes' WHERE k = 1), 'yes');
change(q(ALTER FOREIGN TABLE m OPTIONS (SET wal_invalidation 'false')));
is(fetched($standby, 1), 'yes|none', 'C5: false is as if it were not there');
change(q(ALTER FOREIGN TABLE m OPTIONS (SET wal_invalidation 'true')));
is(fetched($standby, 1), 'yes|yes', 'and true is as before');
$primary->adjust_conf('postgresql.conf', 'syncmap.wal_invalidation', 'off');
$primary->reload;
$primary->poll_query_until('postgres', 'SHOW syncmap.wal_invalidation', 'off');
follows('the setting is off', 1, 'yes', q(UPDATE t SET v = 'as before' WHERE k = 1), 'as before');
is(primary(q(ALTER FOREIGN TABLE m OPTIONS (ADD ttl '1 day'))), '', 'other options may be altered then');
follows('another option is altered', 1, 'as before', q(UPDATE t SET v = 'option' WHERE k = 1), 'option');
like(failure($primary, "$drop; $add"), $not_allowed, 'S3: the option may go, but not come');
change(q(SELECT syncmap.unwatch('m', 't')));
is(standby(q(SELECT syncmap.put('m', 1, 'x'), syncmap.get('m', 1))), 't|x', 'a map that is not watched takes what it is given');
change(q(SELECT syncmap.watch('m', 't', 'k')));
is(cached($standby, 1), 'none', 'C5: which goes when it is watched');
is(fetched($standby, 1), 'option|none', 'C5: and nothing is stored without the option');
$primary->adjust_conf('postgresql.conf', 'syncmap.wal_invalidation', 'on');
$primary->reload;
$primary->poll_query_until('postgres', 'SHOW syncmap.wal_invalidation', 'on');
change($add);

# ---------------------------------------------------------------------------
# Readers on standbys beside writers.

change(q(
	CREATE TABLE c (k integer PRIMARY KEY, ver bigint NOT NULL);
	INSERT INTO c SELECT i, 1 FROM generate_series(1, 5000) i;
	CREATE FOREIGN TABLE cache (key integer, value bigint) SERVER syncmap
		OPTIONS (shards '1', load_wait '20ms', loader 'SELECT ver FROM public.c WHERE k = $1', wal_invalidation 'true');
	SELECT syncmap.watch('cache', 'c', 'k');
	-- reads for so long, and counts; a version may not be less than what was replayed before, nor greater than what is afterwards
	CREATE FUNCTION read_along(seconds double precision) RETURNS text LANGUAGE plpgsql AS $$
	DECLARE
		until timestamptz := clock_timestamp() + make_interval(secs => seconds);
		key integer; least bigint; got bigint; most bigint; found bigint;
		fetches bigint := 0; wrong bigint := 0;
	BEGIN
		WHILE clock_timestamp() < until LOOP
			key := 1 + floor(random() * 60);
			SELECT ver INTO least FROM public.c WHERE k = key;
			IF random() < 0.2 THEN
				found := syncmap.get('public.cache', key, NULL::bigint);
				got := coalesce(found, least);
			ELSE
				got := syncmap.fetch('public.cache', key, NULL::bigint);
			END IF;
			SELECT ver INTO most FROM public.c WHERE k = key;
			fetches := fetches + 1;
			IF got IS NULL OR got < least OR got > most THEN
				wrong := wrong + 1;
				RAISE WARNING 'C5: key % has % but % to %', key, got, least, most;
			END IF;
		END LOOP;
		RETURN fetches || ' ' || wrong;
	END$$;
	-- the same in one snapshot, in which a value is what it shows (C4)
	CREATE FUNCTION read_repeatably() RETURNS text LANGUAGE plpgsql AS $$
	DECLARE wrong integer := 0; key integer;
	BEGIN
		FOR i IN 1 .. 200 LOOP
			key := 1 + floor(random() * 60);
			IF syncmap.fetch('public.cache', key, NULL::bigint) IS DISTINCT FROM (SELECT ver FROM public.c WHERE k = key) THEN
				wrong := wrong + 1;
				RAISE WARNING 'C4: key % has not what the snapshot shows', key;
			END IF;
		END LOOP;
		RETURN '200 ' || wrong;
	END$$;
));

my $bindir = $primary->config_data('--bindir');
my %scripts = (
	one => "\\set k random(1, 60)\nUPDATE c SET ver = ver + 1 WHERE k = :k;\n\\sleep 1 ms\n",
	savepoints => "\\set k random(1, 60)\nBEGIN;\nSAVEPOINT a;\nUPDATE c SET ver = ver + 1 WHERE k = :k;\nRELEASE a;\nSAVEPOINT b;\nINSERT INTO c VALUES (6000 + :client_id, 1);\nROLLBACK TO b;\n\\sleep 5 ms\nCOMMIT;\n",
	rollback => "\\set k random(1, 60)\nBEGIN;\nUPDATE c SET ver = ver + 1 WHERE k = :k;\n\\sleep 3 ms\nROLLBACK;\n",
	prepared => "\\set k random(1, 60)\n\\set n random(1, 1000000000)\nBEGIN;\nUPDATE c SET ver = ver + 1 WHERE k = :k;\nPREPARE TRANSACTION 'r:client_id';\n\\sleep 20 ms\nCOMMIT PREPARED 'r:client_id';\n",
	whole => "BEGIN;\nUPDATE c SET ver = ver + 1;\nCOMMIT;\n\\sleep 100 ms\n");
my $folder = PostgreSQL::Test::Utils::tempdir();
append_to_file("$folder/$_", $scripts{$_}) for keys %scripts;

# Writers on the primary, and readers on a standby; a crash of that ends a round.
sub read_beside_writers
{
	my ($name, @nodes) = @_;
	my $length = $seconds + 1;
	my $writers = IPC::Run::start([ "$bindir/pgbench", '-n', '-T', $length, '-c', 4, '-j', 1, '-h', $primary->host, '-p', $primary->port,
		'-f', "$folder/one\@20", '-f', "$folder/savepoints\@5", '-f', "$folder/rollback\@3", '-f', "$folder/prepared\@4", '-f', "$folder/whole\@1", 'postgres' ],
		'>', \my $written, '2>', \my $trouble);
	my @readers;
	for my $node (@nodes)
	{
		my %at = (out => '', err => '', node => $node);
		my @psql = ($primary->installed_command('psql'), '-XAtq', '-d', $node->connstr('postgres'));
		push @readers, { %at }, { %at };
		$readers[-2]{run} = IPC::Run::start([ @psql, '-c', "SELECT read_along($seconds)" ], '>', \$readers[-2]{out}, '2>', \$readers[-2]{err});
		$readers[-1]{run} = IPC::Run::start([ @psql, map { ('-c', 'BEGIN ISOLATION LEVEL REPEATABLE READ', '-c', 'SELECT read_repeatably()', '-c', 'COMMIT') } 1 .. 20 ],
			'>', \$readers[-1]{out}, '2>', \$readers[-1]{err});
	}
	my ($fetches, $wrong) = (0, 0);
	for my $reader (@readers)
	{
		$reader->{run}->finish;
		while ($reader->{out} =~ /^(\d+) (\d+)$/mg)
		{
			$fetches += $1;
			$wrong += $2;
		}
		diag $reader->{err} if $reader->{err} =~ /WARNING|ERROR/;
	}
	$writers->finish;
	diag $trouble if $trouble =~ /error/;
	is($wrong, 0, "C4, C5: $name: no value is older than what was replayed, nor of what was not");
	cmp_ok($fetches, '>', 1000, "$name: there were many");
	$written =~ /transactions actually processed: (\d+)/;
	note "$name: $fetches fetches, $1 transactions";
	return;
}

read_beside_writers('beside writers', $standby, $cascade);
$cascade->stop('immediate');
$cascade->start;
read_beside_writers('after a crash', $cascade);
replayed();
is($_->safe_psql('postgres', 'SELECT count(*) FROM c WHERE syncmap.fetch($$cache$$, k, NULL::bigint) <> ver'), '0', 'C5: at last all are as the table on ' . $_->name) for $standby, $cascade;
note standby(q(SELECT 'gets ' || gets || ', hits ' || hits || ', loads ' || loads || ', refused ' || refused_fills || ', invalidations ' || invalidations FROM syncmap.stat_map WHERE relname = 'cache'));

# ---------------------------------------------------------------------------
# Promotion, with a prepared transaction, and with maps that were never told of changes.

change(q(
	CREATE TABLE u (k integer PRIMARY KEY, v text);
	INSERT INTO u VALUES (1, 'first'), (2, 'first');
	CREATE FOREIGN TABLE late (key integer, value text) SERVER syncmap OPTIONS (loader 'SELECT v FROM public.u WHERE k = $1');
	CREATE FOREIGN TABLE refused (key integer, value text) SERVER syncmap OPTIONS (loader 'SELECT v FROM public.u WHERE k = $1');
	CREATE FOREIGN TABLE early (key integer, value text) SERVER syncmap OPTIONS (loader 'SELECT v FROM public.u WHERE k = $1', wal_invalidation 'true');
	CREATE FOREIGN TABLE free (key integer, value text) SERVER syncmap OPTIONS (loader 'SELECT v FROM public.u WHERE k = $1', unchecked_puts 'true');
	SELECT syncmap.watch('refused', 'u', 'k'), syncmap.watch('early', 'u', 'k'), syncmap.watch('free', 'u', 'k')));
is(standby(q(SELECT syncmap.put('late', 1, 'first'), syncmap.put('free', 1, 'first'))), 't|t', 'maps that are not told take what they are given');
is(fetched($standby, 1, 'early'), 'first|first', 'and one that is told has a value');
primary(q(SELECT syncmap.watch('late', 'u', 'k')));
primary('ALTER FOREIGN TABLE early OPTIONS (DROP wal_invalidation)');
primary(q(UPDATE u SET v = 'second' WHERE k = 1));
replayed();
like(failure($standby, q(SELECT syncmap.put('refused', 2, 'x'))), qr/^55000: /, 'and one refuses it');
$before = prepare();
primary(q(BEGIN; UPDATE u SET v = 'prepared' WHERE k = 2; PREPARE TRANSACTION 'u'));
primary(q(BEGIN; UPDATE c SET ver = -1 WHERE k = 7; PREPARE TRANSACTION 'c'));
primary(q(UPDATE t SET v = 'last' WHERE k = 4));
replayed();
is(fetched($standby, 4), 'last|last', 'before the promotion');
$session = $standby->background_psql('postgres');
$session->query_safe(q(BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT syncmap.fetch('m', 4)));
my $lease = standby(q(SELECT syncmap.lease('m')));
$primary->stop;
$standby->promote;
$standby->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()');
is(cached($standby, 4), 'last', 'C5: the promoted server keeps what it has');
is(cached($standby, 1, $_), 'none', "C5: but not in \"$_\", of which it was not told") for 'late', 'early', 'free', 'refused';
is(fetched($standby, 2), "$before|none", 'C3: nothing is stored beside what is prepared');
is(fetched($standby, 2, $_), 'first|none', "C3: nor in \"$_\"") for 'late', 'early', 'free', 'refused';
is(standby(qq(SELECT syncmap.put_leased('m', 2, '$before', '$lease'))), 'f', 'C3: nor by a lease of before');
is(standby(qq(SELECT syncmap.put_leased('m', 6, 'leased', '$lease'))), 't', 'which stores another key, that nobody has changed');
my $ver = standby('SELECT ver FROM c WHERE k = 7');
standby("UPDATE c SET ver = $_ WHERE k BETWEEN 1000 AND 4900") for 1 .. 5;
is(fetched($standby, 7, 'cache'), "$ver|none", 'C3: what is prepared is not forgotten where there are many fences');
standby(q(UPDATE t SET v = 'promoted' WHERE k = 4));
is($session->query_safe(q(SELECT syncmap.fetch('m', 4))), 'last', 'C4: a snapshot of before the promotion goes on');
is(cached($standby, 4), 'none', 'C3: and stores nothing');
is(fetched($standby, 4), 'promoted|promoted', 'C1: others see the change');
is($session->query_safe(q(SELECT syncmap.fetch('m', 4))), 'last', 'C4: which it does not');
$session->quit;
standby(q(COMMIT PREPARED 'p'));
standby(q(COMMIT PREPARED 'u'));
standby(q(COMMIT PREPARED 'c'));
is(fetched($standby, 7, 'cache'), '-1|-1', 'C1: and is seen when it is committed');
is(fetched($standby, 2), "v$version|v$version", 'C1: what was prepared is seen');
is(fetched($standby, 2, $_), 'prepared|prepared', "C1: in \"$_\", too") for 'late', 'early', 'free', 'refused';
is(fetched($standby, 1, $_), 'second|second', "C5: and so is what was changed before, in \"$_\"") for 'late', 'early', 'free', 'refused';

# the cascading standby goes on with the new primary
standby(q(UPDATE t SET v = 'cascaded' WHERE k = 4));
$standby->wait_for_catchup($cascade);
is(fetched($cascade, 4), 'cascaded|cascaded', 'C5: the other standby follows the promoted one');
standby(q(UPDATE t SET v = 'again' WHERE k = 4));
$standby->wait_for_catchup($cascade);
is(fetched($cascade, 4), 'again|again', 'C5: and hears of its changes');

# ---------------------------------------------------------------------------
# A server without the library cannot replay.

$cascade->stop;
standby(q(UPDATE t SET v = 'unknown' WHERE k = 4));
$cascade->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$cascade->start(fail_ok => 1);
my $log = '';
for (1 .. 100)
{
	last if ($log = slurp_file($cascade->logfile)) =~ /FATAL:  resource manager with ID 213 not registered/;
	select(undef, undef, undef, 0.1);
}
like($log, qr/FATAL:  resource manager with ID 213 not registered/, 'without the library a standby stops at such a record');
$cascade->stop('immediate', fail_ok => 1);
unlike(slurp_file($standby->logfile), qr/PANIC|TRAP|segmentation/i, 'the log of the standby is quiet');
$standby->stop('fast');

done_testing();
