CREATE FOREIGN TABLE keyv (key varchar(255) NOT NULL, value text) SERVER syncmap;

-- for the options schema, table, useUnloggedTable, and keySize
CREATE SCHEMA other;
CREATE FOREIGN TABLE other.cache (key varchar(255) NOT NULL, value text) SERVER syncmap;
CREATE FOREIGN TABLE unlogged (key varchar(255) NOT NULL, value text) SERVER syncmap;
CREATE FOREIGN TABLE short (key varchar(10) NOT NULL, value text) SERVER syncmap;
