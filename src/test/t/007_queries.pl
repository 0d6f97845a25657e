# Random queries on maps find what they find on tables with the same rows.
#
# What is attacked: what the planner is told of a lookup, in conditions, joins of all
# kinds, LATERAL, and sub-selects, under plans of all kinds; and what is taken for a lookup,
# a range, or an order, of keys of each type: compared with other types, at their ends,
# with blanks, in collations, by patterns.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{SEED} || int(rand(1_000_000));
my $queries = $ENV{QUERIES} || 800;
srand($seed);
note "SEED=$seed QUERIES=$queries";

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
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

# Strings of few characters, of which some sort before a blank, so that many are equal, or
# begin with others.
sub string { return join '', map { one_of('a', 'a', 'b', 'B', 'ä', ' ', ' ', "\x01", '%', '_') } 1 .. below(6); }
sub quoted { my $string = shift; $string =~ s/'/''/g; return "'$string'"; }
sub string_literal { return quoted(string()) . one_of('', '', '::text', '::varchar', '::varchar(3)', '::bpchar', '::char(4)', "::text || ' '"); }
sub pattern { return quoted(one_of(string(), string() . '%', 'a%', 'ab_%', 'B%', 'ä%', 'a %')) . one_of('', '', '::text'); }
sub day { return one_of('-infinity', 'infinity', '2026-01-' . (1 + below(9)), '2026-01-0' . (1 + below(9)) . ' ' . one_of('09:00', '12:00:00.4', '23:59:59.6'), '1999-12-31', '4713-11-24 BC'); }
sub moment { my $day = day(); my $type = one_of(@_, @_, 'date', 'timestamp', 'timestamptz', 'timestamptz(0)'); return "$type '$day'"; }
sub small { return "(" . one_of(below(20) - 10, below(20) - 10, -32768, 32767, 256) . ")" . one_of("", "", "::int2", "::int8"); }
sub any_small { return one_of(small(), small(), 32768, -32769, 65535, 65536, '10000000000', '(-10000000000)', '0.5', '3.0'); }

# Keys of the other types: how a column is declared, what a row may have, what it is
# compared with, and what an array's elements are of.
my %kinds = (
	varchar => { key => 'varchar(5) COLLATE "C"', value => 'varchar(7) COLLATE "C"', row => sub { quoted(string()) }, operand => \&string_literal, arrays => [ 'text', 'varchar', 'varchar(2)', 'bpchar' ], string => 1 },
	char => { key => 'char(5) COLLATE "C"', value => 'char(7) COLLATE "C"', row => sub { quoted(string()) }, operand => \&string_literal, arrays => [ 'bpchar', 'char(3)', 'text' ], string => 1 },
	other => { key => 'text COLLATE other', value => 'text COLLATE other', row => sub { quoted(string()) }, operand => \&string_literal, arrays => [ 'text', 'varchar' ], string => 1 },
	small => { key => 'smallint', value => 'integer', row => \&small, operand => \&any_small, arrays => [ 'int2', 'int4', 'int8' ] },
	date => { key => 'date', value => 'timestamp', row => sub { quoted(day()) }, operand => sub { moment('date') }, arrays => [ 'date', 'timestamp' ] },
	moment => { key => 'timestamptz', value => 'date', row => sub { quoted(day()) }, operand => sub { moment('timestamptz') }, arrays => [ 'timestamptz', 'date' ] },
	second => { key => 'timestamp(0)', value => 'timestamp', row => sub { quoted(day()) }, operand => sub { moment('timestamp') }, arrays => [ 'timestamp', 'timestamptz' ] });

sub kind_condition
{
	my ($kind, $a, $outer) = @_;
	my $k = $kinds{$kind};
	my $x = $k->{operand}->();
	my $y = $k->{operand}->();
	my $op = one_of('=', '=', '<', '<=', '>', '>=', '<>');
	my $array = 'ARRAY[' . join(',', map { one_of($k->{row}->(), $k->{row}->(), 'NULL') } 1 .. below(6)) . ']::' . one_of(@{ $k->{arrays} }) . '[]';
	my @conditions = ("$a.key $op $x", "$a.key $op $x", "$x $op $a.key", "$a.key BETWEEN $x AND $y", "$a.key > $x AND $a.key <= $y", "$a.key IN ($x, $y)",
		"$a.key = ANY($array)", "$a.key $op ALL($array)", "$a.value $op $x", "$a.key = $a.value", "$a.key IS NOT DISTINCT FROM $x", "$a.key = (SELECT min(key) FROM %s z WHERE z.key > $x)");
	if ($k->{string})
	{
		my $c = one_of('"C"', '"C"', 'other', '"default"');
		my $p = pattern();
		push @conditions, ("$a.key LIKE $p", "$a.key LIKE $p", "$a.key NOT LIKE $p", "$a.key ILIKE $p", "$a.key ^@ " . quoted(string()), "starts_with($a.key, " . quoted(string()) . ')',
			"$a.key ~ '^a'", "$a.key ~ '^a\{1,2} *\$'", "$a.key COLLATE $c $op $x", "$a.key $op ($x) COLLATE $c", "$a.key COLLATE $c BETWEEN $x AND $y", "$a.key COLLATE $c LIKE $p", "$a.key COLLATE $c = ANY($array)",
			"$a.key::text $op $x", "$a.key::bpchar $op $x", "$a.key::varchar $op $x", "$a.key::varchar(2) $op $x");
	}
	push @conditions, ("$a.key $op $outer.value", "$a.key = $outer.value", "$a.key = $outer.key", "$a.key $op $outer.key", "$a.key = ANY(ARRAY[$outer.value])", "$outer.value = $a.key",
		$k->{string} ? ("$a.key = $outer.value::text", "$a.key = $outer.value::varchar", "$a.key = $outer.value COLLATE \"C\"") : ("$a.key = $outer.value::" . one_of(@{ $k->{arrays} }))) x 2 if $outer;
	return one_of(@conditions);
}

sub condition
{
	my ($type, @rows) = @_;
	my $condition = $kinds{$type} ? kind_condition($type, @rows) : $type eq 'text' ? text_condition(@rows) : int_condition(@rows);
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
	# numbered, so that their order counts; keys have one order
	my $order = one_of('', 'DESC', 'DESC NULLS LAST');
	$order = 'COLLATE ' . one_of('"C"', 'other', '"default"') . " $order" if $kinds{$type} && $kinds{$type}->{string} && rand() < 0.5;
	my $limit = one_of('ALL', 1 + below(5));
	return "SELECT s.*, row_number() OVER () FROM (SELECT a.* FROM %s a WHERE $where ORDER BY a.key $order LIMIT $limit) s" if rand() < ($kinds{$type} ? 0.4 : 0.1);
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
EXCEPTION WHEN OTHERS THEN
	RETURN 'error ' || sqlstate;
END $$;
CREATE TABLE answers (query text, of_table text, of_map text);
SET statement_timeout = '1min';
);
# t_KIND is what m_KIND has, which keeps its keys in order
$script .= "CREATE COLLATION other (provider = icu, locale = 'und'); SET timezone = 'Asia/Kolkata'; SET client_min_messages = error;\n";
for my $kind (sort keys %kinds)
{
	my ($key, $value, $row) = @{ $kinds{$kind} }{ 'key', 'value', 'row' };
	$script .= "CREATE TABLE t_$kind (key $key PRIMARY KEY, value $value); CREATE FOREIGN TABLE m_$kind (key $key, value $value) SERVER syncmap OPTIONS (ordered 'true');\n";
	$script .= "INSERT INTO t_$kind VALUES (" . $row->() . ', ' . $row->() . ") ON CONFLICT DO NOTHING;\n" for 1 .. 60;
	$script .= "INSERT INTO m_$kind SELECT * FROM t_$kind;\n";
}
for my $i (1 .. $queries)
{
	my $type = $i % 2 ? one_of('text', 'text', 'int') : one_of(sort keys %kinds);
	my $query = query($type);
	my ($table, $map) = $kinds{$type} ? ("t_$type", "m_$type") : $type eq 'text' ? ('t', 'mt') : ('n', 'mn');
	my ($of_table, $of_map) = map { $query =~ s/%s/$_/gr } $table, $map;
	$script .= join(' ', map { "SET enable_$_ = " . one_of('on', 'off') . ';' } 'hashjoin', 'mergejoin', 'nestloop', 'material', 'memoize') . "\n"
	  if $i % 20 == 1;
	$script .= "INSERT INTO answers SELECT \$q\$$of_map\$q\$, answer(\$q\$$of_table\$q\$), answer(\$q\$$of_map\$q\$);\n";
}
$node->safe_psql('postgres', $script);

is($node->safe_psql('postgres', 'SELECT count(*) FROM answers'), $queries, 'every query was answered');
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM answers WHERE of_table !~ \'^(0 |error)\''), '>', $queries / 3, 'many with rows');
note $node->safe_psql('postgres', "SELECT concat_ws(' ', substring(query FROM 'm_[a-z]+'), left(of_table, CASE WHEN of_table ~ '^error' THEN 11 ELSE 0 END), count(*)) FROM answers GROUP BY substring(query FROM 'm_[a-z]+'), left(of_table, CASE WHEN of_table ~ '^error' THEN 11 ELSE 0 END) ORDER BY 1");
my $wrong = $node->safe_psql('postgres', 'SELECT * FROM answers WHERE of_table <> of_map LIMIT 10');
is($wrong, '', 'maps answer as tables do');
$node->stop;

done_testing();
