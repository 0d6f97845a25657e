# Seeded.pm: what tests with random operations need.  A server with small maps that
# work hard, with promotion for every other seed, draws whose seed is SEED, SQL that draws
# by it, too, and sessions of psql and of pgbench beside it.
package Seeded;
use strict;
use warnings;
use Exporter 'import';
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw($node $seed start_server below one_of sql failure seeded start_psql finish_psql start_pgbench finish_pgbench end_test);

our $seed = $ENV{SEED} || int(rand(1_000_000));
srand($seed);
note "SEED=$seed";

our $node;

# Starts the server, with more settings if there are any; its SQL has below and one_of,
# too, and pairs that tell whether they are whole.
sub start_server
{
	my ($settings) = @_;
	$node = PostgreSQL::Test::Cluster->new('main');
	$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
	$node->append_conf('postgresql.conf', q(
shared_preload_libraries = 'syncmap'
syncmap.memory = 64MB
syncmap.compact_ratio = 5
syncmap.maintenance_interval = 200ms
client_encoding = UTF8
jit = off
log_line_prefix = '%m [%p] %e %q%a '
));
	$node->append_conf('postgresql.conf', 'syncmap.promote_ratio = ' . ($seed % 2 ? 5 : 0));
	$node->append_conf('postgresql.conf', $settings) if defined $settings;
	$node->start;
	sql(q(
CREATE EXTENSION syncmap;
CREATE FUNCTION below(n integer) RETURNS integer LANGUAGE sql AS $$SELECT floor(random() * n)::integer$$;
CREATE FUNCTION one_of(VARIADIC a text[]) RETURNS text LANGUAGE plpgsql AS $$BEGIN RETURN a[1 + floor(random() * array_length(a, 1))]; END$$;
-- key:filler:checksum
CREATE FUNCTION make(key text, size integer) RETURNS text LANGUAGE sql IMMUTABLE AS
	$$SELECT v || ':' || md5(v) FROM (SELECT key || ':' || repeat(chr(97 + size % 26), size)) s(v)$$;
-- not in SQL, where inlining could evaluate its arguments more than once
CREATE FUNCTION sane(key text, value text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
	$$BEGIN RETURN value IS NULL OR (split_part(value, ':', 1) = key AND md5(left(value, -33)) = right(value, 32)); END$$;
CREATE FUNCTION must(ok boolean, what text) RETURNS void LANGUAGE plpgsql AS
	$$BEGIN IF ok IS NOT TRUE THEN RAISE 'broken: %', what; END IF; END$$;
));
	return;
}

sub one_of { return $_[int(rand(@_))]; }
sub below { return int(rand($_[0])); }
sub sql { return $node->safe_psql('postgres', $_[0]); }

# What statements fail with: SQLSTATE, message, and what follows it.
sub failure
{
	my ($script) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$script", on_error_stop => 0, timeout => 60);
	return $err =~ /(?:ERROR|FATAL):\s+(.*)/s ? $1 : "no error: $out";
}

# Runs SQL whose random() is the seed's; it must raise no error.
sub seeded
{
	my ($what, $script) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', 'SELECT setseed(' . (rand(2) - 1) . ") \\gset\n$script",
		on_error_stop => 1, extra_params => [ '-v', 'ON_ERROR_STOP=1' ]);
	is("$rc $err", '0 ', $what) or diag "SEED=$seed";
	return $out;
}

# Starts psql, in a session of that name, to be ended by finish_psql.
sub start_psql
{
	my ($name, $script) = @_;
	my $file = $node->basedir . "/psql_$name.sql";
	my %run = (name => $name, out => '', err => '');
	local $ENV{PGAPPNAME} = $name;
	unlink $file;
	append_to_file($file, $script);
	$run{harness} = IPC::Run::start(
		[ 'psql', '-XAtq', '-v', 'VERBOSITY=sqlstate', '-f', $file, '-h', $node->host, '-p', $node->port, 'postgres' ],
		'<', \undef, '>', \$run{out}, '2>', \$run{err}, IPC::Run::timeout(180));
	return \%run;
}

# Waits for its end.  Returns what it has written, and its errors' SQLSTATEs.
sub finish_psql
{
	my ($run) = @_;
	eval { $run->{harness}->finish; 1 } or do
	{
		diag "$run->{name}: $@";
		$run->{harness}->kill_kill;
	};
	$run->{err} =~ s/^psql:.*?: (?=[A-Z]+: )//mg;
	return wantarray ? ($run->{out}, $run->{err}) : $run->{out};
}

# Starts pgbench, to be ended by finish_pgbench.
sub start_pgbench
{
	my ($name, $clients, $script) = @_;
	my $file = $node->basedir . "/$name.sql";
	append_to_file($file, $script);
	my %run = (name => $name, out => '', err => '');
	local $ENV{PGAPPNAME} = $name;
	$run{harness} = IPC::Run::start(
		[ 'pgbench', '-n', '-f', $file, '-c', $clients, '-j', '1', '-M', 'prepared', '-T', '600', '--random-seed', $seed,
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

# The last test of each.  Processes of the server died as often as they were killed.
sub end_test
{
	my ($kills) = @_;
	my $log = slurp_file($node->logfile);
	my @dead = $log =~ /(terminated by signal.*|terminated by exception.*)/g;
	unlike($log, qr/PANIC|TRAP|\] XX000 /, 'the server met nothing that must not happen') or diag "SEED=$seed";
	is(join("\n", @dead), join("\n", ('terminated by signal 9: Killed') x ($kills // 0)), 'no process died but those that were killed')
	  or diag "SEED=$seed";
	$node->stop;
	done_testing();
	return;
}

1;
