CREATE FOREIGN TABLE session (
	sid varchar OPTIONS (key 'true') NOT NULL,
	sess json NOT NULL,
	expire timestamp(6) OPTIONS (expires 'true') NOT NULL
) SERVER syncmap;

-- for the options schemaName and tableName
CREATE SCHEMA "my ""schema""";
CREATE FOREIGN TABLE "my ""schema"""."my ""sessions""" (
	sid varchar OPTIONS (key 'true') NOT NULL,
	sess json NOT NULL,
	expire timestamp(6) OPTIONS (expires 'true') NOT NULL
) SERVER syncmap;
