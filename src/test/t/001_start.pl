# Starting with and without the library, restarts, databases, crashes.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;

# S1: without shared_preload_libraries
$node->safe_psql('postgres', 'CREATE EXTENSION syncmap');
$node->safe_psql('postgres', q(CREATE FOREIGN TABLE m (key text, value text) SERVER syncmap));
my @calls = (
	q(get('m', 'k')), q(contains('m', 'k')), q(count('m')), q(get_many('m', '{k}')),
	q(range('m')), q(put('m', 'k', 'v')), q(put_many('m', '{k}', '{v}')),
	q(get_or_put('m', 'k', 'v')), q(swap('m', 'k', 'v')),
	q(compare_and_swap('m', 'k', 'v', 'w')), q(increment('m', 'k')), q(delete('m', 'k')),
	q(delete_many('m', '{k}')), q(get_and_delete('m', 'k')),
	q(compare_and_delete('m', 'k', 'v')), q(clear('m')), q(create('m2')), q(drop('m')));
for my $call (@calls)
{
	my ($ret, $stdout, $stderr) =
	  $node->psql('postgres', "\\set VERBOSITY verbose\nSELECT syncmap.$call");
	like($stderr, qr/55000.*shared_preload_libraries = 'syncmap'/s,
		"without preloading, $call says what to do");
}
my ($ret, $stdout, $stderr) = $node->psql('postgres', q(LOAD 'syncmap'));
is($ret, 0, 'LOAD does no harm');

# with it
$node->append_conf('postgresql.conf', q(
shared_preload_libraries = 'syncmap'
syncmap.memory = 8MB
syncmap.max_maps = 5
restart_after_crash = on
));
$node->restart;
$node->safe_psql('postgres', q(ALTER FOREIGN TABLE m OPTIONS (ADD eviction 'none')));
is($node->safe_psql('postgres', q(SELECT syncmap.put('m', 'k', 'v'))), 't', 'put works once it is preloaded');
is($node->safe_psql('postgres', q(SELECT syncmap.get('m', 'k'))), 'v', 'another session sees it');
is($node->safe_psql('postgres', 'SHOW syncmap.memory'), '8MB', 'the setting is there');
($ret, $stdout, $stderr) = $node->psql('postgres', 'SET syncmap.nonsense = 1');
like($stderr, qr/invalid configuration parameter name/, 'the prefix is reserved');

$node->restart;
is($node->safe_psql('postgres', q(SELECT syncmap.count('m'))), '0', 'a restart empties the map and keeps its definition');

# two databases: same names, perhaps same OIDs, other maps
$node->safe_psql('postgres', q(SELECT syncmap.put('m', 'k', 'in postgres')));
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', q(CREATE EXTENSION syncmap; SELECT syncmap.create('m', eviction => 'none'); SELECT syncmap.put('m', 'k', 'in other')));
is($node->safe_psql('postgres', q(SELECT syncmap.get('m', 'k'))), 'in postgres', 'one database');
is($node->safe_psql('other', q(SELECT syncmap.get('m', 'k'))), 'in other', 'and the other');
$node->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE other');
is($node->safe_psql('copy', q(SELECT syncmap.count('m'))), '0', 'a copied database has the map and not its contents');

# M1, DROP DATABASE: what its maps had is free again
sub fill
{
	my ($db, $map) = @_;
	return $node->safe_psql($db, qq(
		DO \$\$ BEGIN
			FOR i IN 1..100000 LOOP PERFORM syncmap.put('$map', 'k' || i, repeat('v', 50000)); END LOOP;
		EXCEPTION WHEN out_of_memory THEN NULL; END \$\$;
		SELECT syncmap.count('$map')));
}
my $most = fill('copy', 'm');
cmp_ok($most, '>', 120, 'a full arena');
cmp_ok($most, '<=', 168, 'M1: it holds no more than syncmap.memory');
$node->safe_psql('postgres', 'DROP DATABASE copy');
my $again = fill('other', 'm');
cmp_ok($again, '>=', $most - 2, 'DROP DATABASE gave the memory back');
is($node->safe_psql('postgres', q(SELECT syncmap.get('m', 'k'))), 'in postgres', 'M3: the full arena cost no other map its entries');
is($node->safe_psql('postgres', q(SELECT syncmap.put('m', 'k', 'in pstgres'))), 'f', 'a value of the same size needs no memory');
$node->safe_psql('other', q(SELECT syncmap.drop('m')));

# as many maps as there may be, and one more
$node->safe_psql('postgres', "SELECT syncmap.create('m$_'), 1; SELECT syncmap.put('m$_', 'k', 'v')") for 1 .. 4;
$node->safe_psql('postgres', q(SELECT syncmap.create('m5')));
($ret, $stdout, $stderr) = $node->psql('postgres', qq(\\set VERBOSITY verbose\nSELECT syncmap.put('m5', 'k', 'v')));
like($stderr, qr/53400.*syncmap\.max_maps/s, 'one map too many says which setting to raise');
$node->safe_psql('postgres', q(SELECT syncmap.drop('m1')));
is($node->safe_psql('postgres', q(SELECT syncmap.put('m5', 'k', 'v'))), 't', 'a dropped map makes place');

# a backend that crashes resets shared memory
$node->psql('postgres', q(
SELECT syncmap.put('m', 'k2', 'v'), pg_backend_pid() AS pid \gset
\setenv BACKEND :pid
\! kill -9 $BACKEND
SELECT 1));
ok($node->poll_query_until('postgres', q(SELECT syncmap.count('m') = 0)), 'after kill -9 of a backend the server resets and the map is empty');
is($node->safe_psql('postgres', q(SELECT syncmap.put('m', 'k', 'v'))), 't', 'and works on');

$node->stop;
done_testing();
