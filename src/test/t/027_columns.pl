# Random statements on maps with several columns do what they do on tables.
#
# What is attacked: rows as one value (row.c, columns.c), in all that SELECT, INSERT, UPDATE,
# and DELETE may do with some of their columns: what is set and what is kept, nulls, values
# that are compressed or large, row triggers, and joins; and that functions see the same rows.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{SEED} || int(rand(1_000_000));
my $statements = $ENV{QUERIES} || 600;
srand($seed);
note "SEED=$seed QUERIES=$statements";

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'syncmap'");
$node->start;

sub one_of { return $_[int(rand(@_))]; }
sub below { return int(rand($_[0])); }

sub key { return "'k" . below(25) . "'"; }
sub number { return one_of('NULL', below(8) - 2, below(8), 2147483647 - below(3)); }
sub string { return one_of('NULL', "''", "'x" . below(5) . "'", 'repeat(\'y\', ' . below(4000) . ')', "md5('" . below(9) . "')"); }
sub numbers { return one_of('NULL', "'{}'", "ARRAY[" . below(5) . ", NULL, " . below(5) . ".50]::numeric[]"); }
sub pair { return one_of('NULL', "ROW(" . number() . ', ' . string() . ')::pair'); }
sub moment { return one_of('NULL', "'infinity'", "'2099-01-0" . (1 + below(9)) . "'"); }
sub flag { return one_of('true', 'false'); }

# What a column may be set to, and what it is compared with; $r: the row's name and a dot.
my %value_of = (
	n => sub { my ($r) = @_; return one_of(number(), "${r}n % 100 + 1", "coalesce(${r}n, 0) % 7", "length(${r}s)") },
	s => sub { my ($r) = @_; return one_of(string(), "left(${r}s, 3)", "${r}k || ${r}n", "coalesce(${r}s, 'none')") },
	a => sub { my ($r) = @_; return one_of(numbers(), "${r}a || 1.5", "array_remove(${r}a, NULL)") },
	p => sub { my ($r) = @_; return one_of(pair(), "ROW(${r}n, ${r}k)::pair") },
	b => sub { my ($r) = @_; return one_of(flag(), "NOT ${r}b", "${r}n IS NULL") },
	u => sub { my ($r) = @_; return one_of(moment(), "${r}u + interval '1 day'") });

sub condition
{
	my ($r) = @_;
	my @conditions = ("${r}k = " . key(), "${r}k = ANY(ARRAY[" . key() . ', ' . key() . '])', "${r}n = " . number(), "${r}n > " . below(6), "${r}s IS NULL",
		"${r}b", "(${r}p).x IS NOT NULL", "${r}a @> ARRAY[1.50]", "${r}k > " . key(), "${r}u < '2099-01-05'", "length(${r}s) > 100", "${r}k = " . key());
	return one_of(@conditions) if rand() < 0.6;
	return '(' . condition($r) . ' ' . one_of('AND', 'OR', 'AND') . ' ' . condition($r) . ')';
}

sub row { my ($k) = @_; return '(' . join(', ', $k, number(), flag(), string(), numbers(), moment(), pair()) . ')'; }

sub returning
{
	my ($r) = @_;
	return ' RETURNING ' . one_of("${r}k", "${r}k, ${r}n, ${r}b", "${r}k, ${r}s, ${r}u", "$r*" =~ s/^\*/*/r, "${r}k, (${r}p).x, ${r}a");
}

# %s is the table.
sub statement
{
	my @columns = grep { rand() < 0.4 } sort keys %value_of;
	@columns = (one_of(keys %value_of)) unless @columns;
	my $sets = join(', ', map { "$_ = " . $value_of{$_}->('m.') } @columns);
	my $where = condition('m.');
	return one_of(
		'INSERT INTO %s VALUES ' . join(', ', map { row("'k$_'") } grep { rand() < 0.15 } 0 .. 24, 99) . ' ON CONFLICT DO NOTHING RETURNING *',
		'INSERT INTO %s (s, k) SELECT ' . string() . ", 'k' || i FROM generate_series(" . below(25) . ', 25) i ON CONFLICT DO NOTHING' . returning(''),
		"UPDATE %s m SET $sets WHERE $where" . returning('m.'),
		"UPDATE %s m SET $sets WHERE $where" . returning('m.'),
		"UPDATE %s m SET $sets WHERE m.k = " . key() . returning('m.'),
		'UPDATE %s m SET p.x = ' . number() . ", a[2] = 9 WHERE $where RETURNING m.k, m.p, m.a",
		'UPDATE %s m SET (n, s) = (SELECT o.n, o.s FROM others o WHERE o.k = m.k) WHERE ' . condition('m.') . returning('m.'),
		"UPDATE %s m SET n = o.n, s = m.s || o.s FROM others o WHERE o.k = m.k AND $where RETURNING m.k, m.n, m.s, o.n",
		"DELETE FROM %s m WHERE $where" . returning('m.'),
		'DELETE FROM %s m USING others o WHERE o.k = m.k AND o.n = ' . number() . " AND $where RETURNING m.k, o.s, m.p",
		"SELECT m.k, m.n, m.a FROM %s m WHERE $where",
		"SELECT m, m.u FROM %s m WHERE $where",
		"SELECT o.k, m.p, m.b FROM others o LEFT JOIN %s m ON m.k = o.k AND m.n = o.n",
		"SELECT count(*), count(m.s), sum(m.n), max(m.u) FROM %s m WHERE $where");
}

my $columns = 'k text %s COLLATE "C", n integer, b boolean NOT NULL DEFAULT false, s text, a numeric[], u timestamptz %s, p pair';
my $script = q(
CREATE EXTENSION syncmap;
CREATE TYPE pair AS (x integer, y text);
) . sprintf("CREATE TABLE t ($columns, PRIMARY KEY (k));\n", '', '')
  . sprintf("CREATE FOREIGN TABLE m ($columns) SERVER syncmap OPTIONS (ordered '%s');\n", "OPTIONS (key 'true')", "OPTIONS (expires 'true')", flag())
  . q(
CREATE TABLE others (k text, n integer, s text);
INSERT INTO others SELECT 'k' || i, i % 4, CASE WHEN i % 3 > 0 THEN 'o' || i END FROM generate_series(0, 24, 2) i;
-- what a statement gives, or how it fails
CREATE FUNCTION answer(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE format('WITH x AS (%s) SELECT count(*) || '' '' || md5(coalesce(string_agg(x::text, ''|'' ORDER BY x::text), '''')) FROM x', statement) INTO result;
	RETURN result;
EXCEPTION WHEN others THEN
	RETURN sqlstate;
END $$;
-- what there is afterwards; infinity is what never expires
CREATE FUNCTION contents(relation regclass) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE format('SELECT md5(string_agg(ROW(k, n, b, s, a, nullif(u, ''infinity''), p)::text, ''|'' ORDER BY k)) FROM %s', relation) INTO result;
	RETURN result;
END $$;
CREATE TABLE answers (id integer, statement text, of_table text, of_map text, table_has text, map_has text);
SET statement_timeout = '1min';
);
for my $i (1 .. $statements)
{
	# infinity and null are the same of a map, so what is read of it is null
	my $statement = statement() =~ s/'infinity'/NULL/gr;
	my ($of_table, $of_map) = map { $statement =~ s/%s/$_/gr } 't', 'm';
	# where a map lets nothing be changed half way, a table takes all of it back
	$script .= "INSERT INTO answers SELECT $i, \$q\$$of_map\$q\$, answer(\$q\$$of_table\$q\$), answer(\$q\$$of_map\$q\$);\n"
	  . "UPDATE answers SET table_has = contents('t'), map_has = contents('m') WHERE id = $i;\n";
	$script .= "TRUNCATE t, m; INSERT INTO t SELECT 'k' || i, i FROM generate_series(0, 24) i; INSERT INTO m SELECT * FROM t;\n" if $i % 40 == 1;
}
$node->safe_psql('postgres', $script);

sub answer { return $node->safe_psql('postgres', shift); }
is(answer('SELECT count(*) FROM answers'), $statements, 'every statement was answered');
cmp_ok(answer("SELECT count(*) FROM answers WHERE of_table !~ '^0 ' AND length(of_table) > 5"), '>', $statements / 3, 'many with rows');
is(answer('SELECT id, statement, of_table, of_map FROM answers WHERE of_table <> of_map ORDER BY id LIMIT 5'), '', 'maps answer as tables do');
is(answer('SELECT id, statement FROM answers WHERE table_has IS DISTINCT FROM map_has ORDER BY id LIMIT 3'), '', 'and hold the same afterwards');

# The functions see the rows that the table shows.
is(answer(q(SELECT count(*) FROM m WHERE syncmap.get('m', k, NULL::m) IS DISTINCT FROM m)), '0', 'get gives the whole row');
is(answer(q(SELECT count(*) FROM syncmap.range('m') r FULL JOIN m ON m.k = r.key WHERE r.value IS DISTINCT FROM m::text)), '0', 'range, too');
$node->stop;

done_testing();
