# Maps whose relation is gone give their memory back, also where no hook fires.
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
syncmap.max_maps = 4
max_prepared_transactions = 5
));
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION syncmap');

# Statements that fill the arena with a map of that name.
sub filling
{
	my ($map) = @_;
	return qq(
		DO \$\$ BEGIN
			FOR i IN 1..100000 LOOP PERFORM syncmap.put('$map', 'k' || i, repeat('v', 50000)); END LOOP;
		EXCEPTION WHEN out_of_memory THEN NULL; END \$\$;);
}

sub fill
{
	my ($map) = @_;
	return $node->safe_psql('postgres', "SELECT 1 FROM syncmap.create('$map', eviction => 'none'); " . filling($map) . "SELECT 'count ' || syncmap.count('$map')") =~ s/.*count //sr;
}

my $most = fill('first');
cmp_ok($most, '>', 120, 'a full arena');

sub all_free
{
	my ($name, $what) = @_;
	cmp_ok(fill($name), '>=', $most - 2, "$what: all memory is there again");
	$node->safe_psql('postgres', "SELECT syncmap.drop('$name')");
}

$node->safe_psql('postgres', q(SELECT syncmap.drop('first')));
all_free('second', 'drop');

$node->safe_psql('postgres', "BEGIN; SELECT syncmap.create('m', eviction => 'none'); " . filling('m') . 'ROLLBACK');
all_free('third', 'creation rolled back after puts');

$node->safe_psql('postgres', "BEGIN; SAVEPOINT a; SAVEPOINT b; SELECT syncmap.create('m', eviction => 'none'); " . filling('m') . 'RELEASE b; ROLLBACK TO a; COMMIT');
all_free('fourth', 'creation rolled back to a savepoint');

$node->safe_psql('postgres', "CREATE SCHEMA s; SELECT syncmap.create('s.m', eviction => 'none'); " . filling('s.m'));
$node->safe_psql('postgres', 'DROP SCHEMA s CASCADE');
all_free('fifth', 'DROP SCHEMA');

$node->safe_psql('postgres', "CREATE ROLE r; GRANT USAGE ON FOREIGN SERVER syncmap TO r; GRANT CREATE ON SCHEMA public TO r; SET ROLE r; SELECT syncmap.create('m', eviction => 'none'); " . filling('m'));
$node->safe_psql('postgres', 'DROP OWNED BY r; DROP ROLE r');
all_free('sixth', 'DROP OWNED');

# prepared transactions: no hook of ours is there when they end
$node->safe_psql('postgres', "SELECT syncmap.create('m', eviction => 'none'); " . filling('m') . "BEGIN; SELECT syncmap.drop('m'); PREPARE TRANSACTION 'drop'");
$node->safe_psql('postgres', "COMMIT PREPARED 'drop'");
all_free('seventh', 'drop in a prepared transaction');

$node->safe_psql('postgres', "SELECT syncmap.create('m', eviction => 'none'); SELECT syncmap.put('m', 'k', 'v')");
$node->safe_psql('postgres', "BEGIN; SELECT syncmap.drop('m'); PREPARE TRANSACTION 'drop'");
$node->safe_psql('postgres', "SELECT syncmap.create('other'); SELECT syncmap.put('other', 'k', 'v'); SELECT syncmap.drop('other')");
$node->safe_psql('postgres', "ROLLBACK PREPARED 'drop'");
is($node->safe_psql('postgres', q(SELECT syncmap.get('m', 'k'))), 'v', 'a prepared drop that is rolled back loses nothing');
$node->safe_psql('postgres', q(SELECT syncmap.drop('m')));

$node->safe_psql('postgres', "BEGIN; SELECT syncmap.create('m', eviction => 'none'); " . filling('m') . "PREPARE TRANSACTION 'create'");
$node->safe_psql('postgres', "ROLLBACK PREPARED 'create'");
all_free('eighth', 'creation in a prepared transaction, rolled back');

$node->safe_psql('postgres', "BEGIN; SELECT syncmap.create('m', eviction => 'none'); SELECT syncmap.put('m', 'k', 'v'); PREPARE TRANSACTION 'create'");
$node->safe_psql('postgres', "SELECT syncmap.create('other'); SELECT syncmap.put('other', 'k', 'v'); SELECT syncmap.drop('other')");
$node->safe_psql('postgres', "COMMIT PREPARED 'create'");
is($node->safe_psql('postgres', q(SELECT syncmap.get('m', 'k'))), 'v', 'a prepared creation that is committed loses nothing');
$node->safe_psql('postgres', q(SELECT syncmap.drop('m')));

# a table of maps that is full of dropped ones
for my $i (1 .. 12)
{
	$node->safe_psql('postgres', "BEGIN; SELECT syncmap.create('p$i'); SELECT syncmap.put('p$i', 'k', 'v'); PREPARE TRANSACTION 'p$i'");
	$node->safe_psql('postgres', "ROLLBACK PREPARED 'p$i'");
}
is($node->safe_psql('postgres', q(SELECT 1 FROM syncmap.create('m'); SELECT syncmap.put('m', 'k', 'v'))) =~ s/^1\n//r, 't', 'places of vanished maps are found again');

# DROP EXTENSION
$node->safe_psql('postgres', filling('m') . 'DROP EXTENSION syncmap CASCADE; CREATE EXTENSION syncmap');
all_free('ninth', 'DROP EXTENSION CASCADE');

# a relation that gets the OID of one whose map is still there
$node->stop;
system_or_bail('pg_ctl', '-w', '-D', $node->data_dir, '-l', $node->logfile, '-o', '-b', 'start');
my $oids = q(
	SELECT pg_catalog.binary_upgrade_set_next_heap_pg_class_oid('77777'::oid);
	SELECT pg_catalog.binary_upgrade_set_next_pg_type_oid('77778'::oid);
	SELECT pg_catalog.binary_upgrade_set_next_array_pg_type_oid('77779'::oid);
	-- minor releases since 2026 want to be told this, too
	SELECT format('SELECT pg_catalog.%I(ARRAY[''0/1'', ''0/1'']::pg_lsn[])', proname)
	FROM pg_proc WHERE proname = 'binary_upgrade_set_next_attribute_versions'
	\gexec
);
my $create = $oids . 'CREATE FOREIGN TABLE reused (key text, value text) SERVER syncmap;';
sub psql_b
{
	my ($sql) = @_;
	my ($stdout, $stderr);
	IPC::Run::run([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres') ], '<', \$sql, '>', \$stdout, '2>', \$stderr)
	  or die "psql: $stderr";
	chomp $stdout;
	return $stdout;
}
psql_b("BEGIN; $create SELECT syncmap.put('reused', 'k', 'old'); PREPARE TRANSACTION 'reused'");
psql_b("ROLLBACK PREPARED 'reused'");
psql_b($create);
is(psql_b(q(SELECT 'reused'::regclass::oid)), '77777', 'the OID is the same');
is(psql_b(q(SELECT syncmap.count('reused'))), '0', 'a relation that reuses an OID starts with an empty map');
psql_b(q(SELECT syncmap.put('reused', 'k', 'older')));
psql_b('DROP FOREIGN TABLE reused');
psql_b($create);
is(psql_b(q(SELECT syncmap.get('reused', 'k') IS NULL)), 't', 'also after a drop');
system_or_bail('pg_ctl', '-w', '-D', $node->data_dir, '-m', 'fast', 'stop');

done_testing();
