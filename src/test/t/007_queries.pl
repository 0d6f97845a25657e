# Random queries on maps find what they find on tables with the same rows.
#
# What is attacked: what the planner is told of a lookup, in conditions, joins of all
# kinds, LATERAL, and sub-selects, under plans of all kinds.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{SEED} || int(rand(1_000_000));
my $queries = $ENV{QUERIES} || 400;
srand($seed);
note "SEED=$seed QUERIES=$queries";

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'syncmap'");
$node->start;

sub one_of { return $_[int(rand(@_))]; }
sub below { return int(rand($_[0])); }

# Keys, and arrays of them: there and not there, of other kinds of integer, null.
sub text_key { return "'k" . below(60) . "'"; }
sub text_keys { return 'ARRAY[' . join(',', map { one_of(text_key(), text_key(), 'NULL') } 1 .. below(6)) . ']::text[]'; }
sub int_key { return (below(65) - 5) . one_of('', '', '::int2', '::int8'); }
sub int_keys { return 'ARRAY[' . join(',', map { one_of(below(65) - 5, 'NULL') } 1 .. below(6)) . ']::' . one_of('int2', 'int4', 'int8') . '[]'; }

# A condition on the row $a, which may also look at the row $outer.  %s is the table.
sub text_condition
{
	my ($a, $outer) = @_;
	my $k = text_key();
	my @conditions = (
		"$a.key = $k", "$k = $a.key", "$a.key = ANY(" . text_keys() . ')', "$a.key IN ($k, " . text_key() . ')',
		"$a.value > $k", "$a.key > $k", "$a.key = $a.value", "NOT ($a.key = $k)", "$a.key IS NOT NULL",
		"$a.key = (SELECT max(value) FROM %s z WHERE z.key = $k)", "EXISTS (SELECT 1 FROM %s z WHERE z.key = $a.value)",
		"$a.key IN (SELECT z.value FROM %s z WHERE z.value > $k)", "($a.key, $a.value) = ($k, " . text_key() . ')',
		"$a.key = 'k' || " . below(60), "$a.key = ANY(ARRAY(SELECT z.value FROM %s z WHERE z.key > $k))", "$a.key = lower($k)");
	push @conditions, ("$a.key = $outer.value", "$a.key = $outer.key", "$outer.value = $a.key",
		"$a.key = ANY(ARRAY[$outer.key, $outer.value])", "$a.key = 'k' || length($outer.value)") x 3 if $outer;
	return one_of(@conditions);
}

sub int_condition
{
	my ($a, $outer) = @_;
	my $n = int_key();
	my @conditions = (
		"$a.key = $n", "$n = $a.key", "$a.key = ANY(" . int_keys() . ')', "$a.key IN ($n, " . int_key() . ')', "$a.key > $n",
		"$a.key = $a.value", "$a.value = $n", "$a.key = 3.0", "$a.key::int8 = $n", "$a.key = (SELECT min(value) FROM %s z WHERE z.key = $n)");
	push @conditions, ("$a.key = $outer.value", "$a.key = $outer.key", "$a.key = $outer.value::int2", "$a.key = $outer.key + 1",
		"$a.key = ANY(ARRAY[$outer.key, $outer.value])") x 3 if $outer;
	return one_of(@conditions);
}

sub condition
{
	my ($type, @rows) = @_;
	my $condition = $type eq 'text' ? text_condition(@rows) : int_condition(@rows);
	return $condition if rand() < 0.65;
	return "($condition) " . one_of('AND', 'AND', 'OR') . ' (' . condition($type, @rows) . ')';
}

sub query
{
	my ($type) = @_;
	my $one = one_of('a.*', 'a.key', 'a.value', 'count(*)', 'a', 'max(a.value)');
	my $two = one_of('a.*, b.*', 'a.key, b.value', 'b.*', 'count(b.value), count(*)', 'a, b');
	my $join = one_of('JOIN', 'LEFT JOIN', 'LEFT JOIN', 'RIGHT JOIN');
	my $where = condition($type, 'a');
	my $on = condition($type, 'b', 'a');
	return one_of(
		"SELECT $one FROM %s a WHERE $where",
		"SELECT $two FROM %s a $join %s b ON $on WHERE $where",
		"SELECT $two FROM %s a FULL JOIN %s b ON b.key = a.value WHERE $where",
		"SELECT a.*, l.* FROM %s a $join LATERAL (SELECT * FROM %s b WHERE $on) l ON true WHERE $where" =~ s/RIGHT JOIN/LEFT JOIN/r,
		"SELECT a.key, (SELECT b.value FROM %s b WHERE b.key = a." . one_of('key', 'value') . ") FROM %s a WHERE $where",
		"SELECT $two FROM %s a, %s b WHERE $on AND ($where)");
}

# text is what t and mt have, int what n and mn have
my $script = q(
CREATE EXTENSION syncmap;
CREATE TABLE t (key text COLLATE "C" PRIMARY KEY, value text);
CREATE TABLE n (key bigint PRIMARY KEY, value integer);
INSERT INTO t SELECT 'k' || i, 'k' || (i * 7 % 50) FROM generate_series(0, 49) i;
INSERT INTO n SELECT i, i * 7 % 55 - 3 FROM generate_series(-5, 49) i;
SELECT syncmap.create('mt'), syncmap.create('mn', key_type => 'bigint', value_type => 'integer');
INSERT INTO mt SELECT * FROM t;
INSERT INTO mn SELECT * FROM n;
CREATE FUNCTION answer(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE format('SELECT count(*) || '' '' || md5(coalesce(string_agg(x::text, ''|'' ORDER BY x::text), '''')) FROM (%s) x', query) INTO result;
	RETURN result;
END $$;
CREATE TABLE answers (query text, of_table text, of_map text);
SET statement_timeout = '1min';
);
for my $i (1 .. $queries)
{
	my $type = one_of('text', 'text', 'int');
	my $query = query($type);
	my ($table, $map) = $type eq 'text' ? ('t', 'mt') : ('n', 'mn');
	my ($of_table, $of_map) = map { $query =~ s/%s/$_/gr } $table, $map;
	$script .= join(' ', map { "SET enable_$_ = " . one_of('on', 'off') . ';' } 'hashjoin', 'mergejoin', 'nestloop', 'material', 'memoize') . "\n"
	  if $i % 20 == 1;
	$script .= "INSERT INTO answers SELECT \$q\$$of_map\$q\$, answer(\$q\$$of_table\$q\$), answer(\$q\$$of_map\$q\$);\n";
}
$node->safe_psql('postgres', $script);

is($node->safe_psql('postgres', 'SELECT count(*) FROM answers'), $queries, 'every query was answered');
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM answers WHERE of_table !~ \'^0 \''), '>', $queries / 3, 'many with rows');
my $wrong = $node->safe_psql('postgres', 'SELECT * FROM answers WHERE of_table <> of_map LIMIT 10');
is($wrong, '', 'maps answer as tables do');
$node->stop;

done_testing();
