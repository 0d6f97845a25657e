CREATE FOREIGN TABLE cache_items (
	item_id varchar(255) OPTIONS (key 'true') NOT NULL,
	item_data bytea NOT NULL,
	item_lifetime integer,
	item_time integer NOT NULL
) SERVER syncmap;

-- for the options that name the table and its columns
CREATE FOREIGN TABLE my_items (
	my_id varchar(255) OPTIONS (key 'true') NOT NULL,
	my_data bytea NOT NULL,
	my_lifetime integer,
	my_time integer NOT NULL
) SERVER syncmap;
