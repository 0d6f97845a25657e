# A hot standby: maps of its own memory, what is replayed, and promotion.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', q(
shared_preload_libraries = 'syncmap'
syncmap.memory = 8MB
syncmap.maintenance_interval = 200ms
max_prepared_transactions = 5
));
$primary->start;
$primary->backup('backup');

my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;

sub primary { return $primary->safe_psql($_[1] // 'postgres', $_[0]); }
sub standby { return $standby->safe_psql($_[1] // 'postgres', $_[0]); }
sub replayed { $primary->wait_for_catchup($standby); return; }

# The SQLSTATE and message that a statement fails with on the standby.
sub failure
{
	my ($ret, $out, $err) = $standby->psql('postgres', "\\set VERBOSITY verbose\n$_[0]", on_error_stop => 0);
	return $err =~ /ERROR:\s+(.*)/ ? $1 : "no error: $out";
}

# How much is free, and statements that make it less.
my $free = 'SELECT free_bytes FROM syncmap.stat_memory';
sub filling { return "SELECT count(syncmap.put('$_[0]', 'k' || i, repeat('v', 1000))) FROM generate_series(1, 2000) i"; }
sub in_use { return $standby->poll_query_until('postgres', "SELECT maps = $_[0] FROM syncmap.stat_memory"); }
sub all_is_free { return $standby->poll_query_until('postgres', "SELECT free_bytes = $_[0] FROM syncmap.stat_memory"); }

primary(q(
	CREATE DATABASE other; CREATE DATABASE doomed; CREATE ROLE reader;
	CREATE EXTENSION syncmap; SELECT syncmap.create('m'); SELECT syncmap.put('m', 'k', 'of the primary')));
primary(q(CREATE EXTENSION syncmap; SELECT syncmap.create('m')), $_) for 'other', 'doomed';
replayed();

# its own memory
my $all = standby($free);
is(standby(q(SELECT syncmap.count('m'))), '0', 'a map of the primary is there on the standby, and empty');
is(standby(q(SELECT syncmap.put('m', 'k', 'of the standby'))), 't', 'put works there');
is(standby(q(SELECT syncmap.get('m', 'k'))), 'of the standby', 'so does get');
is(standby(q(SELECT syncmap.increment('m', 'n'), syncmap.delete('m', 'n'), syncmap.count('m'))), '1|t|1',
	'so do increment, delete, and count');
is(primary(q(SELECT syncmap.get('m', 'k'))), 'of the primary', 'the primary has its own content');
is(standby(q(SELECT syncmap.clear('m'), syncmap.count('m'))), '|0', 'clear works there');
standby(q(SELECT syncmap.put('m', 'k', 'v')));

# S3: what only the primary can do
my $read_only = qr/^25006: cannot execute (?:CREATE|DROP) FOREIGN TABLE in a read-only transaction/;
like(failure(q(SELECT syncmap.create('mine'))), $read_only, 'S3: create is refused there');
like(failure(q(SELECT syncmap.drop('m'))), $read_only, 'S3: drop is refused there');
like(failure($_), qr/^25006: cannot execute \w+ in a read-only transaction/, "S3: $_ is refused there")
  for q(INSERT INTO m VALUES ('a', 'b')), q(UPDATE m SET value = 'b'), 'DELETE FROM m';
is(standby(q(SELECT syncmap.get('m', 'k'))), 'v', 'and nothing has changed');

# S2: privileges, in a session that stays
my $session = $standby->background_psql('postgres', on_error_stop => 0);
$session->query_safe('SET ROLE reader');
sub in_session
{
	$session->{stderr} = '';
	my $out = $session->query(q(SELECT syncmap.get('m', 'k')));
	return $session->{stderr} =~ /(permission denied)/ ? $1 : $out;
}
is(in_session(), 'permission denied', 'S2: a role without privileges reads nothing');
primary('GRANT SELECT ON m TO reader');
replayed();
is(in_session(), 'v', 'a GRANT on the primary holds in an open session of the standby');
primary('REVOKE SELECT ON m FROM reader');
replayed();
is(in_session(), 'permission denied', 'S2: and so does a REVOKE');
$session->quit;

# options
standby(filling('m'));
primary(q(ALTER FOREIGN TABLE m OPTIONS (ADD max_memory '256kB')));
replayed();
is(standby(q(SELECT syncmap.put('m', 'k', 'v'); SELECT max_memory FROM syncmap.stat_map WHERE relname = 'm')), "f\n262144",
	'an option that is altered on the primary holds at the next use')
  or diag(standby('SELECT * FROM syncmap.stat_map'));

# Memory of what is gone.  Nobody calls a function of a map from here on.
standby(filling('m'), 'other');
standby(filling('m'), 'doomed');
cmp_ok(standby($free), '<', $all - 4000000, 'three maps have memory');
primary('DROP DATABASE doomed');
replayed();
ok(in_use(2),
	'M5: the maps of a dropped database are given back');
primary(q(SELECT syncmap.drop('m')), 'other');
replayed();
ok(in_use(1),
	'M5: a map dropped in a database without a session is given back');
primary(q(SELECT syncmap.drop('m')));
replayed();
ok(all_is_free($all), 'M5: so is one in a database whose sessions use no map');

# what the standby has to tell apart
primary(q(SELECT syncmap.create('kept'), syncmap.create('replaced')));
replayed();
standby(q(SELECT syncmap.put('kept', 'k', 'v'), syncmap.put('replaced', 'k', 'v')));
primary(q(BEGIN; SELECT syncmap.drop('kept'); PREPARE TRANSACTION 'drop'));
primary(q(BEGIN; SELECT syncmap.drop('replaced'); SELECT syncmap.create('replaced'); COMMIT));
replayed();
is(standby(q(SELECT syncmap.count('replaced'))), '0', 'a map of the same name is another map');
standby('SELECT pg_sleep(1)');
primary(q(ROLLBACK PREPARED 'drop'));
replayed();
is(standby(q(SELECT syncmap.get('kept', 'k'))), 'v', 'M3: a prepared drop that is rolled back loses nothing');

# promotion, with a drop that was replayed and not looked at yet
sub set_interval
{
	$standby->append_conf('postgresql.conf', "syncmap.maintenance_interval = '$_[0]'");
	$standby->reload;
	$standby->poll_query_until('postgres', "SELECT current_setting('syncmap.maintenance_interval') = '$_[0]'");
	return;
}
$all = standby($free);
primary(q(SELECT syncmap.create('late')), 'other');
replayed();
set_interval('1h');
standby('SELECT pg_sleep(0.5)');
standby(filling('late'), 'other');
primary(q(SELECT syncmap.drop('late')), 'other');
replayed();
$standby->promote;
$standby->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()');
is(standby(q(SELECT syncmap.get('kept', 'k'))), 'v', 'a promoted standby keeps its maps');
cmp_ok(standby($free), '<', $all - 1000000, 'so far also one that is gone');
set_interval('200ms');
ok(all_is_free($all), 'M5: a drop that was replayed before the promotion is noticed after it');
is(standby(q(SELECT 1 FROM syncmap.create('mine'); SELECT syncmap.put('mine', 'k', 'v'))), "1\nt", 'create works after it');
is(standby(q(SELECT syncmap.drop('mine'))), '', 'so does drop');

# a primary: no hook is there when a prepared transaction ends
my $made = q(SELECT 1 FROM syncmap.create('p'); ) . filling('p');
$all = standby($free);
standby("BEGIN; $made; PREPARE TRANSACTION 'create'", 'other');
standby('SELECT pg_sleep(0.5)');
cmp_ok(standby($free), '<', $all - 1000000, 'a prepared map has memory');
standby(q(ROLLBACK PREPARED 'create'), 'other');
ok(all_is_free($all), 'M5: it is given back when its creation is rolled back');
standby("$made; BEGIN; SELECT syncmap.drop('p'); PREPARE TRANSACTION 'drop'", 'other');
standby(q(COMMIT PREPARED 'drop'), 'other');
ok(all_is_free($all), 'M5: so is one that a prepared transaction drops');
standby("$made; BEGIN; SELECT syncmap.drop('p'); PREPARE TRANSACTION 'drop'", 'other');
standby('SELECT pg_sleep(0.5)');
standby(q(ROLLBACK PREPARED 'drop'), 'other');
standby('SELECT pg_sleep(0.5)');
is(standby(q(SELECT syncmap.count('p')), 'other'), '2000', 'M3: one that it does not drop after all loses nothing');

# all that without a word
$standby->stop('fast');
unlike(slurp_file($standby->logfile), qr/PANIC|TRAP|segmentation|reconciler/i, 'the log of the standby is quiet');
$primary->stop('fast');

done_testing();
