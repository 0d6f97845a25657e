# Maps elsewhere: pg_dump, logical replication, pg_upgrade.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $conf = q(
shared_preload_libraries = 'syncmap'
syncmap.memory = 8MB
fsync = off
);
my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(allows_streaming => 'logical');
$node->append_conf('postgresql.conf', $conf);
$node->start;

sub sql { return $node->safe_psql($_[1] // 'postgres', $_[0]); }

# All that a dump is to carry: types, options, owners, privileges, comments.
my $definitions = q(
	SELECT c.oid::regclass, relowner::regrole, relacl, options, obj_description(c.oid, 'pg_class'),
		array_agg(attname || ' ' || format_type(atttypid, atttypmod) || ' ' || attcollation || coalesce(' ' || col_description(c.oid, attnum), '') ORDER BY attnum)
	FROM pg_class c JOIN pg_foreign_table ON ftrelid = c.oid
		CROSS JOIN LATERAL (SELECT array_agg(o ORDER BY o) FROM unnest(ftoptions) o) AS sorted(options)
		JOIN pg_attribute ON attrelid = c.oid AND attnum > 0
	GROUP BY c.oid, relowner, relacl, options ORDER BY relname;
	SELECT srvacl FROM pg_foreign_server WHERE srvname = 'syncmap');
# What is in the maps, as text.
my $contents = q(
	SELECT syncmap.count('app.plain'), syncmap.count('typed');
	SELECT syncmap.get('app.plain', 'a"b' || chr(10)), syncmap.get('app.plain', 'empty') = '';
	SELECT syncmap.get('typed', 1::bigint), syncmap.ttl('typed', 1::bigint) > '50 min', syncmap.get('typed', -2::bigint));

sql(q(
	CREATE ROLE alice; CREATE ROLE bob; CREATE EXTENSION syncmap;
	CREATE SCHEMA app; GRANT ALL ON SCHEMA app, public TO alice;
	GRANT USAGE ON FOREIGN SERVER syncmap TO alice;
	SET ROLE alice;
	SELECT syncmap.create('app.plain');
	SELECT syncmap.create('typed', key_type => 'bigint', value_type => 'jsonb', max_memory => '1MB',
		ttl => '1 hour', shards => 4, eviction => 'none', expires_at => true);
	GRANT SELECT ON typed TO bob; GRANT ALL ON app.plain TO PUBLIC;
	COMMENT ON FOREIGN TABLE typed IS 'a typed map'; COMMENT ON COLUMN typed.key IS 'its key';
	SELECT syncmap.put('app.plain', 'a"b' || chr(10), E'back\\slash\ttab'), syncmap.put('app.plain', 'empty', ''),
		syncmap.put('app.plain', 'k' || i, repeat('v', i)) FROM generate_series(1, 1000) i;
	SELECT syncmap.put('typed', 1::bigint, '{"one": [1]}'::jsonb), syncmap.put('typed', -2::bigint, 'null'::jsonb)));
my $defined = sql($definitions);
my $held = sql($contents);
like($defined, qr/typed\|alice\|.*bob=r.*eviction=none.*a typed map.*key bigint 0 its key.*value jsonb.*expires_at/, 'definitions to compare with');

# pg_dump
sub dump_and_restore
{
	my ($database, @options) = @_;
	my $file = "$PostgreSQL::Test::Utils::tmp_check/$database.sql";
	sql("CREATE DATABASE $database");
	$node->command_ok([ 'pg_dump', '-f', $file, @options, 'postgres' ], "pg_dump @options");
	$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', $file, $database ], "the dump can be restored");
	is(sql($definitions, $database), $defined, 'options, types, comments, owners, and privileges come back');
	return slurp_file($file);
}
unlike(dump_and_restore('bare'), qr/^COPY/m, 'pg_dump leaves out what maps hold');
is(sql($contents, 'bare') =~ s/\n.*//sr, '0|0', 'restored maps are empty');
like(dump_and_restore('filled', '--include-foreign-data=syncmap'), qr/^COPY public\.typed/m, 'unless it is asked for it');
is(sql($contents, 'filled'), $held, 'then all keys, values, and times to live come back');
is(sql($contents), $held, 'R1: and the maps that were dumped have theirs');

# logical replication: a table's trigger fills a map where the table is replicated to
sql(q(
	CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'copied');
	CREATE PUBLICATION pub FOR TABLE t;
	SELECT pg_create_logical_replication_slot('sub', 'pgoutput')));
sql(q(
	CREATE TABLE t (id int PRIMARY KEY, v text);
	CREATE FUNCTION cache() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF TG_OP = 'DELETE' THEN PERFORM syncmap.delete('app.plain', OLD.id::text);
		ELSE PERFORM syncmap.put('app.plain', NEW.id::text, NEW.v);
		END IF;
		RETURN NULL;
	END $$;
	CREATE TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION cache();
	ALTER TABLE t ENABLE ALWAYS TRIGGER cache), 'bare');
sql("CREATE SUBSCRIPTION sub CONNECTION '" . $node->connstr . " dbname=postgres' PUBLICATION pub WITH (create_slot = false)", 'bare');
$node->wait_for_subscription_sync($node, 'sub', 'bare');
is(sql(q(SELECT syncmap.get('app.plain', '1')), 'bare'), 'copied', 'rows that a subscription copies come into a map by a trigger');
sql(q(INSERT INTO t SELECT i, 'new' FROM generate_series(2, 100) i; UPDATE t SET v = 'changed' WHERE id = 50; DELETE FROM t WHERE id = 60));
$node->wait_for_catchup('sub');
is(sql(q(SELECT syncmap.count('app.plain'), syncmap.get('app.plain', '2'), syncmap.get('app.plain', '50'), syncmap.contains('app.plain', '60')), 'bare'),
	'99|new|changed|f', 'W4: so do rows that it applies, as they are changed and deleted');
sql('DROP SUBSCRIPTION sub', 'bare');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|segmentation/i, 'nothing went wrong in the log');

# pg_upgrade, to the same version
SKIP:
{
	my $bin = $node->config_data('--bindir');
	my @missing = grep { !-x "$bin/$_" } 'pg_upgrade', 'vacuumdb';
	skip "pg_upgrade cannot run without @missing", 4 if @missing;

	# it makes a column that was dropped, and drops it
	sql('ALTER FOREIGN TABLE typed DROP expires_at');
	$defined = sql($definitions);

	sql("DROP DATABASE $_") for 'bare', 'filled';
	$node->stop;
	my $new = PostgreSQL::Test::Cluster->new('new');
	$new->init;
	$new->append_conf('postgresql.conf', $conf);
	chdir $PostgreSQL::Test::Utils::tmp_check;
	command_ok(
		[
			'pg_upgrade', '--no-sync', '-b', $bin, '-B', $bin, '-d', $node->data_dir, '-D', $new->data_dir,
			'-p', $node->port, '-P', $new->port, '-s', $new->host
		],
		'pg_upgrade');
	$new->start;
	is($new->safe_psql('postgres', $definitions), $defined, 'the definitions are there after pg_upgrade');
	is($new->safe_psql('postgres', $contents) =~ s/\n.*//sr, '0|0', 'the maps are empty');
	is($new->safe_psql('postgres', q(SELECT syncmap.put('typed', 1::bigint, '{}'::jsonb); SELECT syncmap.get('typed', 1::bigint))), "t\n{}", 'and work');
	$new->stop;
}

done_testing();
