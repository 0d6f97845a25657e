CREATE FOREIGN TABLE profiles (
	name varchar(50) OPTIONS (key 'true') NOT NULL,
	visits integer NOT NULL DEFAULT 0,
	balance numeric(12, 2),
	active boolean NOT NULL,
	tags text[],
	settings jsonb,
	picture bytea,
	token uuid,
	seen timestamptz,
	version integer NOT NULL,
	expires timestamptz OPTIONS (expires 'true')
) SERVER syncmap;
