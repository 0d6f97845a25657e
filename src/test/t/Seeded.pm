# Seeded.pm: what tests with random operations need.  A server with small maps that
# work hard, draws whose seed is SEED, SQL that draws by it, too, and pgbench beside it.
package Seeded;
use strict;
use warnings;
use Exporter 'import';
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw($node $seed start_server below one_of sql seeded start_pgbench finish_pgbench end_test);

our $seed = $ENV{SEED} || int(rand(1_000_000));
srand($seed);
note "SEED=$seed";

our $node;

# Starts the server; its SQL has below and one_of, too.
sub start_server
{
	$node = PostgreSQL::Test::Cluster->new('main');
	$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
	$node->append_conf('postgresql.conf', q(
shared_preload_libraries = 'syncmap'
syncmap.memory = 64MB
syncmap.promote_ratio = 5
syncmap.compact_ratio = 5
syncmap.maintenance_interval = 200ms
client_encoding = UTF8
jit = off
));
	$node->start;
	sql(q(
CREATE EXTENSION syncmap;
CREATE FUNCTION below(n integer) RETURNS integer LANGUAGE sql AS $$SELECT floor(random() * n)::integer$$;
CREATE FUNCTION one_of(VARIADIC a text[]) RETURNS text LANGUAGE plpgsql AS $$BEGIN RETURN a[1 + floor(random() * array_length(a, 1))]; END$$;
));
	return;
}

sub one_of { return $_[int(rand(@_))]; }
sub below { return int(rand($_[0])); }
sub sql { return $node->safe_psql('postgres', $_[0]); }

# Runs SQL whose random() is the seed's; it must raise no error.
sub seeded
{
	my ($what, $script) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', 'SELECT setseed(' . (rand(2) - 1) . ") \\gset\n$script",
		on_error_stop => 1, extra_params => [ '-v', 'ON_ERROR_STOP=1' ]);
	is("$rc $err", '0 ', $what) or diag "SEED=$seed";
	return $out;
}

# Starts pgbench, to be ended by finish_pgbench.
sub start_pgbench
{
	my ($name, $clients, $script) = @_;
	my $file = $node->basedir . "/$name.sql";
	append_to_file($file, $script);
	my %run = (name => $name, out => '', err => '');
	$run{harness} = IPC::Run::start(
		[ 'pgbench', '-n', '-f', $file, '-c', $clients, '-j', '1', '-M', 'prepared', '-T', '120', '--random-seed', $seed,
			'-h', $node->host, '-p', $node->port, 'postgres' ],
		'<', \undef, '>', \$run{out}, '2>', \$run{err});
	return \%run;
}

# Its time is over, as if by -T; it must have met no error.
sub finish_pgbench
{
	my ($run) = @_;
	$run->{harness}->signal('ALRM');
	$run->{harness}->finish;
	my ($transactions) = $run->{out} =~ /actually processed: (\d+)/;
	ok($run->{harness}->result(0) == 0 && $run->{err} !~ /ERROR|aborted/ && $transactions, "writers of $run->{name} met no error")
	  or diag "SEED=$seed\n$run->{out}\n$run->{err}";
	note "$run->{name}: ", $transactions // 'no', ' transactions';
	return;
}

# The last test of each.
sub end_test
{
	unlike(slurp_file($node->logfile), qr/terminated by signal|PANIC|TRAP|XX000/, 'the server stayed up') or diag "SEED=$seed";
	$node->stop;
	done_testing();
	return;
}

1;
