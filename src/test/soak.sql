-- What soak runs: operations on maps, each also done to a table, and the answers
-- compared.
--
-- Clients share the maps, so that they meet in every shard, but each has its own keys
-- ("client:number"), so that the table tells what each answer must be.  In a map that
-- evicts or expires a key may be gone, and no other value may be there.

CREATE EXTENSION syncmap;

SELECT syncmap.create('strong', eviction => 'none', shards => 4),
	syncmap.create('ordered', eviction => 'none', ordered => true, consistent => true, promote_ratio => 0),
	syncmap.create('evicting', max_memory => '2MB', ordered => true),
	syncmap.create('expiring', ttl => '2 s', shards => 2, promote_ratio => 0),
	syncmap.create('alone0', eviction => 'none', promote_ratio => 0), syncmap.create('alone1', eviction => 'none', ordered => true),
	syncmap.create('alone2', eviction => 'none', shards => 1), syncmap.create('alone3');

CREATE UNLOGGED TABLE expected (map text, key text COLLATE "C", value text, PRIMARY KEY (map, key)) WITH (fillfactor = 50);

CREATE FUNCTION below(n integer) RETURNS integer LANGUAGE sql AS $$SELECT floor(random() * n)::integer$$;

-- Text of any length that follows from a number.
CREATE FUNCTION value_of(n bigint) RETURNS text LANGUAGE sql AS $$
	SELECT n || ':' || repeat(chr(97 + (n % 26)::integer), CASE n % 20 WHEN 0 THEN (n % 40000)::integer WHEN 1 THEN (n % 3000)::integer ELSE (n % 60)::integer END)
$$;

-- Raises an error unless an answer is the right one.
CREATE FUNCTION expect(what text, answer text, right_one text, is_weak boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF answer IS DISTINCT FROM right_one AND NOT (is_weak AND answer IS NULL) THEN
		RAISE EXCEPTION '%: answered %, expected %', what, left(answer, 60), left(right_one, 60);
	END IF;
END $$;

-- Of a range of a client's keys: the same pairs, in order.  Of a weak one, some of them.
CREATE FUNCTION expect_range(m text, of_prefix text, backwards boolean, is_consistent boolean, is_weak boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	r record;
BEGIN
	WITH answer AS MATERIALIZED (SELECT key COLLATE "C", value, row_number() OVER () AS n
			FROM syncmap.range(m, prefix => of_prefix, descending => backwards, consistent => is_consistent)),
		rows AS MATERIALIZED (SELECT key, value FROM expected WHERE map = m AND starts_with(key, of_prefix))
	SELECT (SELECT count(*) FROM answer) AS given, (SELECT count(*) FROM rows) AS due,
		(SELECT count(*) FROM answer JOIN rows USING (key) WHERE answer.value = rows.value) AS same,
		(SELECT count(*) FROM (SELECT key, lag(key) OVER (ORDER BY n) AS before FROM answer) s
			WHERE CASE WHEN backwards THEN key >= before ELSE key <= before END) AS disorder INTO r;
	IF r.given <> r.same OR r.disorder > 0 OR (r.given <> r.due AND NOT is_weak) THEN
		RAISE EXCEPTION 'range of % with %: %', m, of_prefix, r;
	END IF;
END $$;

CREATE FUNCTION step(client integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	m text := (ARRAY['strong', 'ordered', 'evicting', 'expiring', 'alone' || client])[1 + below(5)];
	is_weak boolean := m IN ('evicting', 'expiring') OR m = 'alone3';
	k text := client || ':' || below(CASE WHEN random() < 0.5 THEN 20 ELSE 3000 END);
	-- of what the table has
	old text;
	was boolean;
	new text := value_of(below(1000000));
	answer text;
	other text;
	yes boolean;
BEGIN
	SELECT value INTO old FROM expected WHERE map = m AND key = k;
	was := old IS NOT NULL;
	-- a weak map may have lost it: then all goes on from there
	IF is_weak AND was AND below(2) = 0 AND NOT syncmap.contains(m, k) THEN
		DELETE FROM expected WHERE map = m AND key = k;
		old := NULL;
		was := false;
	END IF;

	CASE below(14)
	WHEN 0, 1, 2 THEN
		yes := syncmap.put(m, k, new);
		PERFORM expect('put', yes::text, (NOT was)::text, false) WHERE NOT is_weak;
	WHEN 3 THEN
		yes := syncmap.delete(m, k);
		PERFORM expect('delete', NULLIF(yes, false)::text, NULLIF(was, false)::text, is_weak);
		new := NULL;
	WHEN 4 THEN
		SELECT g.actual, g.loaded INTO answer, yes FROM syncmap.get_or_put(m, k, new) g;
		IF NOT yes AND is_weak THEN old := NULL; END IF;
		new := coalesce(old, new);
		PERFORM expect('get_or_put', answer, new, false);
		PERFORM expect('get_or_put loaded', yes::text, (old IS NOT NULL)::text, false);
	WHEN 5 THEN
		answer := syncmap.get_and_delete(m, k);
		PERFORM expect('get_and_delete', answer, old, is_weak);
		new := NULL;
	WHEN 6 THEN
		answer := syncmap.swap(m, k, new);
		PERFORM expect('swap', answer, old, is_weak);
	WHEN 7 THEN
		other := CASE WHEN random() < 0.7 THEN coalesce(old, 'nothing') ELSE 'something else' END;
		yes := syncmap.compare_and_swap(m, k, other, new);
		PERFORM expect('compare_and_swap', NULLIF(yes, false)::text, NULLIF(coalesce(other = old, false), false)::text, is_weak);
		IF NOT yes THEN new := old; END IF;
	WHEN 8 THEN
		yes := syncmap.compare_and_delete(m, k, coalesce(old, 'nothing'));
		PERFORM expect('compare_and_delete', NULLIF(yes, false)::text, NULLIF(was, false)::text, is_weak);
		new := NULL;
	WHEN 9 THEN
		k := client || ':n' || below(20);
		SELECT value INTO old FROM expected WHERE map = m AND key = k;
		answer := syncmap.increment(m, k, 3);
		new := answer;
		PERFORM expect('increment', answer, (coalesce(old::bigint, 0) + 3)::text, false) WHERE NOT is_weak;
	WHEN 10 THEN
		EXECUTE format('INSERT INTO %I (key, value) VALUES ($1, $2) ON CONFLICT DO NOTHING', m) USING k, new;
		new := coalesce(CASE WHEN is_weak THEN syncmap.get(m, k) ELSE old END, new);
	WHEN 11 THEN
		EXECUTE format('UPDATE %I SET value = $2 WHERE key = $1 RETURNING value', m) INTO answer USING k, new;
		PERFORM expect('UPDATE', answer, CASE WHEN was THEN new END, is_weak);
		new := answer;
	WHEN 12 THEN
		PERFORM expect_range(m, client || ':' || CASE WHEN random() < 0.7 THEN below(30)::text ELSE '' END, random() < 0.5, random() < 0.3, is_weak);
		new := old;
	ELSE
		-- a map of its own may be cleared
		IF m = 'alone' || client AND below(50) = 0 THEN
			PERFORM syncmap.clear(m);
			DELETE FROM expected WHERE map = m;
			old := NULL;
		END IF;
		new := old;
	END CASE;

	IF new IS NULL THEN
		DELETE FROM expected WHERE map = m AND key = k;
	ELSE
		INSERT INTO expected VALUES (m, k, new) ON CONFLICT (map, key) DO UPDATE SET value = EXCLUDED.value;
	END IF;
	PERFORM expect('get', syncmap.get(m, k), new, is_weak);
END $$;

-- What administrators and others do beside it.
CREATE FUNCTION disturb() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	CASE below(7)
	WHEN 0 THEN EXECUTE format('ALTER FOREIGN TABLE strong OPTIONS (%s ordered %L)', (SELECT CASE WHEN ftoptions::text LIKE '%ordered%' THEN 'SET' ELSE 'ADD' END FROM pg_foreign_table WHERE ftrelid = 'strong'::regclass), random() < 0.5);
	WHEN 1 THEN ANALYZE ordered;
	WHEN 2 THEN
		PERFORM syncmap.create('passing', ordered => random() < 0.5);
		PERFORM count(syncmap.put('passing', 'k' || i, repeat('v', below(3000)))) FROM generate_series(1, 500) i;
		PERFORM syncmap.drop('passing');
	WHEN 3 THEN PERFORM count(*), count(DISTINCT key) FROM syncmap.range('ordered', consistent => true);
	WHEN 4 THEN PERFORM count(*) FROM syncmap.range('strong', descending => true);
	WHEN 5 THEN PERFORM syncmap.delete_range('evicting', prefix => below(4) || ':' || below(300)) FROM syncmap.stat_memory;
	ELSE PERFORM * FROM syncmap.stat_map;
	END CASE;
END $$;

-- What is wrong in the end: keys of maps that lose nothing.
CREATE VIEW differences AS
	SELECT e.map, coalesce(e.key, m.key) AS key FROM expected e FULL JOIN
		(SELECT 'strong' AS map, * FROM strong UNION ALL SELECT 'ordered', * FROM ordered UNION ALL SELECT 'alone0', * FROM alone0
			UNION ALL SELECT 'alone1', * FROM alone1 UNION ALL SELECT 'alone2', * FROM alone2) m USING (map, key)
	WHERE (e.map IS NULL OR e.map IN ('strong', 'ordered', 'alone0', 'alone1', 'alone2')) AND e.value IS DISTINCT FROM m.value;
