-- lookups.sql
--   A few lookups, for somebody to watch: psql -e -f lookups.sql

\pset footer off
SELECT syncmap.get('words', 'database');
SELECT syncmap.get('words', 'concurrent');
SELECT syncmap.get('words', 'no such word') IS NULL AS missing;
SELECT key, left(syncmap.get('words', key), 60) AS starts_with
	FROM unnest('{map,lock,shard,jet lag}'::text[]) AS key;
SELECT syncmap.put('words', 'syncmap', 'noun: a map that all sessions share') AS is_new;
SELECT syncmap.get('words', 'syncmap');
