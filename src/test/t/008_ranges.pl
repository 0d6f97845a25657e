# Ranges of keys: what a sorted table gives, whatever happens meanwhile.
#
# What is attacked: the order that a map keeps (and its making, and unmaking), the sort
# where there is none, bounds in all types, what the foreign table pushes down; and
# ranges beside writers.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(time);
use Seeded;

my $ranges = $ENV{RANGES} || 40;
note "RANGES=$ranges";
start_server();

# ---------------------------------------------------------------------------
# 1. Random sequences against a sorted table.

sql(q(
-- keys that share prefixes, and those at the ends of their types
CREATE FUNCTION a_key(type text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	key text;
BEGIN
	CASE type
	WHEN 'text' THEN
		key := one_of('', 'a', 'ab', 'abc', 'é', '日本', '😀', 'user:', 'user:1', repeat('p', 60));
		FOR i IN 1 .. below(3) LOOP key := key || one_of('a', 'b', 'é', '日', '~', '😀', '%', '_', E'\\\\', ''''); END LOOP;
	WHEN 'bytea' THEN
		key := '\x' || one_of('', '00', 'ff', 'ffff', '0000', '6161', '80', '5c', '25', repeat('00', 40), repeat('ff', 40));
		FOR i IN 1 .. below(3) LOOP key := key || one_of('00', '01', '61', '7f', '80', 'fe', 'ff'); END LOOP;
	WHEN 'integer' THEN
		key := CASE below(4) WHEN 0 THEN one_of('-2147483648', '2147483647', '-2147483647', '0', '-1', '256', '-256', '65536')
			WHEN 1 THEN ((below(200) - 100) * 65537)::text ELSE (below(300) - 150)::text END;
	WHEN 'bigint' THEN
		key := CASE below(4) WHEN 0 THEN one_of('-9223372036854775808', '9223372036854775807', '0', '-1', '4294967296', '-4294967296', '2147483648')
			WHEN 1 THEN ((below(200) - 100) * 8589934593)::text ELSE (below(300) - 150)::text END;
	WHEN 'uuid' THEN
		key := (one_of('00', 'ff', '80', '7f', 'a0') || one_of('00', 'ff', '80', '7f', '01') || repeat('0', 26) || lpad(to_hex(below(20)), 2, '0'))::uuid::text;
	END CASE;
	RETURN key;
END $$;

CREATE FUNCTION a_value() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN CASE below(15) WHEN 0 THEN repeat(one_of('é', 'ab'), below(10001)) WHEN 1 THEN '' WHEN 2 THEN repeat('v', below(600)) ELSE below(1000)::text END;
END $$;

-- Which keys: as arguments, as conditions for a map, and, written otherwise, for the table.
CREATE TYPE span AS (args text, on_map text, on_table text, bounded boolean, descending boolean, max_rows integer);
CREATE FUNCTION a_span(type text) RETURNS span LANGUAGE plpgsql AS $$
DECLARE
	s span;
	low text := CASE WHEN random() < 0.55 THEN a_key(type) END;
	high text := CASE WHEN random() < 0.55 THEN a_key(type) END;
	prefix text;
	low_in boolean := random() < 0.5;
	high_in boolean := random() < 0.5;
	-- bounds of another width, for the table
	low_type text := type;
	high_type text := type;
	-- and of the key's own type, or text, for the functions
	own boolean := random() < 0.5;
	pattern text;
BEGIN
	IF type IN ('integer', 'bigint') THEN
		IF abs(low::numeric) < 32768 THEN low_type := one_of('smallint', 'integer', 'bigint', type); ELSIF type = 'integer' THEN low_type := one_of('bigint', type); END IF;
		IF abs(high::numeric) < 32768 THEN high_type := one_of('smallint', 'integer', 'bigint', type); ELSIF type = 'integer' THEN high_type := one_of('bigint', type); END IF;
	END IF;
	s := ROW('', 'true', 'true', low IS NOT NULL OR high IS NOT NULL, random() < 0.5, CASE WHEN random() < 0.4 THEN (ARRAY[0, 1, 2, 5, 20, 100000])[1 + below(6)] END);
	IF own THEN
		s.args := format(', low => %L::%s, high => %L::%s', low, type, high, type);
	ELSE
		IF low IS NOT NULL THEN s.args := format(', low => %L', low) || one_of('', '::text'); END IF;
		IF high IS NOT NULL THEN s.args := s.args || format(', high => %L', high) || one_of('', '::text'); END IF;
	END IF;
	IF low_in IS DISTINCT FROM true OR random() < 0.5 THEN s.args := s.args || ', low_inclusive => ' || low_in; END IF;
	IF high_in IS DISTINCT FROM false OR random() < 0.5 THEN s.args := s.args || ', high_inclusive => ' || high_in; END IF;
	IF low IS NOT NULL THEN
		s.on_map := s.on_map || CASE WHEN random() < 0.8 THEN format(' AND x.key %s %L::%s', CASE WHEN low_in THEN '>=' ELSE '>' END, low, low_type)
			ELSE format(' AND %L::%s %s x.key', low, low_type, CASE WHEN low_in THEN '<=' ELSE '<' END) END;
		s.on_table := s.on_table || format(' AND x.key %s %L::%s', CASE WHEN low_in THEN '>=' ELSE '>' END, low, type);
	END IF;
	IF high IS NOT NULL THEN
		s.on_map := s.on_map || CASE WHEN random() < 0.8 THEN format(' AND x.key %s %L::%s', CASE WHEN high_in THEN '<=' ELSE '<' END, high, high_type)
			ELSE format(' AND %L::%s %s x.key', high, high_type, CASE WHEN high_in THEN '>=' ELSE '>' END) END;
		s.on_table := s.on_table || format(' AND x.key %s %L::%s', CASE WHEN high_in THEN '<=' ELSE '<' END, high, type);
	END IF;
	IF type = 'text' AND random() < 0.4 THEN
		prefix := left(a_key(type), one_of('1', '2', '30', '100')::integer);
		pattern := regexp_replace(prefix, '([\\\\%_])', '\\\\\1', 'g') || '%';
		s.on_map := s.on_map || CASE below(4) WHEN 0 THEN format(' AND starts_with(x.key, %L)', prefix) WHEN 1 THEN format(' AND x.key ^@ %L', prefix)
			ELSE format(' AND x.key LIKE %L', pattern) END;
		s.on_table := s.on_table || format(' AND left(x.key, length(%L)) = %L', prefix, prefix);
	ELSIF type = 'bytea' AND random() < 0.4 THEN
		prefix := substring(a_key(type)::bytea FOR one_of('0', '1', '2', '40', '100')::integer)::text;
		pattern := '\x' || regexp_replace(regexp_replace(substr(prefix, 3), '(..)', '\1,', 'g'), '(5c|25|5f),', '5c\1', 'g');
		s.on_map := s.on_map || format(' AND x.key LIKE %L::bytea', replace(pattern, ',', '') || '25');
		s.on_table := s.on_table || format(' AND substring(x.key FOR length(%L::bytea)) = %L::bytea', prefix, prefix);
	END IF;
	IF prefix IS NOT NULL THEN
		s.args := s.args || format(', prefix => %L', prefix);
		s.bounded := true;
	END IF;
	RETURN s;
END $$;

CREATE FUNCTION rows_of(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE format('SELECT count(*) || '' rows: '' || coalesce(string_agg(k || ''='' || CASE WHEN length(v) < 12 THEN v ELSE md5(v) END, '', ''), '''') FROM (%s) s(k, v)', query) INTO result;
	RETURN result;
EXCEPTION WHEN others THEN
	RAISE '% (%), query %', SQLERRM, SQLSTATE, query;
END $$;

CREATE FUNCTION must_be(actual text, expected text, query text, map text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF actual IS DISTINCT FROM expected THEN
		RAISE E'differs, % %: %\nfound    %\nexpected %', map, (SELECT ftoptions FROM pg_foreign_table WHERE ftrelid = map::regclass), query, left(actual, 3000), left(expected, 3000);
	END IF;
END $$;

-- The same changes of the table t_type and of the maps o_type and p_type.
CREATE FUNCTION change(type text, n integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	maps text[] := ARRAY['o_' || type, 'p_' || type];
	t text := 't_' || type;
	m text;
	k text;
	v text;
	s span;
	expected bigint;
	actual bigint;
	query text;
	of_table text;
BEGIN
	FOR i IN 1 .. n LOOP
		k := a_key(type);
		v := a_value();
		CASE one_of('put', 'put', 'put', 'put', 'put', 'put', 'put', 'put', 'put', 'put', 'delete', 'delete', 'insert', 'insert', 'update', 'range', 'delete_where', 'update_where')
		WHEN 'put' THEN
			of_table := format('INSERT INTO %s VALUES (%L, %L) ON CONFLICT (key) DO UPDATE SET value = excluded.value', t, k, v);
			query := format('SELECT syncmap.put($m$%%s$m$, %L, %L)', k, v);
		WHEN 'insert' THEN
			of_table := format('INSERT INTO %s VALUES (%L, %L) ON CONFLICT DO NOTHING', t, k, v);
			query := format('INSERT INTO %%s VALUES (%L, %L) ON CONFLICT DO NOTHING', k, v);
		WHEN 'update' THEN
			of_table := format('UPDATE %s SET value = %L WHERE key = %L', t, v, k);
			query := format('UPDATE %%s SET value = %L WHERE key = %L', v, k);
		WHEN 'delete' THEN
			of_table := format('DELETE FROM %s WHERE key = %L', t, k);
			query := format('SELECT syncmap.delete($m$%%s$m$, %L)', k);
		ELSE
			-- a few of the keys that are in the span
			s := a_span(type);
			s.max_rows := 1 + below(6);
			EXECUTE format('SELECT count(*) FROM %s x WHERE %s', t, s.on_table) INTO expected;
			IF random() < 0.5 AND expected < 10 THEN s.max_rows := NULL; END IF;
			IF s.max_rows IS NULL OR random() < 0.8 THEN
				of_table := format('DELETE FROM %s y WHERE y.key IN (SELECT x.key FROM %s x WHERE %s ORDER BY x.key LIMIT %s)', t, t, s.on_table, coalesce(s.max_rows::text, 'ALL'));
				EXECUTE of_table;
				GET DIAGNOSTICS expected = ROW_COUNT;
				FOREACH m IN ARRAY maps LOOP
					query := format('SELECT syncmap.delete_range(%L%s%s)', m, s.args, coalesce(', max_rows => ' || s.max_rows, ''));
					EXECUTE query INTO actual;
					PERFORM must_be(actual::text, expected::text, query, m);
				END LOOP;
			ELSIF expected < 40 THEN
				of_table := format('UPDATE %s x SET value = %L || x.value WHERE %s', t, left(v, 5), s.on_table);
				EXECUTE of_table;
				FOREACH m IN ARRAY maps LOOP
					query := format('UPDATE %s x SET value = %L || x.value WHERE %s', m, left(v, 5), s.on_map);
					EXECUTE query;
					GET DIAGNOSTICS actual = ROW_COUNT;
					PERFORM must_be(actual::text, expected::text, query, m);
				END LOOP;
			END IF;
			CONTINUE;
		END CASE;
		EXECUTE of_table;
		FOREACH m IN ARRAY maps LOOP
			EXECUTE replace(query, '%s', m);
		END LOOP;
	END LOOP;
END $$;

CREATE SEQUENCE comparisons;
CREATE FUNCTION compare(type text, n integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	m text;
	s span;
	query text;
	expected text;
BEGIN
	FOR i IN 1 .. n LOOP
		s := a_span(type);
		PERFORM set_config('enable_sort', one_of('on', 'off'), true);
		expected := rows_of(format('SELECT x.key::text, x.value FROM t_%s x WHERE %s ORDER BY x.key %s LIMIT %s',
			type, s.on_table, CASE WHEN s.descending THEN 'DESC' END, coalesce(s.max_rows::text, 'ALL')));
		FOREACH m IN ARRAY ARRAY['o_', 'p_'] LOOP
			m := m || type;
			-- in order if anything is asked for
			query := format('SELECT key, value FROM syncmap.range(%L%s%s%s%s)', m, s.args, coalesce(', max_rows => ' || s.max_rows, ''),
				CASE WHEN s.descending THEN ', descending => true' WHEN (NOT s.bounded AND s.max_rows IS NULL) OR random() < 0.5 THEN ', descending => false' ELSE '' END,
				CASE below(3) WHEN 0 THEN ', consistent => true' WHEN 1 THEN ', consistent => false' ELSE '' END);
			PERFORM must_be(rows_of(query), expected, query, m);
			query := format('SELECT x.key::text, x.value FROM %s x WHERE %s ORDER BY x.key %s LIMIT %s',
				m, s.on_map, CASE WHEN s.descending THEN 'DESC' END, coalesce(s.max_rows::text, 'ALL'));
			PERFORM must_be(rows_of(query), expected, query, m);
			PERFORM nextval('comparisons'), nextval('comparisons');
			-- all of it, in no order
			IF s.max_rows IS NULL AND random() < 0.2 THEN
				query := format('SELECT key::text, value FROM (SELECT x.key, x.value FROM %s x WHERE %s OFFSET 0) x ORDER BY x.key %s', m, s.on_map, CASE WHEN s.descending THEN 'DESC' END);
				PERFORM must_be(rows_of(query), expected, query, m);
				query := format('SELECT key::text, value FROM (SELECT key::%s, value FROM syncmap.range(%L) OFFSET 0) x WHERE %s ORDER BY x.key COLLATE "C" %s', type, m, s.on_table, CASE WHEN s.descending THEN 'DESC' END);
				IF type <> 'text' THEN query := replace(query, ' COLLATE "C"', ''); END IF;
				PERFORM must_be(rows_of(query), expected, query, m);
				PERFORM nextval('comparisons'), nextval('comparisons');
			END IF;
		END LOOP;
	END LOOP;
END $$;
));

my $started = time();
my @types = qw(text bytea integer bigint uuid);
my $script = '';
my %ordered;
for my $type (@types)
{
	my $collate = $type eq 'text' ? ' COLLATE "C"' : '';
	$script .= "CREATE TABLE t_$type (key $type$collate PRIMARY KEY, value text);\n";
	for my $map ("o_$type", "p_$type")
	{
		$ordered{$map} = $map =~ /^o/ ? 1 : 0;
		$script .= "CREATE FOREIGN TABLE $map (key $type$collate, value text) SERVER syncmap OPTIONS (shards '"
		  . one_of(1, 4, 16) . "', ordered '$ordered{$map}', consistent '" . below(2) . "', eviction 'none');\n";
	}
}
for my $round (1 .. 8)
{
	for my $type (@types)
	{
		# the order is made and given up, with keys in the map, also by what is rolled back
		for my $map ("o_$type", "p_$type")
		{
			if ($round > 2 && rand() < 0.4)
			{
				$ordered{$map} = 1 - $ordered{$map};
				$script .= "ALTER FOREIGN TABLE $map OPTIONS (SET ordered '$ordered{$map}', SET consistent '" . below(2) . "');\n";
			}
			elsif ($round > 2 && rand() < 0.25)
			{
				$script .= "BEGIN; ALTER FOREIGN TABLE $map OPTIONS (SET ordered '" . (1 - $ordered{$map}) . "');\n"
				  . one_of("SELECT compare('$type', 5) \\gset\nROLLBACK;\n",
					"SELECT change('$type', 20), compare('$type', 5) \\gset\nCOMMIT;\nALTER FOREIGN TABLE $map OPTIONS (SET ordered '$ordered{$map}');\n");
			}
		}
		$script .= 'SELECT change(\'' . $type . '\', ' . ($round == 1 ? 500 : 120) . ") \\gset\n";
		$script .= "SELECT compare('$type', $ranges) \\gset\n";
	}
}
seeded('ranges are those of a sorted table', $script);
cmp_ok(sql('SELECT last_value FROM comparisons'), '>=', $ranges * 8 * 5 * 4, 'all of them were compared');
for my $type (@types)
{
	cmp_ok(sql("SELECT count(*) FROM t_$type"), '>', 40, "with many keys of type $type");
}
note sprintf('part 1: %.1f s, %s comparisons', time() - $started, sql('SELECT last_value FROM comparisons'));

sql(join(';', map { "SELECT syncmap.drop('o_$_'), syncmap.drop('p_$_')" } @types));

# ---------------------------------------------------------------------------
# 2. Beside writers: a key that is there throughout comes exactly once, no key comes
# twice, and what is ordered is.

$started = time();
sql(q(
SELECT syncmap.create('live_ordered', ordered => true, shards => 4, eviction => 'none'), syncmap.create('live_plain', eviction => 'none'),
	syncmap.create('live_turned', shards => 1, eviction => 'none');
-- keys that stay end in 0; others come and go between them
CREATE TABLE stay (key text COLLATE "C" PRIMARY KEY);
INSERT INTO stay SELECT 'k' || lpad(i::text, 5, '0') || '0' FROM generate_series(0, 999) i;
INSERT INTO live_ordered SELECT key, key || ':' FROM stay;
INSERT INTO live_plain SELECT key, key || ':' FROM stay;
INSERT INTO live_turned SELECT key, key || ':' FROM stay;

CREATE FUNCTION churn(i integer, j integer, size integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	k text := 'k' || lpad(i::text, 5, '0');
	m regclass;
BEGIN
	FOREACH m IN ARRAY '{live_ordered, live_plain, live_turned}'::regclass[] LOOP
		FOR n IN 1 .. 9 LOOP
			PERFORM syncmap.put(m, k || n, k || n || ':' || repeat('v', size * n / 4));
			PERFORM syncmap.delete(m, 'k' || lpad(((i + n * 97) % 1000)::text, 5, '0') || j);
		END LOOP;
		PERFORM syncmap.put(m, k || '0', k || '0:' || repeat('v', size));
		IF j < 4 THEN
			PERFORM syncmap.delete_range(m, k || '0', k || '9', low_inclusive => false, high_inclusive => true);
		ELSIF j = 4 AND i % 4 = 0 THEN
			-- growth, and then most of it is dead
			PERFORM syncmap.put(m, k || '5x' || n, k || '5x' || n || ':' || repeat('v', size / 8)) FROM generate_series(1, 1500) n;
			PERFORM syncmap.delete_range(m, prefix => k || '5x');
		END IF;
	END LOOP;
END $$;

CREATE FUNCTION check_live(n integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	m text;
	low text;
	high text;
	low_in boolean;
	high_in boolean;
	descending boolean;
	max_rows integer;
	query text;
	ordered boolean;
	r record;
	expected bigint;
BEGIN
	FOR i IN 1 .. n LOOP
		m := one_of('live_ordered', 'live_plain', 'live_turned');
		low := 'k' || lpad(below(11000)::text, 6, '0');
		high := 'k' || lpad(below(11000)::text, 6, '0');
		IF random() < 0.7 THEN SELECT least(low, high), greatest(low, high) INTO low, high; END IF;
		IF random() < 0.3 THEN low := left(low, 6) || '0'; high := left(high, 6) || '0'; END IF;
		low_in := random() < 0.5;
		high_in := random() < 0.5;
		descending := random() < 0.5;
		max_rows := CASE WHEN random() < 0.3 THEN below(300) END;
		ordered := true;
		CASE below(5)
		WHEN 0, 1 THEN
			query := format('SELECT key, value FROM syncmap.range(%L, %L, %L, %L, %L, NULL, %L, %L, %L)', m, low, high, low_in, high_in, max_rows, descending, random() < 0.3);
		WHEN 2 THEN
			query := format('SELECT key, value FROM %s WHERE key %s %L AND key %s %L ORDER BY key %s LIMIT %s', m, CASE WHEN low_in THEN '>=' ELSE '>' END, low,
				CASE WHEN high_in THEN '<=' ELSE '<' END, high, CASE WHEN descending THEN 'DESC' END, coalesce(max_rows::text, 'ALL'));
		WHEN 3 THEN
			low := 'k00' || below(10);
			high := low || 'z';
			query := format('SELECT key, value FROM %s WHERE key LIKE %L ORDER BY key %s LIMIT %s', m, low || '%', CASE WHEN descending THEN 'DESC' END, coalesce(max_rows::text, 'ALL'));
		ELSE
			ordered := false;
			low := '';
			high := 'z';
			max_rows := NULL;
			query := one_of(format('SELECT key, value FROM %s', m), format('SELECT key, value FROM syncmap.range(%L)', m), format('SELECT key, value FROM syncmap.range(%L, consistent => true)', m));
		END CASE;
		EXECUTE format('SELECT count(*) AS n, count(*) - count(DISTINCT k) AS twice, count(*) FILTER (WHERE length(k) = 7 AND k LIKE ''%%0'') AS stay,
			count(*) FILTER (WHERE NOT (k %s before)) AS disorder, count(*) FILTER (WHERE left(v, length(k) + 1) <> k || '':'') AS others, min(k) AS least, max(k) AS greatest
			FROM (SELECT k, v, lag(k) OVER () AS before FROM (%s OFFSET 0) s(k, v)) s',
			CASE WHEN descending THEN '<' ELSE '>' END, query) INTO r;
		-- of a range with a limit: as far as it goes
		IF r.n = max_rows AND descending THEN low := r.least; low_in := true;
		ELSIF r.n = max_rows THEN high := r.greatest; high_in := true; END IF;
		SELECT count(*) INTO expected FROM stay
			WHERE (key > low OR (key = low AND low_in)) AND (key < high OR (key = high AND high_in)) AND max_rows IS DISTINCT FROM 0;
		IF r.stay <> expected OR r.twice <> 0 OR r.others <> 0 OR r.n > max_rows OR (ordered AND r.disorder <> 0) THEN
			RAISE '%: % (% permanent keys expected)', query, r, expected;
		END IF;
		PERFORM nextval('comparisons');
	END LOOP;
END $$;
ALTER SEQUENCE comparisons RESTART;
));
my $writers = start_pgbench('churn', 2, q(
\set i random(0, 999)
\set j random(1, 9)
\set size random(0, 40) * random(0, 40)
SELECT churn(:i, :j, :size);
));
$script = '';
for my $round (1 .. 12)
{
	$script .= "SELECT check_live($ranges) \\gset\n";
	$script .= "ALTER FOREIGN TABLE live_turned OPTIONS (" . ($round == 1 ? 'ADD' : 'SET') . " ordered '" . ($round % 2) . "');\n";
}
seeded('ranges beside writers are in order, with every key that stays', $script);
finish_pgbench($writers);
cmp_ok(sql(q(SELECT min(promotions + compactions) FROM syncmap.stat_map WHERE relname ~ '^live')), '>', 10, 'keys were promoted, segments compacted');
note sprintf('part 2: %.1f s, %s ranges', time() - $started, sql('SELECT last_value FROM comparisons'));
sql(join(';', map { "SELECT syncmap.drop('live_$_')" } qw(ordered plain turned)));

end_test();
