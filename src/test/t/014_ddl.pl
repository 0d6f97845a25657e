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
	'ALTER FOREIGN TABLE m ADD COLUMN more integer' => qr/^55006: /,
	'ALTER FOREIGN TABLE m DROP COLUMN value' => qr/^55006: /,
	'ALTER FOREIGN TABLE m ALTER value OPTIONS (ADD key \'true\')' => qr/^55006: /,
	'ALTER FOREIGN TABLE m ALTER value OPTIONS (ADD expires \'true\')' => qr/^42804: column "value" of map ".*" cannot have type text$/);
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
		like(failure("$before\nCREATE FOREIGN TABLE $name (key numeric, value text) SERVER syncmap;"), qr/^42804: /,
			"CREATE FOREIGN TABLE $name with a key of type numeric is refused, after $before");
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
	like(failure("$make $statement;"), qr/^55006: /, "$statement is refused");
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
like(failure("$make ALTER TABLE grandparent ADD COLUMN more text;"), qr/^55006: /, 'so is a column');
is(failure("$make ALTER TABLE grandparent RENAME value TO v;"), 'no error: ', 'a name is not');
# ONLY keeps it from the map
is(failure("$make ALTER TABLE ONLY parent ADD CONSTRAINT c CHECK (value <> '') NO INHERIT;"), 'no error: ', 'a constraint that is not inherited is the parent\'s own affair');

# ---------------------------------------------------------------------------
# 3. An order of keys that the queries of the database will not find.

# What a statement is answered with, but for what it does.
sub answer
{
	my ($statement, $database) = @_;
	my ($rc, $out, $err) = $node->psql($database // 'other', $statement);
	return join "\n", map { s/^psql:.*?: //r } split /\n/, $err;
}
sub collation
{
	my ($map, $database) = @_;
	return sql("SELECT attcollation::regcollation FROM pg_attribute WHERE attrelid = '$map'::regclass AND attname = 'key'", $database // 'other');
}
my $ordered = q(SERVER syncmap OPTIONS (ordered 'true'));
sql(q(CREATE DATABASE other TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8'));
sql(q(CREATE EXTENSION syncmap; CREATE EXTENSION postgres_fdw; CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw;
	CREATE DOMAIN label AS text; CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false)), 'other');

# the key of an ordered map is "C" where its statement does not say otherwise
for my $type ('text', 'varchar', 'varchar(20)', 'char(20)', 'pg_catalog.text')
{
	my $answer = answer("CREATE FOREIGN TABLE o1 (value text, key $type NOT NULL) $ordered");
	like($answer, qr/^NOTICE:  column "key" of map "o1" has the collation "C"$/m, "a key of type $type gets the collation \"C\"");
	unlike($answer, qr/WARNING|ERROR/, 'without a warning');
	is(collation('o1'), '"C"', 'and has it');
	is(sql("SELECT attcollation::regcollation FROM pg_attribute WHERE attrelid = 'o1'::regclass AND attname = 'value'", 'other'), '"default"', 'the value keeps that of the database');
	like(sql('EXPLAIN (COSTS OFF) SELECT * FROM o1 WHERE key > \'k\' ORDER BY key', 'other'), qr/Order: key\n  Range:/, 'so its queries find its order');
	sql('DROP FOREIGN TABLE o1', 'other');
}
is(answer("CREATE FOREIGN TABLE o2 (key text COLLATE \"C\", value text) $ordered"), '', 'one that says so gets no notice');
is(answer(q(CREATE FOREIGN TABLE o3 (key text, value text) SERVER syncmap)), '', 'nor does a map that is not ordered');
is(collation('o3'), '"default"', 'which keeps the collation of the database');
is(answer(q(CREATE FOREIGN TABLE o4 (key text, value text) SERVER syncmap OPTIONS (ordered 'false'))), '', 'so does one with ordered false');
is(collation('o4'), '"default"', 'which keeps it, too');
is(answer("CREATE FOREIGN TABLE o_$_ (key $_, value text) $ordered"), '', "keys of type $_ have none") for 'bytea', 'bigint', 'uuid', 'date';
is(answer(q(SELECT syncmap.create('o5', ordered => true))), '', 'syncmap.create says it itself');
is(answer("CREATE FOREIGN TABLE o1 (key text, value text) $ordered", 'postgres'), '', 'a database whose collation is C has no need of it');
is(collation('o1', 'postgres'), '"default"', 'there it stays what it is');
is(answer(q(CREATE FOREIGN TABLE foreign_one (key text, value text) SERVER elsewhere OPTIONS (table_name 'ordered'))), '', 'a table of another wrapper is not touched');
is(collation('foreign_one'), '"default"', 'nor is its collation');
like(answer("CREATE FOREIGN TABLE o_label (key label, value text) $ordered"), qr/^ERROR:  .*cannot have type label/, 'a domain is refused as ever');
like(answer("CREATE FOREIGN TABLE o_none (key nothing, value text) $ordered"), qr/^ERROR:  type "nothing" does not exist/, 'so is a type that is none');
like(answer(q(CREATE FOREIGN TABLE o_none (key text, value text) SERVER nowhere OPTIONS (ordered 'true'))), qr/^ERROR:  server "nowhere" does not exist/, 'so is a server');
like(answer(q(CREATE FOREIGN TABLE o_none (key text, value text) SERVER syncmap OPTIONS (ordered 'perhaps'))), qr/^ERROR:  invalid value for option "ordered"/, 'so is a flag');
is(answer("CREATE FOREIGN TABLE IF NOT EXISTS o3 (key text, value text) $ordered"), 'NOTICE:  relation "o3" already exists, skipping', 'a map that is there already is left alone');
is(collation('o3'), '"default"', 'and has the collation that it had');
like(answer("CREATE FOREIGN TABLE IF NOT EXISTS o6 (key text, value text) $ordered"), qr/^NOTICE:  column "key" of map "o6"/, 'one that is not is made');
# the key is the column with the option, the one of that name, or the first
for my $columns ('sid varchar NOT NULL, sess json NOT NULL, expire timestamp(6) OPTIONS (expires \'true\')', 'value text, key text, more text', 'id text, k text OPTIONS (key \'true\')', 'key text OPTIONS (key \'false\'), k char(3) OPTIONS (key \'on\')',
	'first text, key text OPTIONS (key \'false\')')
{
	like(answer("CREATE FOREIGN TABLE clients ($columns) $ordered"), qr/^NOTICE:  column "(sid|key|k|first)" of map "clients" has the collation "C"\nDETAIL[^\n]*\nHINT[^\n]*$/, "of ($columns)");
	is(sql(q(SELECT string_agg(attname, ' ') FROM pg_attribute WHERE attrelid = 'clients'::regclass AND attcollation = '"C"'::regcollation), 'other'), $columns =~ /^(sid|first)/ ? $1 : $columns =~ /\bk / ? 'k' : 'key', 'and no other');
	sql('DROP FOREIGN TABLE clients', 'other');
}
is(answer("CREATE FOREIGN TABLE clients (n integer, key text OPTIONS (key 'false'), v text) $ordered"), '', 'a map whose key is a number needs none');
# a statement that is kept: by turns in a database of one collation, and again
like(answer("DO \$\$BEGIN FOR i IN 1 .. 3 LOOP CREATE FOREIGN TABLE again (key text, value text) $ordered; PERFORM 1 FROM pg_attribute WHERE attrelid = 'again'::regclass AND attcollation = '\"C\"'::regcollation; IF NOT FOUND THEN RAISE 'not C'; END IF; DROP FOREIGN TABLE again; END LOOP; END\$\$"),
	qr/^NOTICE: [^!]*NOTICE: [^!]*NOTICE: /, 'a statement that is run again does the same again');
# an event trigger sees what is made
sql(q(CREATE FUNCTION seen() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN PERFORM 1 FROM pg_event_trigger_ddl_commands() c JOIN pg_attribute a ON a.attrelid = c.objid AND a.attname = 'key' AND a.attcollation = '"C"'::regcollation; RAISE NOTICE 'seen %', FOUND; END$$;
	CREATE EVENT TRIGGER seen ON ddl_command_end EXECUTE FUNCTION seen()), 'other');
like(answer("CREATE FOREIGN TABLE o7 (key text, value text) $ordered"), qr/^NOTICE:  seen t$/m, 'an event trigger sees it so');
sql('DROP EVENT TRIGGER seen', 'other');

# what says otherwise, or has its columns from elsewhere, is warned, with the line to write
sub warned
{
	my ($statement, $line, $what) = @_;
	my $answer = answer($statement);
	like($answer, qr/^WARNING:  the order of map ".*" is not that of its keys' collation$/m, "$what is warned");
	like($answer, qr/^HINT:  \Q$line\E$/m, "of $what the line to write is shown");
	unlike($answer, qr/NOTICE/, "$what keeps its collation");
}
warned(qq(CREATE FOREIGN TABLE "O 1" (key varchar(7) COLLATE "default", value text) $ordered), q(Use: ALTER FOREIGN TABLE public."O 1" ALTER COLUMN key TYPE character varying(7) COLLATE "C"), 'the database\'s collation, if named,');
warned("CREATE FOREIGN TABLE nd (key text COLLATE any_case, value text) $ordered", 'Use: ALTER FOREIGN TABLE public.nd ALTER COLUMN key TYPE text COLLATE "C"', 'a collation that is not deterministic');
is(answer(q(ALTER FOREIGN TABLE public."O 1" ALTER COLUMN key TYPE character varying(7) COLLATE "C")), '', 'that line ends it');
sql(q(INSERT INTO "O 1" SELECT 'k' || i, i FROM generate_series(1, 9) i), 'other');
warned(q(ALTER FOREIGN TABLE "O 1" ALTER key TYPE varchar(7)), q(Use: ALTER FOREIGN TABLE public."O 1" ALTER COLUMN key TYPE character varying(7) COLLATE "C"), 'an ALTER to the database\'s collation');
is(answer(q(ALTER FOREIGN TABLE public."O 1" ALTER COLUMN key TYPE character varying(7) COLLATE "C")), '', 'the line works while the map holds keys');
is(sql(q(SELECT string_agg(key, ' ') FROM (SELECT key FROM "O 1" WHERE key > 'k7' ORDER BY key) s), 'other'), 'k8 k9', 'which are found');
warned(q(ALTER FOREIGN TABLE o3 OPTIONS (ADD ordered 'true')), 'Use: ALTER FOREIGN TABLE public.o3 ALTER COLUMN key TYPE text COLLATE "C"', 'the option, if it is added later,');
sql('CREATE TABLE parts (key text, value text) PARTITION BY LIST (key); CREATE TABLE parent (key varchar(9), value text)', 'other');
warned("CREATE FOREIGN TABLE hot PARTITION OF parts FOR VALUES IN ('h') $ordered", 'Declare the column, where it is inherited from, as: key text COLLATE "C"', 'a partition');
warned("CREATE FOREIGN TABLE heir () INHERITS (parent) $ordered", 'Declare the column, where it is inherited from, as: key character varying(9) COLLATE "C"', 'what inherits');
like(answer("CREATE FOREIGN TABLE heir2 (key varchar(9), more text) INHERITS (parent) $ordered"), qr/^WARNING:  the order of map "heir2"/m, 'a column that is merged with an inherited one is warned, too');
is(collation('heir2'), '"default"', 'and has the collation that it has there');
# a dump gives a column its options later, so which one is the key is not known yet
unlike(answer("SET check_function_bodies = off; CREATE FOREIGN TABLE restored (key text, value text) $ordered"), qr/WARNING|NOTICE/, 'what a dump makes is not warned');
is(collation('restored'), '"default"', 'and has the collation that the dump says');

# a dump restores each as it was, a partition among them
sql('INSERT INTO parts VALUES (\'h\', \'hot\'); CREATE FOREIGN TABLE o_c (key text, value text) ' . $ordered, 'other');
my $collations = q(SELECT string_agg(attrelid::regclass || '=' || attcollation::regcollation, ' ' ORDER BY attrelid::regclass::text) FROM pg_attribute WHERE attname = 'key' AND attrelid IN (SELECT ftrelid FROM pg_foreign_table));
my $were = sql($collations, 'other');
like($were, qr/hot="default".*o_c="C"/, 'there are maps of both');
my $file = "$PostgreSQL::Test::Utils::tmp_check/other.sql";
$node->command_ok([ 'pg_dump', '-f', $file, '--include-foreign-data=syncmap', 'other' ], 'pg_dump');
sql(q(CREATE DATABASE other_again TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8'));
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', $file, 'other_again' ], 'the dump can be restored');
is(sql($collations, 'other_again'), $were, 'with the collations that there were');
is(sql('SELECT value FROM parts WHERE key = \'h\'', 'other_again'), 'hot', 'and the rows');

# conditions that name "C" are found whatever the column's collation is, and so are prefixes
for my $map ('o3', 'nd')
{
	sql("INSERT INTO $map SELECT 'k' || i, i FROM generate_series(1, 2000) i; INSERT INTO $map VALUES ('K1', 'K'), ('ä', 'a'), ('z', 'z')", 'other');
	my %found = (
		q(key COLLATE "C" > 'k1998' ORDER BY key COLLATE "C") => qr/^k1999 k2 k20/, q(key > 'k1998' COLLATE "C" AND 'k2' COLLATE "C" > key ORDER BY key COLLATE "C") => qr/^k1999$/,
		q(key COLLATE "C" BETWEEN 'k1998' AND 'k1999' ORDER BY key COLLATE "C" DESC) => qr/^k1999 k1998$/, q(key COLLATE "C" >= 'z' ORDER BY key COLLATE "C" LIMIT 1) => qr/^z$/);
	for my $condition (sort keys %found)
	{
		like(sql("EXPLAIN (COSTS OFF) SELECT * FROM $map WHERE $condition", 'other'), qr/Order: key.*\n.*Range:/, "$map: $condition is a range");
		like(sql("SELECT string_agg(key, ' ') FROM (SELECT key FROM $map WHERE $condition) s", 'other'), $found{$condition}, "$map: $condition finds its keys");
	}
	for my $condition (q(key COLLATE "C" = 'k7'), q(key = 'k7' COLLATE "C"), q(key COLLATE "C" = ANY ('{k7,K7,none}')))
	{
		like(sql("EXPLAIN (COSTS OFF) SELECT * FROM $map WHERE $condition", 'other'), qr/Lookup:/, "$map: $condition is a lookup");
		is(sql("SELECT string_agg(key, ' ') FROM $map WHERE $condition", 'other'), 'k7', "$map: $condition finds it");
	}
	like(sql("EXPLAIN (COSTS OFF) SELECT * FROM $map WHERE key COLLATE \"C\" LIKE 'k199_'", 'other'), qr/Range:/, "$map: LIKE under \"C\" is a range");
	is(sql("SELECT count(*) FROM $map WHERE key COLLATE \"C\" LIKE 'k199_'", 'other'), '10', "$map: which finds what it should");
	unlike(sql("EXPLAIN (COSTS OFF) SELECT * FROM $map WHERE key > 'k1998' ORDER BY key", 'other'), qr/Order:|Range:/, "$map: no range by its own collation");
}
like(sql(q(EXPLAIN (COSTS OFF) SELECT * FROM o3 WHERE key LIKE 'k199_'), 'other'), qr/Range:/, 'a prefix in a collation that is deterministic is one of bytes');
is(sql(q(SELECT count(*) FROM o3 WHERE key LIKE 'k199_' AND starts_with(key, 'k19')), 'other'), '10', 'which finds what it should');
like(sql(q(EXPLAIN (COSTS OFF) SELECT * FROM o3 WHERE key LIKE 'k7'), 'other'), qr/Range: \(key = 'k7'::text\)/, 'without a wildcard it is one key');
like(sql(q(EXPLAIN (COSTS OFF) SELECT * FROM o3 WHERE key = 'k7'), 'other'), qr/Lookup:/, 'equality in a collation that is deterministic is a lookup');
unlike(sql(q(EXPLAIN (COSTS OFF) SELECT * FROM nd WHERE key = 'k7'), 'other'), qr/Lookup:|Range:/, 'in one that is not it is none');
is(sql(q(SELECT string_agg(key, ' ' ORDER BY key COLLATE "C") FROM nd WHERE key = 'k1'), 'other'), 'K1 k1', 'and finds all that are equal');

$node->stop;
done_testing();
