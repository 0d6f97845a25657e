# Eight clients mix all functions over few and over many keys.  Every value
# carries its key and a checksum, so one that is torn or another key's is seen
# (R1); counters add up and permanent keys stay (R2, W4).
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q(
shared_preload_libraries = 'syncmap'
syncmap.memory = 64MB
syncmap.compact_ratio = 5
));
# new keys go into the read index at once, or wait for their promotion
my $promote_ratio = int(rand(2)) * 5;
note "promote_ratio $promote_ratio";
$node->append_conf('postgresql.conf', "syncmap.promote_ratio = $promote_ratio");
$node->start;
$node->safe_psql('postgres', q(
CREATE EXTENSION syncmap;
SELECT syncmap.create('m');
SELECT syncmap.create('counters');

-- key:filler:checksum
CREATE FUNCTION make(key text, size int) RETURNS text LANGUAGE sql IMMUTABLE AS
	$$SELECT v || ':' || md5(v) FROM (SELECT key || ':' || repeat(chr(97 + size % 26), size)) s(v)$$;
-- not in SQL, where inlining could evaluate its arguments more than once
CREATE FUNCTION sane(key text, value text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
	$$BEGIN RETURN value IS NULL OR (split_part(value, ':', 1) = key AND md5(left(value, -33)) = right(value, 32)); END$$;
CREATE FUNCTION must(ok boolean, what text) RETURNS void LANGUAGE plpgsql AS
	$$BEGIN IF ok IS NOT TRUE THEN RAISE 'broken: %', what; END IF; END$$;
SELECT count(*) FROM generate_series(1, 2000) i WHERE syncmap.put('m', 'p' || i, make('p' || i, i));
));

my $script = q(
\set few random(1, 8)
\set many random(1, 20000)
\set stay random(1, 2000)
\set size random(0, 60) * random(0, 60)
\set large random(1, 200)
SELECT must(syncmap.put('m', 'f' || :few, make('f' || :few, :size)) IS NOT NULL, 'put');
SELECT must(sane('f' || :few, syncmap.get('m', 'f' || :few)), 'get');
SELECT must(sane('f' || :few, syncmap.swap('m', 'f' || :few, make('f' || :few, :size))), 'swap');
SELECT must(sane('f' || :few, syncmap.get_and_delete('m', 'f' || :few)), 'get_and_delete');
SELECT must(sane('f' || :few, actual), 'get_or_put') FROM syncmap.get_or_put('m', 'f' || :few, make('f' || :few, :size));
SELECT syncmap.compare_and_swap('m', 'f' || :few, make('f' || :few, :size), make('f' || :few, :size + 1));
SELECT syncmap.compare_and_delete('m', 'f' || :few, make('f' || :few, :size + 1));
SELECT syncmap.put('m', 'm' || :many, make('m' || :many, :size));
SELECT must(sane('m' || :many, syncmap.get('m', 'm' || :many)), 'get of many');
SELECT syncmap.delete('m', 'm' || (:many * 7 % 20000));
SELECT must(syncmap.put_many('m', ARRAY['m' || :many, 'm' || :few], ARRAY[make('m' || :many, :few), make('m' || :few, :size)]) >= 0, 'put_many');
SELECT must(bool_and(sane(k, v)), 'get_many') FROM (SELECT unnest(a) k, unnest(syncmap.get_many('m', a)) v FROM (SELECT ARRAY['m' || :many, 'f' || :few, 'p' || :stay] a) s) t;
SELECT syncmap.delete_many('m', ARRAY['m' || :few, 'm' || :size]);
SELECT must(syncmap.contains('m', 'p' || :stay), 'a key that is never deleted is there');
SELECT must(syncmap.get('m', 'p' || :stay) IS NOT NULL AND sane('p' || :stay, syncmap.get('m', 'p' || :stay)), 'and has its value');
SELECT syncmap.put('m', 'p' || :stay, make('p' || :stay, :size));
SELECT syncmap.increment('counters', 'c' || :few, 3);
SELECT syncmap.increment('counters', 'all');
\if :large = 1
SELECT syncmap.put('m', 'f' || :few, make('f' || :few, :size * 100));
SELECT must(count(*) = count(DISTINCT key) AND bool_and(sane(key, value)) AND count(*) FILTER (WHERE key ~ '^p') = 2000, 'range') FROM syncmap.range('m');
\endif
);
my $file = $node->basedir . '/mix.sql';
append_to_file($file, $script =~ s/\\if :large = 1/\\set is_large :large = 1\n\\if :is_large/r);

my $transactions = $ENV{SYNCMAP_TEST_TRANSACTIONS} || 500;
$node->command_checks_all(
	[ 'pgbench', '-n', '-f', $file, '-c', '8', '-j', '2', '-M', 'prepared', '-t', $transactions,
		'-h', $node->host, '-p', $node->port, 'postgres' ],
	0,
	[qr{processed: ${\($transactions * 8)}/}],
	[qr/^(?!.*(broken|ERROR|aborted))/s],
	"8 clients, $transactions rounds each, find every value whole");

is($node->safe_psql('postgres', q(SELECT syncmap.get('counters', 'all'))), $transactions * 8, 'no increment was lost');
is($node->safe_psql('postgres', q(SELECT sum(value::int) FROM syncmap.range('counters') WHERE key <> 'all')), $transactions * 24, 'nor on several counters');
is($node->safe_psql('postgres', q(SELECT bool_and(sane(key, value)) AND count(*) = syncmap.count('m') FROM syncmap.range('m'))), 't', 'at the end every value is whole, and the count is right');
is($node->safe_psql('postgres', q(SELECT count(*) FROM syncmap.range('m') WHERE key ~ '^p')), '2000', 'every permanent key is there');

$node->stop;
done_testing();
