CREATE FOREIGN TABLE django_cache (
	cache_key varchar(255) OPTIONS (key 'true') NOT NULL,
	value text NOT NULL,
	expires timestamptz OPTIONS (expires 'true') NOT NULL
) SERVER syncmap;
