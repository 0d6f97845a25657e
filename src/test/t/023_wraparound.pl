# Watched maps while the numbers of transactions pass 2^32.
#
# What is attacked: a fence, a horizon, and a snapshot are compared as 64 bits, so that one
# from before is older than one from after (C1, C3, C4); and that fills go on afterwards.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->append_conf('postgresql.conf', q(
shared_preload_libraries = 'syncmap'
syncmap.memory = 8MB
max_prepared_transactions = 10
autovacuum = off
fsync = off
));
$node->start;

sub sql { return $node->safe_psql('postgres', $_[0]); }

sql(q(
CREATE EXTENSION syncmap;
CREATE TABLE t (k bigint PRIMARY KEY, v bigint);
INSERT INTO t SELECT i, i FROM generate_series(1, 300) i;
CREATE FOREIGN TABLE m (key bigint, value bigint) SERVER syncmap OPTIONS (shards '1', loader 'SELECT v FROM public.t WHERE k = $1');
CREATE FOREIGN TABLE whole (key bigint, value bigint) SERVER syncmap OPTIONS (loader 'SELECT sum(v)::bigint FROM public.t WHERE $1 > 0');
SELECT syncmap.watch('m', 't', 'k'), syncmap.watch('whole', 't', NULL);
UPDATE pg_database SET datallowconn = true;
CREATE PROCEDURE use_up(n integer) LANGUAGE plpgsql AS 'BEGIN FOR i IN 1 .. n LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END';
));

# Goes on at a number.  No number may be half of 2^32 from one that is still in use.
sub go_to
{
	my ($xid) = @_;
	$node->safe_psql($_, 'VACUUM FREEZE') for 'postgres', 'template1', 'template0';
	$node->stop;
	my $file = sprintf('%s/pg_xact/%04X', $node->data_dir, $xid / (8192 * 4 * 32));
	append_to_file($file, "\0" x (8192 * 32)) unless -e $file;
	$node->command_ok([ 'pg_resetwal', '-x', $xid, $node->data_dir ], "the next transaction is $xid");
	$node->start;
	return;
}
go_to($_) for 2_000_000_000, 4_000_000_000, 4294967296 - 90;

is(sql('SELECT pg_current_xact_id() > pg_current_xact_id()'), 'f', 'there are transactions');
cmp_ok(sql('SELECT pg_current_xact_id()'), '<', 4294967296 - 70, 'whose number is just below 2^32');
is(sql(q(SELECT count(syncmap.fetch('m', k)) FROM t; SELECT count(syncmap.get('m', k)) FROM t)), "300\n300", 'what is fetched is cached');
is(sql(q(SELECT syncmap.fetch('whole', 1::bigint); SELECT syncmap.get('whole', 1::bigint))), "45150\n45150", 'so is the whole');

# from before: a snapshot, a lease, a transaction that is prepared
my $old = $node->background_psql('postgres');
my $before = '1|2|45150';
my $seen = q(SELECT syncmap.fetch('m', 1::bigint), syncmap.fetch('m', 2::bigint), syncmap.fetch('whole', 1::bigint););
is($old->query("BEGIN ISOLATION LEVEL REPEATABLE READ; $seen"), $before, 'an old snapshot');
my $lease = sql(q(SELECT syncmap.lease('m')));
sql(q(BEGIN; UPDATE t SET v = 3000 WHERE k = 3; PREPARE TRANSACTION 'old'));
is(sql(q(SELECT syncmap.fetch('m', 3::bigint); SELECT syncmap.get('m', 3::bigint))), "3\n", 'a prepared change');

sql('CALL use_up(200)');
cmp_ok(sql('SELECT pg_current_xact_id()'), '>', 4294967296, '2^32 is passed');
is($old->query($seen), $before, 'the old snapshot finds what it found');
is(sql(qq(SELECT syncmap.put_leased('m', 4::bigint, 4::bigint, '$lease'); SELECT syncmap.get('m', 4::bigint))), "t\n4", 'the lease can be used where nothing has changed');
sql(q(UPDATE t SET v = 1001 WHERE k = 1; UPDATE t SET v = v WHERE k = 5));
is(sql(qq(SELECT syncmap.put_leased('m', 1::bigint, 1::bigint, '$lease'), syncmap.get('m', 1::bigint))), 'f|', 'and not where something has');
is(sql(q(SELECT syncmap.fetch('m', 1::bigint); SELECT syncmap.get('m', 1::bigint))), "1001\n1001", 'the new value is cached');
is($old->query($seen), $before, 'the old snapshot does not find it');
is(sql(q(SELECT syncmap.get('m', 1::bigint))), '1001', 'which stays');
is(sql(q(SELECT syncmap.fetch('whole', 1::bigint))), '46150', 'the whole is the new one');
is(sql(q(SELECT syncmap.fetch('m', 3::bigint); SELECT syncmap.get('m', 3::bigint))), "3\n", 'the prepared change still stands in the way');
# the fences of that stripe are pushed out
sql(q(DO $$BEGIN FOR j IN 1 .. 4 LOOP FOR i IN 4 .. 300 LOOP UPDATE t SET v = v WHERE k = i; COMMIT; END LOOP; END LOOP; END $$));
is(sql(q(SELECT syncmap.fetch('m', 3::bigint); SELECT syncmap.get('m', 3::bigint))), "3\n", 'also when its fence was pushed out');
is($old->query($seen), $before, 'the old snapshot finds what it found');
sql(q(COMMIT PREPARED 'old'));
is(sql(q(SELECT syncmap.fetch('m', 3::bigint); SELECT syncmap.fetch('whole', 1::bigint))), "3000\n" . (45150 + 1000 + 2997), 'what was prepared is committed, and found');
is($old->query($seen), $before, 'the old snapshot finds what it found');
$old->query('COMMIT');
is($old->query($seen), '1001|2|49147', 'a new one does not');
$old->quit;
is(sql(q(SELECT count(*) FROM t WHERE syncmap.fetch('m', k, NULL::bigint) IS DISTINCT FROM v; SELECT count(*) FROM t WHERE syncmap.get('m', k, NULL::bigint) IS DISTINCT FROM v)), "0\n0", 'all is cached, and right');
sql('SELECT pg_current_xact_id(); UPDATE t SET v = v + 1; SELECT pg_current_xact_id()');
is(sql(q(SELECT count(*) FROM t WHERE syncmap.fetch('m', k, NULL::bigint) IS DISTINCT FROM v; SELECT count(*) FROM t WHERE syncmap.get('m', k, NULL::bigint) IS DISTINCT FROM v)), "0\n0", 'also after a change of all');
is(sql(q(SELECT syncmap.fetch('whole', 1::bigint); SELECT syncmap.get('whole', 1::bigint))), (49147 + 300) . "\n" . (49147 + 300), 'so is the whole');

$node->restart;
is(sql(q(SELECT count(*) FROM t WHERE syncmap.fetch('m', k, NULL::bigint) IS DISTINCT FROM v; SELECT count(*) FROM t WHERE syncmap.get('m', k, NULL::bigint) IS DISTINCT FROM v)), "0\n0", 'and after a restart');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|XX000/, 'the server met nothing that must not happen');
$node->stop;
done_testing();
