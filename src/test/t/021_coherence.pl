# Watched maps: no cached value is older than the last commit that it depends on.
#
# What is attacked: C1 to C4 and C6.  Writers change rows in transactions of all kinds; each
# change of a key has a version of its own, which grows with the commits and stands in a
# table of versions, beside the row and in the same transaction.  So a reader knows, before
# it asks the map, the least version that it may be given, and afterwards whether what it got
# was ever committed.  In REPEATABLE READ and SERIALIZABLE it must be what the table shows.
#
# COHERENCE_SECONDS=n: so long for the random part.
use strict;
use warnings;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use Seeded;

my $seconds = $ENV{COHERENCE_SECONDS} || 25;
note "COHERENCE_SECONDS=$seconds";
my $keys = 600;
start_server(q(
max_connections = 60
max_prepared_transactions = 30
max_wal_senders = 1
wal_level = replica
fsync = off
deadlock_timeout = 200ms
restart_after_crash = on
autovacuum = off
));

# ---------------------------------------------------------------------------
# The tables, the maps, and the functions of writers and readers.

# a table, or a partitioned one, where a key that changes may move its row
my $partitioned = $seed % 2;
note $partitioned ? 'a partitioned table' : 'a plain table';
sql(q(
CREATE TABLE t (k bigint PRIMARY KEY, v bigint NOT NULL) ) . ($partitioned ? 'PARTITION BY HASH (k)' : '') . q(;
CREATE TABLE versions (key bigint, ver bigint, present boolean NOT NULL, PRIMARY KEY (key, ver));
CREATE SEQUENCE version;
));
sql(qq(CREATE TABLE t$_ PARTITION OF t FOR VALUES WITH (MODULUS 3, REMAINDER $_))) for $partitioned ? (0 .. 2) : ();
my $several = sql(q(SELECT count(*) FROM pg_proc WHERE proname = 'fetch_many')) ? 'syncmap.fetch_many(map, keys, NULL::bigint)' : 'ARRAY(SELECT syncmap.fetch(map, k, NULL::bigint) FROM unnest(keys) k)';
# few shards, so that keys share stripes
sql(q(
SELECT syncmap.create('counts', value_type => 'bigint', eviction => 'none'), syncmap.create('violations', eviction => 'none');
-- where a loader is counted
CREATE FUNCTION public.counted(v bigint) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	PERFORM syncmap.increment('public.counts', 'loads ' || current_setting('application_name') || ' ' || current_setting('transaction_isolation'));
	RETURN v;
END $$;
CREATE FOREIGN TABLE cache (key bigint, value bigint) SERVER syncmap
	OPTIONS (shards '1', load_wait '100ms', absent_ttl '1 h', stale '1 h', loader 'SELECT public.counted(v) FROM public.t WHERE k = $1');
CREATE FOREIGN TABLE texts (key text COLLATE "C", value text) SERVER syncmap
	OPTIONS (load_wait '100ms', absent_ttl '20 ms', loader 'SELECT v::text FROM public.t WHERE k = split_part($1, '':'', 2)::bigint');
CREATE FOREIGN TABLE groups (key bigint, value bigint) SERVER syncmap
	OPTIONS (load_wait '100ms', loader 'SELECT max(ver) FROM public.versions WHERE key % 30 = $1');
CREATE FOREIGN TABLE latest (key integer, value bigint) SERVER syncmap
	OPTIONS (load_wait '100ms', loader 'SELECT max(ver) FROM public.versions WHERE $1 > 0');
CREATE INDEX ON versions ((key % 30), ver);
CREATE INDEX ON versions (ver);
SELECT syncmap.watch('cache', 't', 'k'), syncmap.watch('texts', 't', $$'k:' || k::text$$), syncmap.watch('groups', 'versions', 'key % 30'), syncmap.watch('latest', 'versions', NULL);

-- fetch_many, where there is one
CREATE FUNCTION fetch_several(map regclass, keys bigint[]) RETURNS bigint[] LANGUAGE plpgsql AS $$BEGIN RETURN SEVERAL; END$$;

CREATE FUNCTION violated(what text, key bigint, got bigint, wanted text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	RAISE WARNING '%: key % has %, but %', what, key, got, wanted;
	PERFORM syncmap.put('violations', gen_random_uuid()::text, format('%s: key %s has %s, but %s', what, key, got, wanted));
END $$;

-- A few keys are most of what is asked for.
CREATE FUNCTION pick() RETURNS bigint LANGUAGE sql AS $$SELECT CASE WHEN random() < 0.6 THEN below(12) ELSE below(KEYS) END::bigint$$;

-- Writers ---------------------------------------------------------------

-- What a transaction sees of a key that it has changed: never what was cached.
CREATE FUNCTION own(k bigint, expected bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	r bigint;
	f bigint;
	rs bigint[];
	stale boolean;
BEGIN
	CASE below(9)
	WHEN 0 THEN r := syncmap.get('cache', k, NULL::bigint);
	WHEN 1 THEN IF syncmap.contains('cache', k) THEN r := -1; END IF;
	WHEN 2 THEN IF syncmap.ttl('cache', k) IS NOT NULL THEN r := -1; END IF;
	WHEN 3 THEN SELECT c.value INTO r FROM cache c WHERE c.key = k;
	WHEN 4 THEN SELECT c.value INTO r FROM cache c WHERE c.key + 0 = k;
	WHEN 5 THEN SELECT c.value INTO r FROM (VALUES (k), (k + 1)) x(k) JOIN cache c ON c.key = x.k WHERE x.k = own.k;
	WHEN 6 THEN rs := syncmap.get_many('cache', ARRAY[k + 1, k], NULL::bigint); r := rs[2];
	WHEN 7 THEN r := syncmap.get('texts', 'k:' || k)::bigint;
	WHEN 8 THEN SELECT c.value INTO r FROM syncmap.range('cache') c WHERE c.key = k::text;
	END CASE;
	IF r IS NOT NULL THEN
		PERFORM violated('C2, own key', k, r, 'its own transaction has changed it');
	END IF;
	f := syncmap.fetch('cache', k, NULL::bigint);
	IF f IS DISTINCT FROM expected THEN
		PERFORM violated('C2, own fetch', k, f, 'its own transaction has made it ' || coalesce(expected::text, 'null'));
	END IF;
	SELECT value, is_stale INTO f, stale FROM syncmap.fetch_stale('cache', k, NULL::bigint);
	IF stale OR f IS DISTINCT FROM expected THEN
		PERFORM violated('C2, own fetch_stale', k, f, 'its own transaction has made it ' || coalesce(expected::text, 'null'));
	END IF;
	f := syncmap.fetch_query('cache', k, NULL::bigint, 'SELECT v FROM t WHERE k = $1');
	IF f IS DISTINCT FROM expected THEN
		PERFORM violated('C2, own fetch_query', k, f, 'its own transaction has made it ' || coalesce(expected::text, 'null'));
	END IF;
	f := syncmap.fetch('texts', 'k:' || k)::bigint;
	IF f IS DISTINCT FROM expected THEN
		PERFORM violated('C2, own fetch of text', k, f, 'its own transaction has made it ' || coalesce(expected::text, 'null'));
	END IF;
END $$;

-- The locks make versions grow with the commits.
CREATE FUNCTION take(k bigint) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_advisory_xact_lock_shared(0, 0), pg_advisory_xact_lock(1, k::integer);
	RETURN nextval('version');
END $$;
CREATE FUNCTION change(key bigint, kind text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	ver bigint := take(key);
	expected bigint := ver;
BEGIN
	CASE kind
	WHEN 'update' THEN
		UPDATE t SET v = ver WHERE k = key;
		IF NOT FOUND THEN
			-- who does not see all that is committed could put a second row beside one that he still sees
			IF current_setting('transaction_isolation') <> 'read committed' THEN
				RAISE serialization_failure;
			END IF;
			INSERT INTO t VALUES (key, ver);
		END IF;
	WHEN 'upsert' THEN
		INSERT INTO t VALUES (key, ver) ON CONFLICT (k) DO UPDATE SET v = ver;
	WHEN 'merge' THEN
		MERGE INTO t USING (VALUES (key)) s(k) ON t.k = s.k WHEN MATCHED THEN UPDATE SET v = ver WHEN NOT MATCHED THEN INSERT VALUES (key, ver);
	WHEN 'replace' THEN
		DELETE FROM t WHERE k = key;
		INSERT INTO t VALUES (key, ver);
	WHEN 'delete' THEN
		DELETE FROM t WHERE k = key;
		expected := NULL;
	END CASE;
	INSERT INTO versions VALUES (key, ver, expected IS NOT NULL);
	PERFORM own(key, expected);
	IF syncmap.fetch('groups', key % 30, NULL::bigint) < ver OR syncmap.fetch('latest', 1, NULL::bigint) < ver THEN
		PERFORM violated('C2, own whole', key, NULL, 'its own transaction has made it ' || ver);
	END IF;
END $$;
CREATE FUNCTION any_kind() RETURNS text LANGUAGE sql AS $$SELECT one_of('update', 'update', 'update', 'upsert', 'merge', 'replace', 'delete')$$;
CREATE FUNCTION change_any(n integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	key bigint;
BEGIN
	FOR key IN SELECT DISTINCT pick() k FROM generate_series(1, n) ORDER BY k LOOP
		PERFORM change(key, any_kind());
	END LOOP;
END $$;
-- An exception takes a change back, and the one before stays.
CREATE FUNCTION change_or_fail() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	a bigint := pick();
	now bigint;
BEGIN
	PERFORM change(a, any_kind());
	SELECT v INTO now FROM t WHERE k = a;
	FOR i IN 1 .. 2 LOOP
		BEGIN
			PERFORM change(a + i, any_kind());
			IF random() < 0.5 THEN
				RAISE division_by_zero;
			END IF;
			IF random() < 0.5 THEN
				PERFORM change(a, any_kind());
				RAISE division_by_zero;
			END IF;
		EXCEPTION WHEN division_by_zero THEN
			IF syncmap.fetch('cache', a, NULL::bigint) IS DISTINCT FROM now THEN
				PERFORM violated('C2, own fetch after an exception', a, syncmap.fetch('cache', a, NULL::bigint), 'it is ' || coalesce(now::text, 'null'));
			END IF;
		END;
	END LOOP;
END $$;
-- The key itself changes: both keys have a new version.
CREATE FUNCTION move(a bigint, b bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	ver bigint;
BEGIN
	IF a = b THEN
		RETURN;
	END IF;
	PERFORM take(least(a, b)), take(greatest(a, b));
	ver := nextval('version');
	DELETE FROM t WHERE k = b;
	UPDATE t SET k = b, v = ver WHERE k = a;
	IF NOT FOUND THEN
		INSERT INTO t VALUES (b, ver);
	END IF;
	INSERT INTO versions VALUES (a, ver, false), (b, ver, true);
	PERFORM own(a, NULL), own(b, ver);
END $$;
-- Many keys, between two of which others may look.
CREATE FUNCTION change_many(low bigint, high bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	ver bigint;
BEGIN
	PERFORM pg_advisory_xact_lock(0, 0);
	ver := nextval('version');
	WITH changed AS (UPDATE t SET v = ver WHERE k BETWEEN low AND high RETURNING k) INSERT INTO versions SELECT k, ver, true FROM changed;
END $$;
CREATE FUNCTION change_all() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	ver bigint;
BEGIN
	PERFORM pg_advisory_xact_lock(0, 0);
	ver := nextval('version');
	-- who has waited for this may see the table empty, as in PostgreSQL
	TRUNCATE t;
	INSERT INTO versions SELECT k, ver, false FROM generate_series(0, KEYS + 10) k;
	ver := nextval('version');
	INSERT INTO t SELECT k, ver FROM generate_series(0, KEYS - 1) k;
	INSERT INTO versions SELECT k, ver, true FROM generate_series(0, KEYS - 1) k;
	PERFORM own(pick(), ver);
END $$;

-- Readers ---------------------------------------------------------------

CREATE FUNCTION least_version(k bigint) RETURNS bigint LANGUAGE plpgsql AS
	$$BEGIN RETURN (SELECT max(ver) FROM versions WHERE key = k); END$$;
-- Whether a value, or none, may be what a call has returned that began when f was there.
CREATE FUNCTION must_be(what text, k bigint, r bigint, f bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF r IS NULL THEN
		IF NOT EXISTS (SELECT FROM versions WHERE key = k AND ver >= f AND NOT present) AND f IS NOT NULL THEN
			PERFORM violated('C1, ' || what, k, r, 'version ' || f || ' was there before');
		END IF;
	ELSIF NOT EXISTS (SELECT FROM versions WHERE key = k AND ver = r AND present) THEN
		PERFORM violated('C2, ' || what, k, r, 'that was never committed');
	ELSIF r < f THEN
		PERFORM violated('C1, ' || what, k, r, 'version ' || f || ' was there before');
	END IF;
END $$;
-- The answers of what only looks: there may be none.
CREATE FUNCTION may_be(what text, k bigint, r bigint, f bigint) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
	IF r IS NULL THEN
		RETURN 0;
	END IF;
	PERFORM must_be(what, k, r, f);
	RETURN 1;
END $$;

CREATE FUNCTION check_committed(n integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	k bigint;
	f bigint;
	g bigint;
	r bigint;
	fs bigint[];
	rs bigint[];
	ks bigint[];
	fetches integer := 0;
	looks integer := 0;
	seen integer := 0;
	stale boolean;
	stales integer := 0;
	asked bigint;
	draw float;
BEGIN
	FOR i IN 1 .. n LOOP
		k := pick();
		asked := k;
		f := least_version(k);
		draw := random();
		IF draw < 0.08 THEN
			-- what is marked as stale was committed once
			SELECT value, is_stale INTO r, stale FROM syncmap.fetch_stale('cache', k, NULL::bigint);
			PERFORM must_be('fetch_stale', k, r, CASE WHEN stale THEN 0 ELSE f END);
			IF stale THEN
				stales := stales + 1;
			END IF;
		ELSIF draw < 0.12 THEN
			r := syncmap.fetch_query('cache', k, NULL::bigint, 'SELECT v FROM t WHERE k = $1');
			PERFORM must_be('fetch_query', k, r, f);
		ELSIF draw < 0.14 THEN
			-- the value comes from the statement, in whose midst others change it
			r := NULL;
			SELECT syncmap.fetch_query('cache', t.k, NULL::bigint, 'SELECT $2', CASE WHEN pg_sleep(random() * 0.003) IS NOT NULL THEN t.v END) INTO r FROM t WHERE t.k = asked;
			IF r IS NOT NULL THEN
				PERFORM must_be('fetch_query with a value', k, r, f);
			END IF;
		ELSIF draw < 0.50 THEN
			r := syncmap.fetch('cache', k, NULL::bigint);
			PERFORM must_be('fetch', k, r, f);
			fetches := fetches + 1;
		ELSIF draw < 0.65 THEN
			looks := looks + 1;
			r := syncmap.get('cache', k, NULL::bigint);
			seen := seen + may_be('get', k, r, f);
		ELSIF draw < 0.72 THEN
			r := syncmap.fetch('texts', 'k:' || k)::bigint;
			PERFORM must_be('fetch of text', k, r, f);
		ELSIF draw < 0.79 THEN
			r := NULL;
			SELECT c.value INTO r FROM cache c WHERE c.key = k;
			PERFORM may_be('lookup', k, r, f);
		ELSIF draw < 0.84 THEN
			r := NULL;
			SELECT c.value INTO r FROM (VALUES (k + 100000), (k)) x(k) LEFT JOIN cache c ON c.key = x.k ORDER BY x.k LIMIT 1;
			PERFORM may_be('join', k, r, f);
		ELSIF draw < 0.89 THEN
			g := least_version(k + 1);
			rs := fetch_several('cache', ARRAY[k, k + 1]);
			PERFORM must_be('fetch_many', k, rs[1], f), must_be('fetch_many', k + 1, rs[2], g);
			fetches := fetches + 2;
		ELSIF draw < 0.93 THEN
			g := least_version(k + 1);
			rs := syncmap.get_many('cache', ARRAY[k, k + 1], NULL::bigint);
			PERFORM may_be('get_many', k, rs[1], f), may_be('get_many', k + 1, rs[2], g);
		ELSIF draw < 0.96 THEN
			f := (SELECT max(ver) FROM versions WHERE key % 30 = k % 30);
			r := syncmap.fetch('groups', k % 30, NULL::bigint);
			IF r IS NULL AND f IS NOT NULL OR r < f THEN
				PERFORM violated('C1, key by an expression', k, r, 'version ' || f || ' was there before');
			END IF;
		ELSIF draw < 0.99 THEN
			f := (SELECT max(ver) FROM versions);
			r := syncmap.fetch('latest', 1 + k::integer % 5, NULL::bigint);
			IF r IS NULL AND f IS NOT NULL OR r < f THEN
				PERFORM violated('C1, whole map', k, r, 'version ' || f || ' was there before');
			END IF;
		ELSE
			fs := ARRAY(SELECT coalesce((SELECT max(ver) FROM versions WHERE key = g.k), 0) FROM generate_series(0, 40) g(k) ORDER BY g.k);
			SELECT array_agg(c.key), array_agg(c.value) INTO ks, rs FROM cache c WHERE c.key <= 40;
			PERFORM may_be('scan', ks[j], rs[j], fs[ks[j] + 1]) FROM generate_subscripts(ks, 1) j;
			fs := ARRAY(SELECT coalesce((SELECT max(ver) FROM versions WHERE key = g.k), 0) FROM generate_series(0, 40) g(k) ORDER BY g.k);
			SELECT array_agg(c.key::bigint), array_agg(c.value::bigint) INTO ks, rs FROM syncmap.range('cache') c WHERE c.key::bigint <= 40;
			PERFORM may_be('range', ks[j], rs[j], fs[ks[j] + 1]) FROM generate_subscripts(ks, 1) j;
		END IF;
	END LOOP;
	PERFORM syncmap.increment('counts', 'fetches read committed', fetches), syncmap.increment('counts', 'looks', looks), syncmap.increment('counts', 'seen', seen), syncmap.increment('counts', 'stale', stales);
END $$;

-- REPEATABLE READ and above: what the table shows.  The table first, so that no TRUNCATE
-- comes between the two.
CREATE FUNCTION check_snapshot(n integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	asked bigint;
	s bigint;
	r bigint;
	rs bigint[];
	stale boolean;
	level CONSTANT text := current_setting('transaction_isolation');
BEGIN
	FOR i IN 1 .. n LOOP
		asked := pick();
		s := (SELECT t.v FROM t WHERE t.k = asked);
		r := syncmap.fetch('cache', asked, NULL::bigint);
		IF r IS DISTINCT FROM s THEN
			PERFORM violated('C4, ' || level, asked, r, 'the table shows ' || coalesce(s::text, 'null'));
		END IF;
		IF random() < 0.1 THEN
			SELECT value, is_stale INTO r, stale FROM syncmap.fetch_stale('cache', asked, NULL::bigint);
			IF stale OR r IS DISTINCT FROM s THEN
				PERFORM violated('C4, fetch_stale, ' || level, asked, r, 'the table shows ' || coalesce(s::text, 'null'));
			END IF;
			r := syncmap.fetch_query('cache', asked, NULL::bigint, 'SELECT v FROM t WHERE k = $1');
			IF r IS DISTINCT FROM s THEN
				PERFORM violated('C4, fetch_query, ' || level, asked, r, 'the table shows ' || coalesce(s::text, 'null'));
			END IF;
			rs := fetch_several('cache', ARRAY[asked]);
			IF rs[1] IS DISTINCT FROM s THEN
				PERFORM violated('C4, fetch_many, ' || level, asked, rs[1], 'the table shows ' || coalesce(s::text, 'null'));
			END IF;
			r := syncmap.fetch('texts', 'k:' || asked)::bigint;
			IF r IS DISTINCT FROM s THEN
				PERFORM violated('C4, text, ' || level, asked, r, 'the table shows ' || coalesce(s::text, 'null'));
			END IF;
			r := syncmap.fetch('groups', asked % 30, NULL::bigint);
			s := (SELECT max(ver) FROM versions WHERE key % 30 = asked % 30);
			IF r IS DISTINCT FROM s THEN
				PERFORM violated('C4, key by an expression, ' || level, asked, r, 'the table shows ' || coalesce(s::text, 'null'));
			END IF;
			r := syncmap.fetch('latest', 1, NULL::bigint);
			s := (SELECT max(ver) FROM versions);
			IF r IS DISTINCT FROM s THEN
				PERFORM violated('C4, whole map, ' || level, asked, r, 'the table shows ' || coalesce(s::text, 'null'));
			END IF;
		END IF;
	END LOOP;
	PERFORM syncmap.increment('counts', 'fetches ' || level, n);
END $$;
) =~ s/KEYS/$keys/gr =~ s/SEVERAL/$several/r);
sql('SELECT change_all()');

# ---------------------------------------------------------------------------
# Violations so far, and none is good.

sub no_violation
{
	my ($what) = @_;
	my $violations = sql(q(SELECT substring(value from '^[^:]*'), count(*), min(value) FROM violations GROUP BY 1 ORDER BY 1));
	is($violations, '', "$what: no value is older than its last commit, or was not committed") or diag "SEED=$seed";
	sql(q(SELECT syncmap.clear('violations')));
	return;
}
sub fetched { return sql("SELECT coalesce(syncmap.fetch('cache', $_[0]::bigint, NULL::bigint)::text, 'null')"); }
sub cached { return sql("SELECT coalesce(syncmap.get('cache', $_[0]::bigint, NULL::bigint)::text, 'null')"); }
sub version { return sql("SELECT coalesce((SELECT v FROM t WHERE k = $_[0])::text, 'null')"); }

# Everything that is cached is what the table has, and can be cached.
sub at_rest
{
	my ($what) = @_;
	is(sql(q(SELECT count(*) FROM cache c LEFT JOIN t ON k = key WHERE v IS DISTINCT FROM value)), '0', "$what: what is cached is what the table has");
	# where nothing is in progress, what is fetched stays
	is(sql(qq(
		SELECT count(*) FROM generate_series(0, $keys) i WHERE syncmap.fetch('cache', i::bigint, NULL::bigint) IS DISTINCT FROM (SELECT v FROM t WHERE k = i);
		SELECT count(*) FROM t WHERE k <= $keys AND syncmap.get('cache', k, NULL::bigint) IS DISTINCT FROM v)), "0\n0", "$what: so is what is fetched, and it stays");
	return;
}
at_rest('at the start');

# ---------------------------------------------------------------------------
# Cases that no draw may leave out.

# other keys' fences, so many that each stripe has had too many
my $push_out = q(DO $$BEGIN FOR i IN 2 .. 599 LOOP UPDATE t SET v = v WHERE k = i; COMMIT; END LOOP; END $$);

# a fence that other keys of its stripe push out, while its transaction is in progress
{
	my $old = fetched(1);
	sql(q(BEGIN; SELECT change(1, 'update'); PREPARE TRANSACTION 'one'));
	is(cached(1), 'null', 'a prepared change has taken the pair');
	is(fetched(1), $old, 'and is not seen');
	is(cached(1), 'null', 'what is computed meanwhile is not kept');
	sql($push_out) for 1 .. 3;
	is(fetched(1), $old, 'it is not seen while others push its fence out');
	is(cached(1), 'null', 'nor is anything kept');
	sql(q(COMMIT PREPARED 'one'));
	is(fetched(1), version(1), 'when it is committed its value is fetched');
	isnt(fetched(1), $old, 'which is a new one');
	no_violation('fences pushed out');
	at_rest('fences pushed out');
}

# a transaction that has written, and stays open, stands in the way of nothing before its commit
{
	my $open = $node->background_psql('postgres');
	$open->query_safe('BEGIN; SELECT pg_current_xact_id()');
	my $old = fetched(1);
	sql($push_out) for 1 .. 3;
	sql(q(UPDATE t SET v = v WHERE k = 1));
	at_rest('beside a transaction that stays open');
	$open->query_safe(q(SELECT change(1, 'update')));
	is(fetched(1), $old, 'what it changes is not seen');
	is(cached(1), $old, 'and what is computed meanwhile is kept');
	$open->query_safe('COMMIT');
	is(cached(1), 'null', 'its commit takes the pair');
	isnt(fetched(1), $old, 'and its value is fetched');
	at_rest('after it');
	$open->quit;
	no_violation('a transaction that stays open');
}

# one that has fenced, and does not come to its end, while others push its fence out
{
	sql(q(ALTER DATABASE postgres SET synchronous_commit = local));
	my $waits = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = $waits->query_safe('SET synchronous_commit = on; SELECT pg_backend_pid()');
	$node->append_conf('postgresql.conf', q(synchronous_standby_names = 'nobody'));
	$node->reload;
	$node->poll_query_until('postgres', q(SELECT current_setting('synchronous_standby_names') = 'nobody')) or die;
	# the checkpointer has heard of it then
	sql('CHECKPOINT');
	my $old = fetched(1);
	$waits->query_until(qr/waits/, "\\echo waits\nSELECT change(1, 'update');\n");
	$node->poll_query_until('postgres', qq(SELECT wait_event = 'SyncRep' FROM pg_stat_activity WHERE pid = $pid)) or die;
	is(fetched(1), $old, 'a commit that has not come to its end is not seen');
	is(cached(1), 'null', 'what is computed meanwhile is not kept');
	sql($push_out) for 1 .. 3;
	is(fetched(1), $old, 'nor is it when others push its fence out');
	is(cached(1), 'null', 'nor is anything kept');
	$node->append_conf('postgresql.conf', q(synchronous_standby_names = ''));
	$node->reload;
	$node->poll_query_until('postgres', qq(SELECT state = 'idle' FROM pg_stat_activity WHERE pid = $pid)) or die;
	isnt(fetched(1), $old, 'when it has ended its value is fetched');
	sql(q(ALTER DATABASE postgres RESET synchronous_commit));
	$waits->quit;
	no_violation('a commit that takes its time');
	at_rest('a commit that takes its time');
}

# the key of a row that changes, and a table that is emptied
{
	my ($eight, $nine) = (fetched(8), fetched(9));
	sql('SELECT move(8, 9)');
	is(cached($_), 'null', "the key of a row has changed: $_ is not cached") for 8, 9;
	is(fetched(8), 'null', 'what is fetched is not the row that was there');
	isnt(fetched(9), $nine, 'and is the one that came');
	at_rest('a key that has changed');
	sql('TRUNCATE t');
	is(sql('SELECT count(*) FROM cache'), '0', 'of an emptied table nothing is cached');
	is(fetched(9), 'null', 'nor fetched');
	sql('SELECT change_all()');
	is(fetched(9), version(9), 'until it is filled again');
	at_rest('an emptied table');
}

# more keys than a session notes, and less than that, in one statement or in many
for my $n (300, 30_000)
{
	sql("INSERT INTO t SELECT i, 1 FROM generate_series(1000, 1000 + $n) i");
	my $sum = qq(SELECT sum(syncmap.fetch('cache', i::bigint, NULL::bigint)) FROM generate_series(1000, 1000 + $n) i);
	my $gets = qq(SELECT count(syncmap.get('cache', i::bigint, NULL::bigint)) FROM generate_series(1000, 1000 + $n) i);
	my $all = $n + 1;
	is(sql("$sum; $gets"), "$all\n$all", "$all keys are cached");
	sql("BEGIN; UPDATE t SET v = 2 WHERE k >= 1000; ROLLBACK");
	is(sql($sum), $all, "$all keys: a change that is rolled back is not seen");
	is(sql("BEGIN; UPDATE t SET v = 2 WHERE k >= 1000; $gets; $sum; COMMIT; $gets; $sum; $sum; $gets"), join("\n", 0, 2 * $all, 0, 2 * $all, 2 * $all, $all), "$all keys are taken at once");
	is(sql("BEGIN; DO \$\$BEGIN FOR i IN 1000 .. 1000 + $n LOOP UPDATE t SET v = 3 WHERE k = i; END LOOP; END \$\$; $gets; COMMIT; $gets; $sum"), join("\n", 0, 0, 3 * $all), "$all keys are taken one by one");
	is(sql("$sum; BEGIN; UPDATE t SET v = 4 WHERE k >= 1000; PREPARE TRANSACTION 'many'; $gets; $sum; $gets; COMMIT PREPARED 'many'; $gets; $sum"),
		join("\n", 3 * $all, 0, 3 * $all, 0, 0, 4 * $all), "$all keys are taken by a prepared transaction");
	sql("DELETE FROM t WHERE k >= 1000");
	is(sql($gets), '0', "$all keys that are deleted are gone");
	at_rest("$all keys");
}

# ---------------------------------------------------------------------------
# The random part.

my $runs = 0;
# start_crowd NAME, CLIENTS, WEIGHT => SCRIPT, ...
sub start_crowd
{
	my ($name, $clients, @scripts) = @_;
	my (@files, %run);
	while (my ($weight, $script) = splice @scripts, 0, 2)
	{
		my $file = $node->basedir . "/crowd_" . $runs++ . '.sql';
		append_to_file($file, $script);
		push @files, '-f', "$file\@$weight";
	}
	local $ENV{PGAPPNAME} = $name;
	%run = (name => $name, out => '', err => '');
	$run{harness} = IPC::Run::start(
		[ 'pgbench', '-n', @files, '-c', $clients, '-j', '1', '-M', one_of('simple', 'prepared'), '-T', '36000', '--random-seed', $seed, '-h', $node->host, '-p', $node->port, 'postgres' ],
		'<', \undef, '>', \$run{out}, '2>', \$run{err});
	return \%run;
}
sub finish_crowd
{
	my ($run) = @_;
	$run->{harness}->signal('ALRM');
	$run->{harness}->finish;
	my ($done) = $run->{out} =~ /actually processed: (\d+)/;
	my ($failed) = $run->{out} =~ /failed transactions: (\d+)/;
	ok($run->{harness}->result(0) == 0 && $run->{err} !~ /ERROR|aborted/ && $done, "$run->{name} met no error")
	  or diag "SEED=$seed\n$run->{out}\n" . substr($run->{err}, 0, 5000);
	note "$run->{name}: ", $done // 'no', ' transactions, ', $failed // 0, ' failed to be serialized';
	return;
}

my $pause = "\\set ms random(0, 6)\n\\sleep :ms ms\n";
my $repeatable = 'BEGIN ISOLATION LEVEL REPEATABLE READ';
my @writers = (
	2 => "\\set ms random(50, 600)\nBEGIN;\nSELECT pg_current_xact_id();\n\\sleep :ms ms\nSELECT change_any(2);\n${pause}COMMIT;\n",
	6 => "BEGIN;\nSELECT change_any(1);\n${pause}COMMIT;\n",
	4 => "SELECT change_any(1);\n",
	4 => "BEGIN;\nSELECT change_any(3);\n${pause}COMMIT;\n",
	3 => "BEGIN;\nSELECT change_any(2);\n${pause}ROLLBACK;\n",
	3 => "BEGIN;\nSELECT change_any(1);\nSAVEPOINT a;\nSELECT change_any(2);\n${pause}ROLLBACK TO a;\n${pause}COMMIT;\n",
	2 => "BEGIN;\nSAVEPOINT a;\nSELECT change_any(1);\nRELEASE a;\nSAVEPOINT b;\nSELECT change_any(1);\nROLLBACK TO b;\nSELECT change_any(1);\n${pause}COMMIT;\n",
	3 => "BEGIN;\nSELECT change_or_fail();\n${pause}COMMIT;\n",
	3 => "BEGIN;\nSELECT move(pick(), pick());\n${pause}COMMIT;\n",
	2 => "$repeatable;\nSELECT change(pick(), 'update');\n${pause}COMMIT;\n",
	1 => "BEGIN;\nSELECT change_many(100, 599);\n${pause}COMMIT;\n",
	1 => "BEGIN;\nSELECT change_many(0, 20);\nROLLBACK;\n");
my @readers = (
	6 => "SELECT check_committed(20);\n",
	2 => "BEGIN;\nSELECT check_committed(5);\n${pause}SELECT check_committed(5);\nCOMMIT;\n",
	2 => "$repeatable;\nSELECT check_snapshot(10);\n${pause}SELECT check_snapshot(10);\n${pause}SELECT check_snapshot(10);\nCOMMIT;\n",
	1 => "BEGIN ISOLATION LEVEL SERIALIZABLE;\nSELECT check_snapshot(5);\n${pause}SELECT check_snapshot(5);\nCOMMIT;\n");

# Sessions that end badly: statements that are timed out, sessions that are terminated,
# transactions that others commit, tables that are emptied.
my $sessions = 0;
sub hard_script
{
	my ($n) = @_;
	my $script = "\\set VERBOSITY terse\n";
	for my $i (1 .. $n)
	{
		my $gid = 'p' . $sessions++;
		my $finish = q(SELECT format(one_of('COMMIT', 'COMMIT', 'ROLLBACK') || ' PREPARED %L', gid) FROM pg_prepared_xacts ORDER BY random() LIMIT 1 \gexec) . "\n";
		$script .= one_of(
			"BEGIN;\nSELECT change_any(2);\nSET LOCAL statement_timeout = 5;\nSELECT change_any(2), pg_sleep(1);\nCOMMIT;\n",
			"SET statement_timeout = 3;\nSELECT change_any(4), pg_sleep(0.002), change_any(1);\nRESET statement_timeout;\n",
			"BEGIN;\nSELECT change_any(2);\nPREPARE TRANSACTION '$gid';\nSELECT pg_sleep(random() * 0.1);\n$finish",
			"BEGIN;\nSELECT change_any(1);\nSAVEPOINT a;\nSELECT change_any(1);\nROLLBACK TO a;\nPREPARE TRANSACTION '$gid';\n" . one_of($finish, '') . $finish,
			"BEGIN;\nSELECT change_any(2), pg_sleep(random() * 0.05);\nSELECT change_any(2), pg_sleep(random() * 0.05);\nCOMMIT;\n",
			"BEGIN;\nSELECT change_any(1);\nSELECT 1 / 0;\nCOMMIT;\n",
			below(6) == 0 ? "BEGIN;\nSELECT change_all();\n" . one_of('COMMIT', 'COMMIT', 'ROLLBACK') . ";\n" : $finish,
			$finish);
	}
	return $script;
}
# Reads what it has written meanwhile.
sub running
{
	my ($run) = @_;
	$run->{harness}->pump_nb if $run->{harness}->pumpable;
	return $run->{harness}->pumpable;
}
sub random_part
{
	my ($for, $with_hard) = @_;
	my @crowds = (start_crowd('writers', 4, @writers), start_crowd('readers', 5, @readers));
	my $until = time + $for;
	my ($victims, $terminated, $canceled) = (0, 0, 0);
	my @hard;
	while (time < $until)
	{
		if ($with_hard)
		{
			finish_psql($_) for grep { !running($_) } @hard;
			@hard = grep { running($_) } @hard;
			push @hard, start_psql('victim' . $victims++, hard_script(40)) while @hard < 2;
			my $how = one_of('terminate', 'cancel', 'cancel');
			my $n = sql(qq(SELECT count(*) FILTER (WHERE pg_${how}_backend(pid)) FROM pg_stat_activity WHERE application_name ~ '^victim' AND random() < 0.4));
			$how eq 'terminate' ? $terminated : $canceled += $n;
		}
		sleep(0.15);
	}
	if ($with_hard)
	{
		# who waits for what is prepared would wait for ever
		do
		{
			sql(q(SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name ~ '^victim'));
			sql(sql(q(SELECT coalesce(string_agg(format('COMMIT PREPARED %L;', gid), ' '), '') FROM pg_prepared_xacts)));
			sleep(0.1);
		} while (grep { running($_) } @hard);
		finish_psql($_) for @hard;
		note "$victims sessions, $terminated terminated, $canceled cancelled";
	}
	finish_crowd($_) for reverse @crowds;
	return;
}

sql(q(SELECT syncmap.clear('counts')));
random_part($seconds / 2, 0);
no_violation('writers and readers');
at_rest('writers and readers');
my %counts = sql(q(SELECT key, value FROM counts)) =~ /^(.*)\|(\d+)$/mg;
note join ', ', map { "$_: $counts{$_}" } sort keys %counts;
for my $level ('read committed', 'repeatable read')
{
	my $fetches = $counts{"fetches $level"} // 0;
	my $loads = $counts{"loads readers $level"} // 0;
	note sprintf '%s: %d fetches, %d loads, %.1f %% hits', $level, $fetches, $loads, 100 - 100 * $loads / ($fetches || 1);
	# half of them, and some of the snapshots', or nothing is proved
	cmp_ok($loads, '<', ($level eq 'read committed' ? 0.5 : 0.9) * $fetches, "$level: a good part of the fetches were hits");
}
note(($counts{stale} // 0) . ' values were marked as stale');
cmp_ok($counts{seen} // 0, '>', 0.4 * ($counts{looks} // 1), 'keys are mostly there');
note sql(q(SELECT to_jsonb(s) FROM syncmap.stat_map s WHERE relname IN ('cache', 'groups', 'latest', 'texts')));

random_part($seconds / 2, 1);
no_violation('sessions that end badly');
at_rest('sessions that end badly');
my $fetches = sql(q(SELECT sum(value) FROM counts WHERE key ~ '^fetches'));
note "$fetches fetches in all";
cmp_ok($fetches, '>', 400 * $seconds, 'enough were tried');

# ---------------------------------------------------------------------------
# Restarts: a transaction that outlives one still stands in the way.

my $kills = 0;
for my $how ('restart', 'immediate', 'kill -9')
{
	my ($old, $other) = (fetched(1), version(2));
	sql(q(BEGIN; SELECT change(1, 'update'); PREPARE TRANSACTION 'outlives'));
	sql(q(BEGIN; SELECT move(3, 2); PREPARE TRANSACTION 'too'));
	if ($how eq 'kill -9')
	{
		# one that has changed a row, and one in the middle of a loader
		my $one = $node->background_psql('postgres', on_error_stop => 0);
		my $pid = $one->query('SELECT pg_backend_pid()');
		$one->query(q(BEGIN; SELECT change(4, 'update')));
		my $four = version(4);
		my $checkpointer = q(SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer');
		my $before = sql($checkpointer);
		kill 9, $pid;
		$kills++;
		$node->poll_query_until('postgres', "SELECT ($checkpointer) <> $before") or die 'the server does not come back';
		eval { $one->quit };
		is(fetched(4), $four, 'what a killed session has changed is not seen');
	}
	else
	{
		$node->stop($how eq 'immediate' ? 'immediate' : 'fast');
		$node->start;
	}
	is(sql(q(SELECT count(*) FROM cache WHERE key = 1)), '0', "$how: the map starts empty");
	is(fetched(1), $old, "$how: what is prepared is not seen") for 1 .. 2;
	is(fetched(2), $other, "$how: nor is the key of a row that comes") for 1 .. 2;
	sql(q(UPDATE t SET v = v WHERE k = 5));
	is(fetched(1), $old, "$how: nor after others") for 1 .. 2;
	sql(q(COMMIT PREPARED 'outlives'; COMMIT PREPARED 'too'));
	isnt(fetched(1), $old, "$how: after COMMIT PREPARED the new value is fetched");
	is(fetched($_), version($_), "$how: key $_ is what the table has") for 1 .. 4;
	at_rest($how);
}

end_test($kills);
