# The maintenance worker, what works without it, and memory that runs short.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q(
shared_preload_libraries = 'syncmap'
syncmap.memory = 8MB
syncmap.maintenance_interval = 200ms
));
$node->start;
$node->safe_psql('postgres', q(CREATE EXTENSION syncmap; SELECT syncmap.create('m')));

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub becomes { return $node->poll_query_until('postgres', $_[0]); }
sub stat_of { return sql("SELECT $_[0] FROM syncmap.stat_map WHERE relname = '" . ($_[1] // 'm') . "'"); }
sub fill
{
	my ($map, $n, $more) = @_;
	return sql("SELECT count(syncmap.put('$map', 'k' || i, repeat('v', 100)" . ($more // '') . ")) FROM generate_series(1, $n) i");
}

my $worker = q(SELECT pid FROM pg_stat_activity WHERE backend_type = 'syncmap maintenance');
like(sql($worker), qr/^\d+$/, 'there is one worker');
ok(becomes(q(SELECT wait_event_type = 'Extension' FROM pg_stat_activity WHERE backend_type = 'syncmap maintenance')),
	'it waits, and says so');

# new keys are promoted though nobody writes or reads any more
sql(q(SELECT syncmap.create('dirty', promote_ratio => 100)));
fill('dirty', 100);
ok(becomes(q(SELECT dirty_entries = 0 FROM syncmap.stat_map WHERE relname = 'dirty')), 'dirty keys are promoted');
cmp_ok(stat_of('promotions', 'dirty'), '>', 0, 'and counted');
sql(q(DROP FOREIGN TABLE dirty));

# what has expired is taken out, and its memory is given back
sql(q(SELECT syncmap.clear('m')));
my $free = sql('SELECT free_bytes FROM syncmap.stat_memory');
fill('m', 20000, q(, '3 s'));
cmp_ok(stat_of('memory'), '>', 2000000, 'memory is in use');
ok(becomes(q(SELECT expirations = 20000 AND entries = 0 AND memory = 0 FROM syncmap.stat_map)), 'all expired keys are swept');
is(sql('SELECT free_bytes FROM syncmap.stat_memory'), $free, 'all memory is free again');

# some expire and others do not
fill('m', 10000);
sql(q(SELECT count(syncmap.expire('m', 'k' || i, '300 ms')) FROM generate_series(1, 10000, 2) i));
ok(becomes(q(SELECT expirations = 25000 AND entries = 5000 FROM syncmap.stat_map)), 'those that expired are swept');
is(sql(q(SELECT count(syncmap.get('m', 'k' || i)) FROM generate_series(2, 10000, 2) i)), '5000', 'the others are there');

# a large index shrinks when few keys are left
sql(q(SELECT count(syncmap.delete('m', 'k' || i)) FROM generate_series(2, 9900, 2) i));
ok(becomes(q(SELECT memory < 600000 FROM syncmap.stat_map)), 'memory follows the keys');
is(sql(q(SELECT count(syncmap.get('m', 'k' || i)) FROM generate_series(9901, 10000) i)), '50', 'the others are there');

# a quota that becomes less than what there is
fill('m', 20000);
sql(q(ALTER FOREIGN TABLE m OPTIONS (ADD max_memory '1MB')));
ok(becomes(q(SELECT memory <= 1024 * 1024 AND entries > 1000 FROM syncmap.stat_map)), 'a map shrinks to its quota');
sql(q(ALTER FOREIGN TABLE m OPTIONS (DROP max_memory)));

# compaction, from a reload on
sub set_conf
{
	$node->append_conf('postgresql.conf', $_[0]);
	$node->reload;
	ok(becomes("SELECT current_setting('$1') = '$2'"), "$1 is $2") if $_[0] =~ /(\S+) = '?([^']*)/;
}
sql(q(SELECT syncmap.clear('m')));
set_conf('syncmap.compact_ratio = 100');
fill('m', 10000);
sql(q(SELECT count(syncmap.delete('m', 'k' || i)) FROM generate_series(1, 10000, 2) i));
cmp_ok(stat_of('dead_bytes'), '>', 500000, 'dead bytes wait for their compaction');
set_conf('syncmap.compact_ratio = 10');
ok(becomes(q(SELECT dead_bytes < live_bytes / 5 FROM syncmap.stat_map)), 'the worker compacts at the new ratio');
is(sql(q(SELECT count(syncmap.get('m', 'k' || i)) FROM generate_series(1, 10000) i)), '5000', 'nothing is lost');

# it comes again
my $pid = sql($worker);
sql("SELECT pg_terminate_backend($pid)");
ok(becomes("SELECT count(*) = 1 AND bool_and(pid <> $pid) FROM pg_stat_activity WHERE backend_type = 'syncmap maintenance'"),
	'a terminated worker is started again');
fill('m', 100, q(, '100 ms'));
ok(becomes(q(SELECT sum(expirations) >= 25100 FROM syncmap.stat_map)), 'and works');
is($node->safe_psql('postgres', q(SELECT syncmap.get('m', 'k2000'))), 'v' x 100, 'nothing is lost by that');

# M5: expired entries of another map make room at once, also without the worker
sub check_m5
{
	my ($what) = @_;
	sql(q(SELECT syncmap.create('full', eviction => 'none'), syncmap.create('next', eviction => 'none')));
	sql(q(DO $$ BEGIN
		FOR i IN 1..100000 LOOP PERFORM syncmap.put('full', 'k' || i, repeat('v', 1000), '1 s'); END LOOP;
	EXCEPTION WHEN out_of_memory THEN NULL; END $$));
	sql('SELECT pg_sleep(1.1)');
	is(sql(q(SELECT syncmap.put('next', 'k', repeat('v', 3000000)))), 't', "M5: expired keys make room $what");
	sql(q(SELECT syncmap.drop('full'), syncmap.drop('next')));
}
sql(q(SELECT syncmap.drop('m')));
set_conf(q(syncmap.maintenance_interval = '1h'));
check_m5('before the worker comes');
sql(q(SELECT syncmap.create('m')));
fill('m', 200000);
is(sql('SELECT memory <= 8 * 1024 * 1024 AND evictions > 100000 FROM syncmap.stat_map'), 't', 'M1: eviction keeps to the budget');

# M5: sessions whose values together are twice the arena wait for each other
$node->pgbench('-n -c 8 -j 2 -t 30', 0, [qr/actually processed: 240\/240/], [qr/^$/],
	'M5: no put fails while others make room',
	{'004_large_values' => q(
		\set i random(1, 20)
		SELECT syncmap.put('m', 'large' || :i, repeat('v', 2000000));)});

# a write that evicts can be cancelled
my ($status, $stdout, $stderr) = $node->psql('postgres',
	q(SET statement_timeout = '300 ms'; SELECT count(syncmap.put('m', 'k' || i, repeat('v', 5000))) FROM generate_series(1, 100000000) i));
like($stderr, qr/statement timeout/, 'an evicting statement is cancelled');
is(sql(q(SELECT syncmap.put('m', 'after', 'v'))), 't', 'and the next one works');

$node->stop('fast');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|segmentation/i, 'a clean stop');

$node->append_conf('postgresql.conf', 'max_worker_processes = 0');
$node->start;
is(sql(q(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'syncmap maintenance')), '0', 'no worker');
sql(q(SELECT syncmap.drop('m')));
check_m5('without a worker');
sql(q(SELECT syncmap.create('m', max_memory => '1MB')));
fill('m', 50000, q(, '1 h'));
is(sql(q(SELECT memory <= 1.05 * 1024 * 1024 AND entries > 1000 FROM syncmap.stat_map)), 't', 'and a quota holds');
sql(q(SELECT syncmap.put('m', 'gone', 'v', '10 ms'), pg_sleep(0.02)));
is(sql(q(SELECT coalesce(syncmap.get('m', 'gone'), 'absent'))), 'absent', 'and an expired key is absent');

# what a session has read is counted when it ends
sql(q(SELECT syncmap.reset_stats('m')));
sql(q(SELECT syncmap.put('m', 'k', 'v')));
sql(q(SELECT syncmap.get('m', 'k'); SELECT count(syncmap.get('m', 'k')) FROM generate_series(1, 1000)));
ok(becomes(q(SELECT gets = 1001 AND hits = 1001 FROM syncmap.stat_map)), 'all reads are counted when a session ends');

# a session keeps no rights that it has lost as the owner of its database
sql(q(CREATE ROLE alice; CREATE ROLE bob; ALTER DATABASE postgres OWNER TO alice));
sql(q(GRANT SELECT ON m TO pg_database_owner));
my ($ret, $out, $err) = $node->psql('postgres', q(
	SET ROLE alice; SELECT syncmap.get('m', 'k');
	RESET ROLE; ALTER DATABASE postgres OWNER TO bob;
	SET ROLE alice; SELECT syncmap.get('m', 'k')));
is($out, 'v', 'the owner of the database reads');
like($err, qr/permission denied for foreign table m/, 'and the owner before does not');

# a temporary map is no part of a prepared transaction, however well it is known
$node->append_conf('postgresql.conf', 'max_prepared_transactions = 1');
$node->restart;
($ret, $out, $err) = $node->psql('postgres', q(
	SELECT syncmap.create('pg_temp.t'); SELECT syncmap.put('t', 'k', 'v');
	BEGIN; SELECT syncmap.get('t', 'k'); PREPARE TRANSACTION 'p'));
like($err, qr/cannot PREPARE a transaction that has operated on temporary objects/, 'PREPARE refuses a temporary map');

done_testing();
