# The worker answers while it has much to do.
#
# What is attacked: W5 for the worker itself.  It works in pieces, and between two of them
# it does what PostgreSQL asks of every process: a DROP DATABASE waits until all of them
# have answered, and a SIGTERM until this one has ended.  What it has to do here is to put
# a shard of many keys in order.
#
# KEYS=n: so many keys, for which it needs some seconds.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $keys = $ENV{KEYS} || 1_500_000;
note "KEYS=$keys";
my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->append_conf('postgresql.conf', q(
shared_preload_libraries = 'syncmap'
syncmap.memory = 400MB
syncmap.maintenance_interval = 1h
autovacuum = off
fsync = off
));
$node->start;

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub set_interval
{
	$node->append_conf('postgresql.conf', "syncmap.maintenance_interval = '$_[0]'");
	$node->reload;
	return;
}
my $worker = q(SELECT pid FROM pg_stat_activity WHERE backend_type = 'syncmap maintenance');

# Gives the worker the whole map to put in order, and waits until it is at it.  Returns
# whether it is.
sub make_busy
{
	set_interval('1h');
	$node->poll_query_until('postgres', q(SELECT wait_event IS NOT NULL FROM pg_stat_activity WHERE backend_type = 'syncmap maintenance'));
	sql(q(ALTER FOREIGN TABLE m OPTIONS (SET ordered 'false')));
	set_interval('100ms');
	$node->poll_query_until('postgres', q(SELECT wait_event IS NOT NULL FROM pg_stat_activity WHERE backend_type = 'syncmap maintenance'));
	sql(q(ALTER FOREIGN TABLE m OPTIONS (SET ordered 'true'); SELECT syncmap.count('m')));
	# it does not wait in ten looks at it
	return sql(q(
		CREATE OR REPLACE FUNCTION pg_temp.is_busy() RETURNS boolean LANGUAGE plpgsql AS $$
		DECLARE
			seen integer := 0;
		BEGIN
			FOR i IN 1 .. 5000 LOOP
				PERFORM pg_stat_clear_snapshot();
				seen := CASE WHEN (SELECT wait_event IS NULL FROM pg_stat_activity WHERE backend_type = 'syncmap maintenance') THEN seen + 1 ELSE 0 END;
				IF seen = 10 THEN RETURN true; END IF;
				PERFORM pg_sleep(0.002);
			END LOOP;
			RETURN false;
		END $$;
		SELECT pg_temp.is_busy()));
}

sql(qq(CREATE EXTENSION syncmap; CREATE DATABASE doomed; CREATE DATABASE doomed2;
SELECT syncmap.create('m', shards => 1, eviction => 'none', ordered => false);
SELECT count(syncmap.put('m', 'key' || i, 'v')) FROM generate_series(1, $keys) i));

is(make_busy(), 't', 'the worker has something to do');
my $started = time();
sql('DROP DATABASE doomed');
my $took = time() - $started;
note sprintf('DROP DATABASE: %.2f s', $took);
cmp_ok($took, '<', 2, 'DROP DATABASE does not wait for it');

is(make_busy(), 't', 'again');
my $pid = sql($worker);
$started = time();
sql("SELECT pg_terminate_backend($pid)");
$node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $pid)");
$took = time() - $started;
note sprintf('SIGTERM: %.2f s', $took);
cmp_ok($took, '<', 2, 'a SIGTERM ends it at once');

# what it has left undone is done by whoever asks for it
is(sql(q(SELECT string_agg(key, ' ') FROM (SELECT key FROM m WHERE key >= 'key1' ORDER BY key LIMIT 4) s)), 'key1 key10 key100 key1000', 'the order is made by who asks for it');
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'syncmap maintenance' AND pid <> $pid"), 'another worker comes');
is(sql(q(SELECT syncmap.count('m'))), $keys, 'nothing is lost');

is(make_busy(), 't', 'and once more');
$started = time();
$node->stop('fast');
$took = time() - $started;
note sprintf('stop: %.2f s', $took);
cmp_ok($took, '<', 3, 'a fast stop does not wait for it, either');
my @bad = slurp_file($node->logfile) =~ /(.*(?:PANIC|TRAP|terminated by signal).*)/g;
is("@bad", '', 'the server met nothing that must not happen');

done_testing();
