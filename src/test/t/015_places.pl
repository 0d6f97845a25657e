# Places in shared memory: a map takes one with its first key, and not before.
#
# What is attacked: that only what stores takes one of the syncmap.max_maps places, and
# that the first put of a map, by several sessions at once, loses nothing (W4).
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use IPC::Run ();
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->append_conf('postgresql.conf', q(
shared_preload_libraries = 'syncmap'
syncmap.memory = 8MB
syncmap.max_maps = 3
fsync = off
));
$node->start;

# What a script gives, or the error that it meets.
sub sql
{
	my ($rc, $out, $err) = $node->psql('postgres', $_[0], on_error_stop => 1);
	return $err =~ /(ERROR.*)/ ? $1 : $out;
}
sub failure
{
	my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$_[0]", on_error_stop => 0, timeout => 60);
	return $err =~ /(?:ERROR|FATAL):\s+(.*)/s ? $1 : "no error: $out";
}

sql(q(CREATE EXTENSION syncmap;
SELECT syncmap.create('m' || i, ordered => i % 2 = 0, consistent => i % 3 = 0, expires_at => true) FROM generate_series(1, 20) i;
SELECT syncmap.create('race' || i) FROM generate_series(1, 10) i));

# twenty maps, of which none was ever written
my $maps = q(unnest(ARRAY(SELECT 'm' || i FROM generate_series(1, 20) i)::regclass[]) m);
is(sql("SELECT count(*), count(syncmap.get(m, 'k')), sum(syncmap.count(m)) FROM $maps"), '20|0|0', 'get and count look at twenty maps');
is(sql("SELECT bool_or(syncmap.contains(m, 'k')), bool_or(syncmap.delete(m, 'k')), sum(syncmap.delete_many(m, '{a,b}')), count(syncmap.get_and_delete(m, 'k')), bool_or(syncmap.expire(m, 'k', '1 h')) FROM $maps"),
	'f|f|0|0|f', 'so do functions that change or remove what is there');
is(sql("SELECT count(r) FROM $maps, LATERAL syncmap.range(m, consistent => true) r"), '0', 'so do ranges');
is(sql("SELECT count(syncmap.clear(m)) FROM $maps"), '20', 'so does clear');
is(sql(join '; ', map { "SELECT * FROM m$_; SELECT * FROM m$_ WHERE key = 'k'; UPDATE m$_ SET value = 'v'; DELETE FROM m$_ WHERE key > 'a'; ANALYZE m$_; TRUNCATE m$_" } 1 .. 20), '',
	'so do statements');
unlike(sql(join '; ', map { "EXPLAIN SELECT * FROM m$_ ORDER BY key; EXPLAIN INSERT INTO m$_ VALUES ('k', 'v')" } 1 .. 20), qr/ERROR/, 'so does EXPLAIN');
is(sql('SELECT count(*) FROM syncmap.stat_map'), '0', 'none of them has a place');
is(sql('SELECT maps FROM syncmap.stat_memory'), '0', 'nor is any counted');
sql("SET ROLE pg_monitor; SELECT * FROM syncmap.stat_map");

# three are written, and no more
is(sql(join '; ', map { "SELECT syncmap.put('m$_', 'k', 'v')" } 1 .. 3), "t\nt\nt", 'three are written');
like(failure(q(SELECT syncmap.put('m4', 'k', 'v'))), qr/^53400: .*syncmap\.max_maps/s, 'the fourth is one too many');
like(failure($_), qr/^53400: /, s/\n.*//sr . ' is, too')
  for q(INSERT INTO m5 VALUES ('k', 'v')), q(SELECT syncmap.increment('m5', 'n')), q(SELECT syncmap.get_or_put('m5', 'k', 'v')), q(SELECT syncmap.swap('m5', 'k', 'v')),
	q(SELECT syncmap.put_many('m5', '{a,b}', '{1,2}')), "COPY m5 FROM STDIN;\nk\tv\t\\N\n\\.";
is(sql("SELECT count(syncmap.get(m, 'k')), sum(syncmap.count(m)) FROM $maps"), '3|3', 'all twenty can still be read');
is(sql('SELECT count(*) FROM m4'), '0', 'also as a table');
sql('DROP FOREIGN TABLE m1');
is(sql(q(SELECT syncmap.put('m4', 'k', 'v'))), 't', 'a drop makes place for another');
sql('DROP FOREIGN TABLE m2, m3, m4');

# W4: the first put, by eight sessions at once
for my $i (1 .. 10)
{
	my ($ret, $out, $err) = ('', '', '');
	my $file = $node->basedir . "/race$i.sql";
	append_to_file($file, "SELECT syncmap.get('race$i', 'k');\nSELECT syncmap.increment('race$i', 'k'), syncmap.put('race$i', 'c' || :client_id, 'v');\nSELECT 1 / syncmap.count('race$i');\n");
	my $done = IPC::Run::run([ 'pgbench', '-n', '-f', $file, '-c', '8', '-j', '1', '-t', '5', '-h', $node->host, '-p', $node->port, 'postgres' ], '<', \undef, '>', \$out, '2>', \$err);
	ok($done && $err !~ /ERROR|aborted/, "eight sessions write map $i first") or diag $err;
	is(sql("SELECT syncmap.get('race$i', 'k'), syncmap.count('race$i'); DROP FOREIGN TABLE race$i"), '40|9', 'W4: and nothing is lost');
}

$node->stop;
done_testing();
