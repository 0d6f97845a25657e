# Updates in a crowd: none is lost, and none fails without a need.
#
# What is attacked: an UPDATE that computes a value from what it has read, in whatever way,
# either stores it where that still is, or computes it anew, or fails with 40001, if it has
# read the value in a query that is not run again; so a counter has as many as
# statements have succeeded.  One that looks at keys only never fails.
#
# SECONDS_LOST=n: so long for each statement.
use strict;
use warnings;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;
use Seeded;

my $seconds = $ENV{SECONDS_LOST} || 1;
note "SECONDS_LOST=$seconds";
start_server();

sql(q(
SELECT syncmap.create('c', value_type => 'bigint'), syncmap.create('b', expires_at => true), syncmap.create('p'), syncmap.create('q');
CREATE FUNCTION of_row(r c) RETURNS bigint LANGUAGE plpgsql AS $$BEGIN RETURN r.value + 1; END$$;
CREATE FUNCTION stable_next(k text) RETURNS bigint LANGUAGE plpgsql STABLE AS $$BEGIN RETURN syncmap.get('c', k)::bigint + 1; END$$;
CREATE FUNCTION volatile_next(k text) RETURNS bigint LANGUAGE plpgsql AS $$BEGIN RETURN syncmap.get('c', k)::bigint + 1; END$$;
CREATE FUNCTION inlined_next(k text) RETURNS bigint LANGUAGE sql STABLE AS $$SELECT value + 1 FROM c WHERE key = k$$;
CREATE VIEW v AS SELECT key, value AS n FROM c;
));

# Runs a script with four clients.  Returns how many transactions succeeded, how many
# failed to be serialized, and whatever else went wrong.
sub crowd
{
	my ($name, @scripts) = @_;
	my (@files, $out, $err);
	for my $i (0 .. $#scripts)
	{
		my $file = $node->basedir . "/$name.$i.sql";
		append_to_file($file, $scripts[$i]);
		push @files, '-f', $file;
	}
	IPC::Run::run([ 'pgbench', '-n', '-c', '4', '-j', '1', '-T', $seconds, '-M', one_of('simple', 'prepared'), "--random-seed=$seed", @files, '-h', $node->host, '-p', $node->port, 'postgres' ],
		'<', \undef, '>', \$out, '2>', \$err);
	my ($done) = $out =~ /actually processed: (\d+)/;
	my ($failed) = $out =~ /failed transactions: (\d+)/;
	cmp_ok($done // 0, '>', 0, "$name: some succeeded") or diag $err;
	return ($done // 0, $failed // 0, join ' ', grep { /error|FATAL|aborted/i } split /\n/, $err);
}

my %updates = (
	plain => 'UPDATE c SET value = value + 1 WHERE key = \'k\'',
	row => 'UPDATE c SET (value) = (SELECT c.value + 1) WHERE key = \'k\'',
	row_from => 'UPDATE c SET (value) = (SELECT c.value + i FROM generate_series(1, 1) i) WHERE key = \'k\'',
	row_expression => 'UPDATE c SET (value) = ROW (value + 1) WHERE key = \'k\'',
	sublink => 'UPDATE c SET value = (SELECT d.value + 1 FROM c d WHERE d.key = c.key) WHERE key = \'k\'',
	sublink_alone => 'UPDATE c SET value = (SELECT max(d.value) + 1 FROM c d) WHERE key = \'k\'',
	get => 'UPDATE c SET value = syncmap.get(\'c\', key, NULL::bigint) + 1 WHERE key = \'k\'',
	stable => 'UPDATE c SET value = stable_next(key) WHERE key = \'k\'',
	volatile => 'UPDATE c SET value = volatile_next(key) WHERE key = \'k\'',
	inlined => 'UPDATE c SET value = inlined_next(key) WHERE key = \'k\'',
	whole_row => 'UPDATE c SET value = of_row(c) WHERE key = \'k\'',
	cte => 'WITH old AS MATERIALIZED (SELECT value FROM c WHERE key = \'k\') UPDATE c SET value = (SELECT value + 1 FROM old) WHERE key = \'k\'',
	in_cte => 'WITH new AS (UPDATE c SET (value) = (SELECT c.value + 1) WHERE key = \'k\' RETURNING *) SELECT * FROM new',
	view => 'UPDATE v SET n = n + 1',
	join => 'UPDATE c SET value = c.value + i FROM generate_series(1, 1) i WHERE key = \'k\'');
for my $name (sort keys %updates)
{
	sql(q(SELECT syncmap.put('c', 'k', 0::bigint)));
	my ($done, $failed, $err) = crowd($name, "$updates{$name};\n");
	note "$name: $done updates, $failed that failed to be serialized";
	is($err, '', "$name: no other error");
	is(sql(q(SELECT value FROM c)), $done, "$name: no update is lost") or diag "SEED=$seed";
}

# blind ones, beside puts, deletions, and changes of the expiry
my @beside = ("SELECT syncmap.put('b', 'k' || :client_id % 2, 'put', '1 h'), syncmap.put('p', 'k' || :client_id % 2, 'put');\n",
	"SELECT syncmap.expire('b', 'k' || :client_id % 2, '1 h'), syncmap.increment('q', 'n');\n", "SELECT syncmap.delete('b', 'k0'), syncmap.delete('p', 'k0');\n");
my %blind = (
	constant => 'SET value = \'c\' WHERE key = \'k1\'',
	parameter => 'SET value = :client_id::text WHERE key = \'k0\'',
	moment => 'SET value = now()::text WHERE key IN (\'k0\', \'k1\')',
	key => 'SET value = upper(key) WHERE key > \'k\'');
for my $name (sort keys %blind)
{
	my ($done, $failed, $err) = crowd("blind_$name", "UPDATE b $blind{$name};\nUPDATE p $blind{$name};\n", @beside);
	note "$name: $done statements";
	is("$failed $err", '0 ', "an UPDATE that $name decides does not fail");
}
my ($done, $failed, $err) = crowd('blind_delete', "DELETE FROM b WHERE key = 'k1';\nDELETE FROM p WHERE key IN ('k0', 'k1');\n", @beside);
is("$failed $err", '0 ', 'nor does a DELETE by key');

end_test();
