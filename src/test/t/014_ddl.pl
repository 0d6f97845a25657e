# What looking at DDL costs others, and whether it can be evaded.
#
# What is attacked: the library looks at each CREATE and ALTER of a relation, in all
# databases of the server, and refuses what a map cannot honour.  It must take no lock that
# PostgreSQL does not take, and it must look at the relation that was altered, whatever
# code of users has run meanwhile.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->append_conf('postgresql.conf', q(
shared_preload_libraries = 'syncmap'
syncmap.memory = 4MB
fsync = off
));
$node->start;

sub sql { return $node->safe_psql($_[1] // 'postgres', $_[0]); }

# What statements fail with: SQLSTATE and message.
sub failure
{
	my ($script, $database) = @_;
	my ($rc, $out, $err) = $node->psql($database // 'postgres', "\\set VERBOSITY verbose\n$script", on_error_stop => 0, timeout => 60);
	return $err =~ /(?:ERROR|FATAL):\s+(.*)/ ? $1 : "no error: $out";
}

# ---------------------------------------------------------------------------
# 1. Locks on partitions.

sql('CREATE DATABASE bare');
sql('CREATE EXTENSION syncmap');
for my $database ('postgres', 'bare')
{
	sql(q(
		CREATE TABLE part (a int, b int) PARTITION BY LIST (a);
		CREATE TABLE part1 PARTITION OF part FOR VALUES IN (1);
		CREATE TABLE part2 PARTITION OF part FOR VALUES IN (2) PARTITION BY LIST (b);
		CREATE TABLE part21 PARTITION OF part2 FOR VALUES IN (1);
		CREATE TABLE part3 (a int, b int); CREATE TABLE part4 (a int, b int);
		CREATE TABLE inherited (a int); CREATE TABLE heir () INHERITS (inherited);
		INSERT INTO part VALUES (1, 1), (2, 1)), $database);
	my $locks = q(SELECT coalesce(string_agg(DISTINCT relation::regclass::text, ' '), 'none') FROM pg_locks
		WHERE pid = pg_backend_pid() AND relation IN ('part1'::regclass, 'part2'::regclass, 'part21'::regclass, 'heir'::regclass););
	for my $statement (
		'ALTER TABLE ONLY part ALTER COLUMN b SET STATISTICS 100',
		'ALTER TABLE ONLY part ALTER COLUMN b SET DEFAULT 1',
		'ALTER TABLE part ATTACH PARTITION part3 FOR VALUES IN (3)',
		'ALTER TABLE ONLY inherited ALTER COLUMN a SET STATISTICS 100')
	{
		is(sql("BEGIN; $statement; $locks ROLLBACK", $database), 'none', "$database: $statement locks no partition");
	}

	# where one partition is held by others
	my $holder = $node->background_psql($database);
	$holder->query_safe('BEGIN; LOCK TABLE part1, part21, heir IN ACCESS EXCLUSIVE MODE');
	for my $statement (
		'ALTER TABLE ONLY part ALTER COLUMN b SET STATISTICS 100',
		'ALTER TABLE part ATTACH PARTITION part3 FOR VALUES IN (3)',
		'CREATE TABLE part5 PARTITION OF part FOR VALUES IN (5)',
		'ALTER TABLE part DETACH PARTITION part5',
		'ALTER TABLE ONLY inherited ALTER COLUMN a SET STATISTICS 100',
		'ALTER TABLE part ATTACH PARTITION part4 FOR VALUES IN (4)')
	{
		is(failure("SET lock_timeout = '500ms'; $statement", $database), 'no error: ', "$database: $statement waits for nobody who holds a partition");
	}
	$holder->query_safe('COMMIT');
	$holder->quit;
}

# ---------------------------------------------------------------------------
# 2. Checks that cannot be evaded.

# An event trigger that runs a command, once: what it is, a setting says.
sql(q(
CREATE SCHEMA elsewhere;
CREATE FUNCTION trick() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE
	command text := current_setting('trick.command', true);
BEGIN
	IF command <> '' THEN
		PERFORM set_config('trick.command', '', false);
		EXECUTE command;
	END IF;
END $$;
CREATE EVENT TRIGGER trick ON ddl_command_end EXECUTE FUNCTION trick();
-- code that runs in the middle of a command by itself
CREATE FUNCTION moves(text) RETURNS text LANGUAGE plpgsql AS $$BEGIN PERFORM set_config('search_path', 'elsewhere', false); RETURN $1; END$$;
CREATE FUNCTION moves_too(text) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN PERFORM set_config('search_path', 'elsewhere', false); RETURN true; END$$;
));

# Maps with something in them, made anew for each trial.
my $make = q(
SET client_min_messages = warning;
DROP FOREIGN TABLE IF EXISTS m, m2, child CASCADE;
DROP TABLE IF EXISTS parts, parent, grandparent CASCADE;
DROP SCHEMA elsewhere CASCADE;
CREATE SCHEMA elsewhere;
CREATE TABLE elsewhere.m (key text, value text, x text); CREATE TABLE elsewhere.parts (key text, value text); CREATE TABLE elsewhere.parent (key text, value text);
RESET client_min_messages;
CREATE FOREIGN TABLE m (key text COLLATE "C", value text, expires_at timestamptz) SERVER syncmap;
CREATE TABLE parts (key text COLLATE "C", value text) PARTITION BY LIST (key);
CREATE TABLE rest PARTITION OF parts DEFAULT;
CREATE FOREIGN TABLE hot PARTITION OF parts FOR VALUES IN ('h') SERVER syncmap;
CREATE TABLE grandparent (key text, value text); CREATE TABLE parent () INHERITS (grandparent);
CREATE FOREIGN TABLE child () INHERITS (parent) SERVER syncmap;
INSERT INTO m VALUES ('k', 'v'); INSERT INTO parts VALUES ('h', 'hot'), ('r', 'rest'); INSERT INTO parent VALUES ('p', 'parent'); INSERT INTO child VALUES ('c', 'child');
);
my %tricks = (
	'without a trick' => '',
	'search_path moved to another relation of that name' => q(SET trick.command = 'SET search_path = elsewhere';),
	'search_path moved to nothing' => q(SET trick.command = 'SET search_path = pg_catalog';),
	'a temporary table of that name made' => q(SET trick.command = 'CREATE TEMP TABLE m (key text, value text)';),
	'a temporary view of that name made' => q(SET trick.command = 'CREATE TEMP VIEW m AS SELECT 1 AS key';),
	'the map renamed' => q(SET trick.command = 'ALTER FOREIGN TABLE m RENAME TO m2';),
	'the map moved to another schema' => q(SET trick.command = 'DROP TABLE elsewhere.m; ALTER FOREIGN TABLE m SET SCHEMA elsewhere';));
my %refused = (
	'ALTER FOREIGN TABLE m ADD CONSTRAINT c CHECK (value <> \'\')' => qr/^0A000: map ".*" cannot have a CHECK constraint$/,
	'ALTER TABLE m ADD CHECK (key <> \'\')' => qr/^0A000: map ".*" cannot have a CHECK constraint$/,
	'ALTER FOREIGN TABLE m ALTER value TYPE varchar(3)' => qr/^55006: cannot change the types of map ".*" while it holds keys$/,
	'ALTER FOREIGN TABLE m ALTER key TYPE bytea' => qr/^55006: /,
	'ALTER FOREIGN TABLE m ADD COLUMN more integer' => qr/^42804: /,
	'ALTER FOREIGN TABLE m DROP COLUMN value' => qr/^42804: /,
	'ALTER FOREIGN TABLE m RENAME COLUMN value TO v' => qr/^42804: /,
	'ALTER FOREIGN TABLE m ALTER expires_at SET NOT NULL' => qr/^0A000: map ".*" cannot have NOT NULL/);
for my $trick (sort keys %tricks)
{
	for my $statement (sort keys %refused)
	{
		like(failure("$make $tricks{$trick}\n$statement;"), $refused{$statement}, "$statement is refused, $trick");
	}
}
is(sql("SELECT count(*) FROM pg_constraint WHERE contype = 'c' AND conrelid IN (SELECT ftrelid FROM pg_foreign_table)"), '0', 'no map has a CHECK constraint');

# creations: as a name that something else hides, without an event trigger, too
for my $before ('CREATE TEMP TABLE new (key text, value text);', 'CREATE TEMP VIEW new AS SELECT 1 AS key;', q(SET trick.command = 'SET search_path = elsewhere';),
	q(SET trick.command = 'CREATE TEMP TABLE new ()';), q(SET trick.command = 'ALTER FOREIGN TABLE public.new RENAME TO newer';))
{
	for my $name ('new', 'public.new')
	{
		like(failure("$before\nCREATE FOREIGN TABLE $name (key text, value text CHECK (value <> '')) SERVER syncmap;"), qr/^0A000: map ".*" cannot have a CHECK constraint$/,
			"CREATE FOREIGN TABLE $name with a CHECK is refused, after $before");
		like(failure("$before\nCREATE FOREIGN TABLE $name (key text, value text, more text) SERVER syncmap;"), qr/^42804: /,
			"CREATE FOREIGN TABLE $name with another column is refused, after $before");
		sql('DROP FOREIGN TABLE IF EXISTS new, newer');
	}
}
like(failure(q(CREATE FOREIGN TABLE new (key text, value text, twice text GENERATED ALWAYS AS (value || value) STORED) SERVER syncmap)), qr/^(?:0A000|42804): /, 'a generated column is refused');

# code of users that PostgreSQL runs in the middle of the command: in a DEFAULT, in a CHECK
for my $statement (
	q(ALTER TABLE parts ADD COLUMN more text DEFAULT moves('x')),
	q(ALTER TABLE parts ADD COLUMN more text DEFAULT moves('x'), ADD COLUMN most text),
	q(ALTER TABLE parent ADD COLUMN more text DEFAULT moves('x')))
{
	like(failure("$make $statement;"), qr/^42804: /, "$statement is refused");
}
for my $statement (
	q(ALTER TABLE parts ADD CHECK (moves_too(value))),
	q(ALTER TABLE parent ADD CHECK (moves_too(value))),
	q(ALTER TABLE grandparent ADD CHECK (moves_too(value))))
{
	like(failure("$make $statement;"), qr/^0A000: map ".*" cannot have a CHECK constraint$/, "$statement is refused");
}

# what comes to a map from its parents
for my $statement (
	q(ALTER TABLE parts ADD CHECK (value <> '')), q(ALTER TABLE parent ADD CONSTRAINT c CHECK (value <> '') NOT VALID), q(ALTER TABLE grandparent ADD CHECK (value <> '')), q(ALTER FOREIGN TABLE child ADD CHECK (value <> '')),
	q(DROP FOREIGN TABLE child; ALTER TABLE parent ADD CHECK (value <> ''); CREATE FOREIGN TABLE child () INHERITS (parent) SERVER syncmap),
	q(DROP FOREIGN TABLE hot; ALTER TABLE parts ADD CHECK (value <> ''); CREATE FOREIGN TABLE hot PARTITION OF parts FOR VALUES IN ('h') SERVER syncmap))
{
	like(failure("$make $statement;"), qr/^0A000: map ".*" cannot have a CHECK constraint$/, "$statement is refused");
	like(failure("$make SET trick.command = 'SET search_path = elsewhere';\n$statement;"), qr/^0A000: map ".*" cannot have a CHECK constraint$/, "$statement is refused, search_path moved")
	  unless $statement =~ /DROP/;
}
like(failure("$make ALTER TABLE grandparent ALTER value TYPE varchar;"), qr/^55006: /, 'a type that comes from a parent is refused while the map holds keys');
like(failure("$make ALTER TABLE grandparent RENAME value TO v;"), qr/^42804: /, 'so is a name');
like(failure("$make ALTER TABLE grandparent ADD COLUMN more text;"), qr/^42804: /, 'so is a column');
# ONLY keeps it from the map
is(failure("$make ALTER TABLE ONLY parent ADD CONSTRAINT c CHECK (value <> '') NO INHERIT;"), 'no error: ', 'a constraint that is not inherited is the parent\'s own affair');

# ---------------------------------------------------------------------------
# 3. An order of keys that the queries of the database will not find.

# What a statement warns of.
sub warning
{
	my ($statement, $database) = @_;
	my ($rc, $out, $err) = $node->psql($database, $statement);
	return $err =~ /ERROR/ ? $err : join ' ', $err =~ /^(?:psql:.*?: )?(WARNING|HINT|DETAIL):.*?(COLLATE "C"|$)/mg;
}
sql(q(CREATE DATABASE other TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8'));
sql('CREATE EXTENSION syncmap', 'other');
like(warning(q(CREATE FOREIGN TABLE o1 (key text, value text) SERVER syncmap OPTIONS (ordered 'true')), 'other'), qr/WARNING.*COLLATE "C"/,
	'an ordered map of text without COLLATE "C" gives a warning that names it');
is(warning(q(CREATE FOREIGN TABLE o2 (key text COLLATE "C", value text) SERVER syncmap OPTIONS (ordered 'true')), 'other'), '', 'with COLLATE "C" it gives none');
is(warning(q(CREATE FOREIGN TABLE o3 (key text, value text) SERVER syncmap), 'other'), '', 'nor does a map that is not ordered');
is(warning(q(CREATE FOREIGN TABLE o4 (key text, value text) SERVER syncmap OPTIONS (ordered 'false')), 'other'), '', 'nor one with ordered false');
is(warning(qq(CREATE FOREIGN TABLE o_$_ (key $_, value text) SERVER syncmap OPTIONS (ordered 'true')), 'other'), '', "nor one with keys of type $_") for 'bytea', 'bigint', 'uuid';
is(warning(q(SELECT syncmap.create('o5', ordered => true)), 'other'), '', 'nor does syncmap.create');
is(warning(q(CREATE FOREIGN TABLE o1 (key text, value text) SERVER syncmap OPTIONS (ordered 'true')), 'postgres'), '', 'nor does any in a database whose collation is C');
unlike(sql('EXPLAIN (COSTS OFF) SELECT * FROM o1 ORDER BY key', 'other'), qr/Order: key/, 'the order of that map is not the database\'s');
like(sql('EXPLAIN (COSTS OFF) SELECT * FROM o2 ORDER BY key', 'other'), qr/Order: key/, 'COLLATE "C" makes it so');

$node->stop;
done_testing();
