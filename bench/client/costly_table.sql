-- the result of a costly query from a table that caches it, computed again when it has expired
\set i random(1, 100)
SELECT coalesce((SELECT value FROM reports WHERE key = :i::text AND expires_at > now()),
	remember(:i));
