# Watched maps on a standby (C5), and after its promotion.
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
max_prepared_transactions = 5
));
$primary->start;
$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;

sub primary { return $primary->safe_psql('postgres', $_[0]); }
sub standby { return $standby->safe_psql('postgres', $_[0]); }
sub replayed { $primary->wait_for_catchup($standby); return; }

primary(q(
	CREATE EXTENSION syncmap;
	CREATE TABLE t (k integer PRIMARY KEY, v text);
	INSERT INTO t SELECT i, 'first' FROM generate_series(1, 10) i;
	SELECT syncmap.create('m', key_type => 'integer', loader => 'SELECT v FROM public.t WHERE k = $1')));
replayed();

# what the standby has stored for itself, before the map is watched
is(standby(q(SELECT syncmap.put('m', 1, 'of the standby'), syncmap.get('m', 1))), 't|of the standby', 'a map that is not watched takes it');
my $session = $standby->background_psql('postgres');
$session->query_safe(q(SELECT syncmap.get('m', 1)));
primary(q(SELECT syncmap.watch('m', 't', 'k')));
replayed();
is(standby(q(SELECT syncmap.get('m', 1))), '', 'C5: once it is watched that is gone');
is($session->query_safe(q(SELECT syncmap.get('m', 1))), '', 'C5: in a session that has seen it, too');

# nothing is stored there
is(standby(q(SELECT syncmap.fetch('m', 1), syncmap.fetch('m', 1), syncmap.get('m', 1))), 'first|first|', 'C5: fetch reads the table each time');
my ($ret, $out, $err) = $standby->psql('postgres', "\\set VERBOSITY verbose\nSELECT syncmap.put('m', 1, 'x')");
like($err, qr/ERROR:  55000: /, 'S3: put is refused');
is(standby(q(SELECT syncmap.put_leased('m', 1, 'x', syncmap.lease('m')))), 'f', 'C5: so is put_leased');
($ret, $out, $err) = $standby->psql('postgres', q(INSERT INTO m VALUES (1, 'x')));
isnt($ret, 0, 'and INSERT');
is(standby(q(SELECT count(*) FROM m)), '0', 'nothing is there');
primary(q(UPDATE t SET v = 'second' WHERE k = 1));
replayed();
is(standby(q(SELECT syncmap.fetch('m', 1))), 'second', 'C5: what was replayed is seen');
is($session->query_safe(q(SELECT syncmap.fetch('m', 1))), 'second', 'C5: in the other session, too');

# whoever may put there gets from the map what he has put, and from fetch what the table has
primary(q(CREATE FOREIGN TABLE free (key integer, value text) SERVER syncmap OPTIONS (loader 'SELECT v FROM public.t WHERE k = $1', unchecked_puts 'true'); SELECT syncmap.watch('free', 't', 'k')));
replayed();
is(standby(q(SELECT syncmap.put('free', 1, 'put'), syncmap.get('free', 1), syncmap.fetch('free', 1))), 't|put|second', 'C5: fetch passes over what is put on a standby');

# a lease of the standby, and what was prepared, outlive the promotion
my $lease = standby(q(SELECT syncmap.lease('m')));
primary(q(BEGIN; UPDATE t SET v = 'prepared' WHERE k = 2; PREPARE TRANSACTION 'p'));
replayed();
$primary->stop;
$standby->promote;
is(standby(qq(SELECT syncmap.put_leased('m', 3, 'x', '$lease'))), 'f', 'C3: a lease of the standby stores nothing');
is(standby(q(SELECT syncmap.fetch('m', 2), syncmap.get('m', 2))), 'first|', 'C3: nothing is stored beside what is prepared');
standby(q(COMMIT PREPARED 'p'));
is(standby(q(SELECT syncmap.fetch('m', 2))), 'prepared', 'C1: the promoted server gives what was committed');
is($session->query_safe(q(SELECT syncmap.fetch('m', 2))), 'prepared', 'C1: in a session from before, too');
is(standby(q(SELECT syncmap.fetch('m', 2); SELECT syncmap.get('m', 2))), "prepared\nprepared", 'and stores it, when nothing is in progress any more');
standby(q(UPDATE t SET v = 'third' WHERE k = 2));
is(standby(q(SELECT syncmap.get('m', 2))), '', 'C1: a change takes it');
is($session->query_safe(q(SELECT syncmap.fetch('m', 2))), 'third', 'C1: and the session from before sees that');
$session->quit;

# the primary goes on, cut off, and gives a lease: what was read there is not what is here
sub spend { return "DO \$\$BEGIN FOR i IN 1 .. $_[0] LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END \$\$"; }
$primary->start;
primary(q(ROLLBACK PREPARED 'p'));
primary(spend(300));
my $lost = primary(q(SELECT syncmap.lease('m')));
$primary->stop;
standby(spend(600));
# places and numbers of leases are those of some that were given here
my @givers = map { $standby->background_psql('postgres') } 1 .. 8;
$_->query_safe(q(SELECT count(syncmap.lease('m')) FROM generate_series(1, 100))) for @givers;
is(standby(qq(SELECT syncmap.put_leased('m', 3, 'x', '$lost'), syncmap.put_leased('m', 3, v, syncmap.lease('m')) FROM t WHERE k = 3)), 'f|t', 'C3: a lease of a server that is lost stores nothing');
$_->quit for @givers;
$standby->stop;

done_testing();
