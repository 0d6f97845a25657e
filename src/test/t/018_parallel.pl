# Parallel plans: snapshots that are one, and what EXPLAIN counts.
#
# What is attacked: a place in a query where a map stands that is consistent has one
# moment, whoever of the processes of a parallel plan reads it; and EXPLAIN ANALYZE counts
# what all of them look up.
use strict;
use warnings;
use Test::More;
use Seeded;

my $queries = $ENV{PARALLEL} || 12;
note "PARALLEL=$queries";
start_server(q(
max_worker_processes = 12
max_parallel_workers = 8
max_parallel_workers_per_gather = 3
parallel_setup_cost = 0
parallel_tuple_cost = 0
min_parallel_table_scan_size = 0
));
# how a plan is made parallel that would not be
my $force = sql(q(SELECT name FROM pg_settings WHERE name IN ('debug_parallel_query', 'force_parallel_mode')));

sql(q(
CREATE TABLE big AS SELECT i, CASE WHEN i % 10 = 0 THEN 'hot' ELSE 'k' || i % 1000 END AS k FROM generate_series(1, 100000) i;
ALTER TABLE big SET (parallel_workers = 3);
ANALYZE big;
SELECT syncmap.create('c', value_type => 'bigint', consistent => true), syncmap.create('o', value_type => 'bigint', consistent => true, ordered => true),
	syncmap.create('p', value_type => 'bigint'), syncmap.create('m');
SELECT syncmap.put(m, 'k' || i, i::bigint) FROM generate_series(0, 999) i, unnest('{c, o, p}'::regclass[]) m;
SELECT syncmap.put(m, 'hot', 0::bigint) FROM unnest('{c, o, p}'::regclass[]) m;
INSERT INTO m SELECT 'k' || i, i FROM generate_series(0, 499) i;
ANALYZE m;
));

# ---------------------------------------------------------------------------
# 1. One place, one moment.  The joins are none by the key itself: these would look it up.

my %joins = (
	'a table' => q(FROM big b JOIN c ON c.key || '' = b.k WHERE b.k = 'hot'),
	'a table in order' => q(FROM big b JOIN (SELECT key, value FROM o WHERE key >= '' ORDER BY key OFFSET 0) c ON c.key || '' = b.k WHERE b.k = 'hot'),
	'an ordered table' => q(FROM big b JOIN o c ON c.key || '' = b.k AND c.key >= 'a' WHERE b.k = 'hot'),
	'a range' => q(FROM big b JOIN (SELECT * FROM syncmap.range('p', consistent => true)) c ON c.key || '' = b.k WHERE b.k = 'hot'),
	'a range with bounds' => q(FROM big b JOIN (SELECT * FROM syncmap.range('p', 'h', 'i', consistent => true)) c ON c.key || '' = b.k WHERE b.k = 'hot'),
	'a subquery' => q(FROM big b CROSS JOIN LATERAL (SELECT value FROM c WHERE c.key || '' = b.k OFFSET 0) c WHERE b.k = 'hot' AND b.i <= 200));
my $writer = start_pgbench('hot', 1, "SELECT syncmap.increment('c', 'hot'), syncmap.increment('o', 'hot'), syncmap.increment('p', 'hot');\n");
for my $join (sort keys %joins)
{
	my $several = 0;
	my $parallel;
	for my $i (1 .. $queries)
	{
		# by a hash table or a sort that each process makes, with the leader's or without;
		# or in a process of its own
		my $set = 'SET ' . join '; SET ', 'enable_nestloop = ' . ($join eq 'a subquery' ? 'on' : 'off'), 'enable_mergejoin = ' . ($i % 3 ? 'off' : 'on'), 'enable_hashjoin = ' . ($i % 3 ? 'on' : 'off'),
		  'parallel_leader_participation = ' . ($i % 2 ? 'on' : 'off'), "$force = " . ($i % 4 ? 'off' : 'on'), "statement_timeout = '60s'";
		$several++ if sql("$set; SELECT count(DISTINCT c.value) $joins{$join}") ne '1';
		$parallel //= sql("$set; EXPLAIN (COSTS OFF) SELECT count(DISTINCT c.value) $joins{$join}") =~ /Gather/ ? 'parallel' : 'not parallel';
	}
	is($several, 0, "$join: one value of a key in one statement");
	note "$several of $queries statements found several, the first plan is $parallel";
}
finish_pgbench($writer);

# ---------------------------------------------------------------------------
# 2. What EXPLAIN says.

# The numbers behind a word in a plan.
sub counted
{
	my ($set, $query) = @_;
	my $plan = sql("$set SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_memoize = off; SET enable_material = off; EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) $query");
	my $launched = $plan =~ /Workers Launched: (\d+)/ ? $1 : 'no';
	my ($lookups) = $plan =~ /Lookups: (\d+)/;
	my ($hits) = $plan =~ /Hits: (\d+)/;
	return ($launched, ($lookups // 'none') . ' ' . ($hits // 'none'), $plan);
}
for my $case (
	[ "SELECT count(m.value) FROM big b JOIN m ON m.key = b.k", '100000 45000' ],
	[ "SELECT count(m.value) FROM big b LEFT JOIN m ON m.key = b.k WHERE b.i <= 20000", '20000 9000' ],
	[ "SELECT count(m.value) FROM big b JOIN m ON m.key = ANY (ARRAY[b.k, 'none']) WHERE b.i <= 1000", '2000 450' ])
{
	my ($query, $expected) = @$case;
	my ($launched, $counts, $plan) = counted('', $query);
	isnt($launched, 'no', 'a parallel plan');
	note "$launched workers";
	is($counts, $expected, "Lookups and Hits of all processes: $query") or diag $plan;
	($launched, $counts, $plan) = counted('SET parallel_leader_participation = off;', $query);
	is($counts, $expected, "the same of workers alone: $query") or diag $plan;
	($launched, $counts, $plan) = counted('SET max_parallel_workers_per_gather = 0;', $query);
	is($counts, $expected, "the same without any: $query") or diag $plan;
}

sub lookup_of
{
	my ($query) = @_;
	my $plan = sql("SET enable_hashjoin = off; SET enable_mergejoin = off; SET max_parallel_workers_per_gather = 0; EXPLAIN (COSTS OFF) $query");
	return $plan =~ /Lookup: (.*)/ ? $1 : $plan;
}
for my $case (
	[ 'SELECT * FROM big b JOIN m ON m.key = b.k', 'b\.k' ], [ 'SELECT * FROM big JOIN m ON m.key = big.k', 'big\.k' ],
	[ q(SELECT * FROM big b JOIN m ON m.key = ANY (ARRAY[b.k, 'x'])), 'ARRAY\[\(*b\.k' ], [ q(SELECT * FROM generate_series(1, 3) i JOIN m ON m.key = 'k' || i), 'i\.i|\bi\b' ])
{
	my ($query, $column) = @$case;
	my $lookup = lookup_of($query);
	ok($lookup =~ $column && $lookup !~ /\$\d/, "EXPLAIN names the column that is looked up: $query") or diag $lookup;
}

end_test();
