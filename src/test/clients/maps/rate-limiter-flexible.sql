CREATE FOREIGN TABLE limits (
	key varchar(255) NOT NULL,
	points integer NOT NULL DEFAULT 0,
	expire bigint OPTIONS (expires 'ms')
) SERVER syncmap;

-- for the options schemaName and tableName
CREATE SCHEMA "my schema";
CREATE FOREIGN TABLE "my schema"."My Limits" (
	key varchar(255) NOT NULL,
	points integer NOT NULL DEFAULT 0,
	expire bigint OPTIONS (expires 'ms')
) SERVER syncmap;
