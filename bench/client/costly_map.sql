-- the result of a costly query, computed again when it has expired
\set i random(1, 100)
SELECT coalesce(syncmap.get('reports', :i::text),
	(SELECT actual FROM syncmap.get_or_put('reports', :i::text, report(:i), ttl => '10 s')));
