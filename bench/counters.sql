-- counters.sql
--   One hot counter in a map, an UNLOGGED table, and a logged one, and functions
--   that count in a loop.

SELECT syncmap.create('counters');
SELECT syncmap.put('counters', 'hits', '0');
CREATE FUNCTION count_in_map(times int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1..times LOOP
		PERFORM syncmap.increment('counters', 'hits', 1);
	END LOOP;
END $$;

CREATE UNLOGGED TABLE counters_unlogged
	(key text COLLATE "C" PRIMARY KEY, n bigint NOT NULL);
INSERT INTO counters_unlogged VALUES ('hits', 0);
CREATE FUNCTION count_in_unlogged(times int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1..times LOOP
		UPDATE counters_unlogged SET n = n + 1 WHERE key = 'hits';
	END LOOP;
END $$;

CREATE TABLE counters_logged
	(key text COLLATE "C" PRIMARY KEY, n bigint NOT NULL);
INSERT INTO counters_logged VALUES ('hits', 0);
CREATE FUNCTION count_in_logged(times int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1..times LOOP
		UPDATE counters_logged SET n = n + 1 WHERE key = 'hits';
	END LOOP;
END $$;
