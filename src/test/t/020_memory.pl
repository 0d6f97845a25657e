# What a session takes of its own memory.
#
# What is attacked: ANALYZE of a map keeps a sample of its rows, and nothing else of what
# it has looked at.  How much a session has had at most, Linux tells.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'needs /proc/PID/clear_refs' unless -w '/proc/self/clear_refs';

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->append_conf('postgresql.conf', q(
shared_preload_libraries = 'syncmap'
syncmap.memory = 128MB
autovacuum = off
fsync = off
));
$node->start;
$node->safe_psql('postgres', q(
CREATE EXTENSION syncmap;
SELECT syncmap.create('m', eviction => 'none');
SELECT count(syncmap.put('m', 'k' || i, left(repeat(md5(i::text), 60), 1900))) FROM generate_series(1, 20000) i));

# In kB: what a process has now, and the most that it has had.
sub memory_of
{
	my ($pid) = @_;
	my $status = slurp_file("/proc/$pid/status");
	my ($now) = $status =~ /^VmRSS:\s+(\d+)/m;
	my ($most) = $status =~ /^VmHWM:\s+(\d+)/m;
	return ($now, $most);
}

my $session = $node->background_psql('postgres');
my $pid = $session->query_safe('SELECT pg_backend_pid()');
# shared memory that it looks at counts as the session's: it has looked at all of it before
$session->query_safe("SELECT count(*), sum(length(value)) FROM m");
# rows of just under 2 kB, as a longer one takes memory for 4 kB
for my $case ([ 100, 40 ], [ 1, 2 ])
{
	my ($target, $sample) = @$case;
	$session->query_safe("SET default_statistics_target = $target");
	open(my $refs, '>', "/proc/$pid/clear_refs") or die "clear_refs: $!";
	print $refs "5\n";
	close $refs;
	my ($before) = memory_of($pid);
	$session->query_safe('ANALYZE m');
	my (undef, $most) = memory_of($pid);
	my $took = ($most - $before) / 1024;
	note sprintf('a sample of at most %d MB: %.1f MB', $sample, $took);
	cmp_ok($took, '<', $sample * 1.4 + 3, "ANALYZE with $target as the statistics target takes its sample's memory");
}
is($node->safe_psql('postgres', q(SELECT reltuples FROM pg_class WHERE relname = 'm')), '20000', 'all rows are counted');
$session->quit;

$node->stop;
done_testing();
