# Snapshots, one behind the other: each is one moment of its own.
#
# What is attacked: that a consistent range gives the pairs of one moment, where one
# session's snapshot ends while the next one's, which has waited for it, begins.  One
# writer moves one from a number to another, in two steps, so that each moment's sum is
# what it was, or one less.
#
# SECONDS_TORN=n: so long for ranges of numbers, and half as long for each of the others.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep);
use Seeded;

my $seconds = $ENV{SECONDS_TORN} || 10;
note "SECONDS_TORN=$seconds";
start_server(q(
max_connections = 20
));

sql(q(
SELECT syncmap.create('numbers', value_type => 'bigint', eviction => 'none', shards => 64),
	syncmap.create('rows', value_type => 'bigint', eviction => 'none', shards => 64, consistent => true),
	syncmap.create('long', eviction => 'none', shards => 64), syncmap.create('sorted', value_type => 'bigint', eviction => 'none', shards => 64, ordered => true, consistent => true);
SELECT syncmap.put(m, 'k' || i, 100::bigint) FROM generate_series(1, 300) i, unnest('{numbers, rows, sorted}'::regclass[]) m;
SELECT syncmap.put('long', 'k' || i, lpad('100', 1500, '0')) FROM generate_series(1, 300) i;

-- One moves at a time, so nobody else changes the number in between.
CREATE FUNCTION add_long(k text, by integer) RETURNS boolean LANGUAGE plpgsql AS
	$$BEGIN RETURN syncmap.put('long', k, lpad((syncmap.get('long', k)::bigint + by)::text, 1500, '0')); END$$;

CREATE TABLE torn (what text, sum bigint, n bigint);
CREATE FUNCTION check_sum(what text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	s bigint;
	n bigint;
BEGIN
	CASE what
	WHEN 'numbers' THEN SELECT sum(value::bigint), count(*) INTO s, n FROM syncmap.range('numbers', consistent => true);
	WHEN 'rows' THEN SELECT sum(value), count(*) INTO s, n FROM rows;
	WHEN 'long' THEN SELECT sum(value::bigint), count(*) INTO s, n FROM syncmap.range('long', consistent => true);
	WHEN 'sorted' THEN SELECT sum(value), count(*) INTO s, n FROM (SELECT value FROM sorted ORDER BY key) o;
	END CASE;
	IF s NOT IN (29999, 30000) OR n <> 300 THEN
		INSERT INTO torn VALUES (what, s, n);
	END IF;
END $$;
));

sub check_snapshots
{
	my ($what, $for, $add) = @_;
	my $script = "\\set a random(1, 300)\n\\set b random(1, 300)\n" . $add->(':a', -1) . $add->(':b', 1);
	my $writer = start_pgbench("moves_$what", 1, $script);
	my $readers = start_pgbench("ranges_$what", 6, "SELECT check_sum('$what');\n");
	sleep($for);
	finish_pgbench($_) for $readers, $writer;
	my ($ranges) = $readers->{out} =~ /actually processed: (\d+)/;
	my $torn = sql("SELECT count(*) FROM torn WHERE what = '$what'");
	note "$what: $ranges snapshots, $torn with an impossible sum";
	is(sql("SELECT DISTINCT sum, n FROM torn WHERE what = '$what' ORDER BY 1, 2 LIMIT 5"), '',
		"each snapshot of $what is one moment: 300 numbers, 29999 or 30000 together") or diag "SEED=$seed";
	return;
}
sub increment
{
	my ($map) = @_;
	return sub { return "SELECT syncmap.increment('$map', 'k' || $_[0], $_[1]);\n"; };
}
check_snapshots('numbers', $seconds, increment('numbers'));
check_snapshots('rows', $seconds / 2, increment('rows'));
check_snapshots('sorted', $seconds / 2, increment('sorted'));
check_snapshots('long', $seconds / 2, sub { return "SELECT add_long('k' || $_[0], $_[1]);\n"; });

is(sql("SELECT sum(value) FROM rows"), '30000', 'at rest all is there');
end_test();
