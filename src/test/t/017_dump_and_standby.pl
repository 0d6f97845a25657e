# What a dump keeps of expiries, and what a hot standby may write.
#
# What is attacked: a key that never expires does not in a restored map, whose keys do
# unless it is said otherwise; and all transactions of a standby are read-only, but its
# maps are its own, so the functions work there, as they do not in a transaction that is
# read-only on a primary.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1, extra => [ '--encoding=UTF8', '--locale=C' ]);
$primary->append_conf('postgresql.conf', q(
shared_preload_libraries = 'syncmap'
syncmap.memory = 8MB
timezone = 'UTC'
));
$primary->start;

sub primary { return $primary->safe_psql($_[1] // 'postgres', $_[0]); }
# The SQLSTATE and message that a statement fails with.
sub failure
{
	my ($node, $script) = @_;
	my ($ret, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$script", on_error_stop => 0);
	return $err =~ /ERROR:\s+(.*)/ ? $1 : "no error: $out";
}

# ---------------------------------------------------------------------------
# 1. Dumps.

primary(q(
CREATE EXTENSION syncmap;
SELECT syncmap.create('daily', ttl => '1 day', expires_at => true), syncmap.create('plain', expires_at => true, key_type => 'bigint');
SELECT syncmap.put('daily', 'a day', 'v'), syncmap.put('daily', 'an hour', 'v', '1 hour'), syncmap.put('daily', 'made permanent', 'v'), syncmap.expire('daily', 'made permanent', NULL);
INSERT INTO daily VALUES ('stored permanent', 'v', 'infinity');
INSERT INTO daily (key, value) VALUES ('stored', 'v');
SELECT syncmap.put('plain', 1::bigint, 'forever'), syncmap.put('plain', 2::bigint, 'an hour', '1 hour');
INSERT INTO plain VALUES (3, 'infinity', 'infinity');
-- maps whose columns do not fit before their options are there, which a dump gives them one by one
CREATE FOREIGN TABLE data_first (data jsonb, id text OPTIONS (key 'true'), n integer) SERVER syncmap;
CREATE FOREIGN TABLE until_first (until bigint OPTIONS (expires 'ms'), id text OPTIONS (key 'true')) SERVER syncmap;
CREATE FOREIGN TABLE in_ms (id text, v text, expires_at bigint OPTIONS (expires 'ms')) SERVER syncmap;
CREATE FOREIGN TABLE a_value (key jsonb OPTIONS (key 'false'), id text OPTIONS (key 'true'), expires_at date OPTIONS (expires 'false')) SERVER syncmap OPTIONS (ordered 'true');
INSERT INTO data_first VALUES ('{"a": 1}', 'x', 5);
INSERT INTO until_first VALUES (9000000000000, 'x'); INSERT INTO in_ms VALUES ('x', 'v', 9000000000001);
INSERT INTO a_value VALUES ('[1]', 'x', '2026-11-29')));
my $times = q(SELECT key, extract(epoch FROM syncmap.ttl('daily', key))::bigint / 100 BETWEEN 860 AND 864 AS a_day,
		extract(epoch FROM syncmap.ttl('daily', key))::bigint / 100 BETWEEN 30 AND 36 AS an_hour FROM daily ORDER BY key COLLATE "C";
	SELECT key, syncmap.ttl('plain', key) BETWEEN '50 min' AND '1 hour' FROM plain ORDER BY key);
my $are = primary($times);
is($are, "a day|t|f\nan hour|f|t\nmade permanent||\nstored|t|f\nstored permanent||\n1|\n2|t\n3|", 'times to live to compare with');
my $expiries = q(SELECT key, expires_at FROM daily ORDER BY key COLLATE "C"; SELECT key, expires_at FROM plain ORDER BY key);
my $were = primary($expiries);
my $columns = q(SELECT data_first, until_first, in_ms, a_value, syncmap.get('data_first', 'x'), syncmap.ttl('in_ms', 'x') > '0' FROM data_first, until_first, in_ms, a_value);
my $rows = primary($columns);
like($rows, qr/5.*9000000000000.*9000000000001.*2026-11-29.*t/, 'maps of any columns to compare with');
like($were, qr/^made permanent\|infinity$/m, 'a key that never expires reads infinity, where others do by default');
like($were, qr/^1\|$/m, 'and null, where they do not');

for my $format ('plain', 'custom')
{
	my $file = "$PostgreSQL::Test::Utils::tmp_check/permanence.$format";
	primary("CREATE DATABASE restored_$format");
	$primary->command_ok([ 'pg_dump', "--format=$format", '--include-foreign-data=syncmap', '-f', $file, 'postgres' ], "pg_dump, $format");
	if ($format eq 'plain')
	{
		$primary->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', $file, "restored_$format" ], 'the dump can be restored');
	}
	else
	{
		$primary->command_ok([ 'pg_restore', '--exit-on-error', '-d', "restored_$format", $file ], 'the dump can be restored');
	}
	is(primary($expiries, "restored_$format"), $were, "$format: every expiry comes back, and so does that there is none");
	is(primary($times, "restored_$format"), $are, "$format: so does the time that is left");
	is(primary($columns, "restored_$format"), $rows, "$format: every column is what it was");
}

# ---------------------------------------------------------------------------
# 2. A hot standby.

$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby);
sub standby { return $standby->safe_psql('postgres', $_[0]); }

my @calls = (
	[ q(syncmap.put('daily', 'k', '1')), 't' ], [ q(syncmap.get('daily', 'k')), '1' ], [ q(syncmap.swap('daily', 'k', '2')), '1' ],
	[ q((syncmap.get_or_put('daily', 'n', '5')).actual), '5' ], [ q(syncmap.increment('daily', 'n')), '6' ], [ q(syncmap.compare_and_swap('daily', 'k', '2', '3')), 't' ],
	[ q(syncmap.expire('daily', 'k', NULL)), 't' ], [ q(syncmap.put_many('daily', '{a,b,c}', '{1,2,3}')), '3' ], [ q(syncmap.delete_many('daily', '{a,x}')), '1' ],
	[ q(syncmap.delete_range('daily', 'b', 'c')), '1' ], [ q(syncmap.get_and_delete('daily', 'c')), '3' ], [ q(syncmap.compare_and_delete('daily', 'n', '6')), 't' ],
	[ q(syncmap.delete('daily', 'k')), 't' ], [ q(syncmap.put('plain', 7::bigint, 'x'::text)), 't' ], [ q(syncmap.clear('plain')), '' ], [ q(syncmap.count('daily')), '0' ]);
is(standby("SELECT $_->[0]"), $_->[1], "on the standby: $_->[0]") for @calls;
is(standby("BEGIN READ ONLY; SELECT $_->[0]; COMMIT"), $_->[1], "on the standby, in a transaction that says that it is read-only: $_->[0]") for @calls;
is(standby("SET default_transaction_read_only = on; SELECT $_->[0]"), $_->[1], "on the standby, read-only by default: $_->[0]") for @calls[ 0, 2, 12 ];
like(failure($primary, "BEGIN READ ONLY; SELECT $_"), qr/^25006: cannot execute syncmap\.\w+\(\) in a read-only transaction$/, "not on the primary: $_")
  for map { $_->[0] } grep { $_->[0] !~ /syncmap\.(?:get|count)\(/ } @calls;
is(primary('SELECT syncmap.count(\'daily\')'), '5', 'where nothing has changed');

# promoted, it is a primary
$standby->promote;
$standby->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()');
is(standby(q(SELECT syncmap.put('daily', 'k', 'v'))), 't', 'put works after the promotion');
like(failure($standby, q(BEGIN READ ONLY; SELECT syncmap.delete('daily', 'k'))), qr/^25006: cannot execute syncmap\.delete\(\) in a read-only transaction$/,
	'but not in a transaction that is read-only');
is(standby(q(BEGIN READ ONLY; SELECT syncmap.get('daily', 'k'))), 'v', 'get does');

$standby->stop('fast');
$primary->stop('fast');
done_testing();
