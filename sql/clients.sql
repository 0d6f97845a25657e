-- The statements that clients send, as they send them, on maps in place of their tables:
-- src/test/clients runs the clients themselves.
SET timezone = 'America/Los_Angeles';
SET datestyle = 'ISO';
SET plan_cache_mode = force_generic_plan;

-- connect-pg-simple
CREATE FOREIGN TABLE session (
	sid varchar OPTIONS (key 'true') NOT NULL,
	sess json NOT NULL,
	expire timestamp(6) OPTIONS (expires 'true') NOT NULL
) SERVER syncmap;
SELECT to_regclass('"session"'::text);
PREPARE set_session AS INSERT INTO "session" (sess, expire, sid) SELECT $1, to_timestamp($2), $3
	ON CONFLICT (sid) DO UPDATE SET sess=$1, expire=to_timestamp($2) RETURNING sid;
PREPARE get_session AS SELECT sess FROM "session" WHERE sid = $1 AND expire >= to_timestamp($2);
PREPARE touch_session AS UPDATE "session" SET expire = to_timestamp($1) WHERE sid = $2 RETURNING sid;
EXECUTE set_session('{"cookie": {}, "n": 1}', 4102444800, 's1');
EXECUTE set_session('{"cookie": {}, "n": 2}', 4102444800, 's1');
EXECUTE get_session('s1', 4102444800);
EXECUTE get_session('s1', 4102444801);
EXECUTE touch_session(4102444900, 's1');
EXECUTE get_session('s1', 4102444801);
EXECUTE touch_session(4102444900, 'nobody');
SELECT sid, expire, extract(epoch FROM expire::timestamptz)::bigint FROM session;
-- it is stored as local time, and means a moment: who lives elsewhere finds the same
SET timezone = 'Asia/Tokyo';
SELECT sid, expire, extract(epoch FROM expire::timestamptz)::bigint FROM session;
SET timezone = 'America/Los_Angeles';
-- what is past is told to have been stored, and is not there
EXECUTE set_session('{}', 1000000000, 's2');
EXECUTE set_session('{}', 1000000000, 's1');
SELECT count(sid) FROM session;
EXECUTE set_session('{}', 4102444800, 's3');
DELETE FROM "session" WHERE expire < to_timestamp(4102444000);
DELETE FROM "session" WHERE sid = 's3';
EXECUTE set_session(NULL, 4102444800, 's4');

-- keyv
CREATE FOREIGN TABLE keyv (key varchar(255) NOT NULL, value text) SERVER syncmap OPTIONS (ordered 'true');
CREATE TABLE IF NOT EXISTS public.keyv(key VARCHAR(255) PRIMARY KEY, value TEXT );
CREATE UNLOGGED TABLE IF NOT EXISTS public.keyv(key VARCHAR(255) PRIMARY KEY, value TEXT );
PREPARE set_value AS INSERT INTO public.keyv (key, value)
      VALUES($1, $2) 
      ON CONFLICT(key) 
      DO UPDATE SET value=excluded.value;
PREPARE set_values AS INSERT INTO public.keyv (key, value)
      SELECT * FROM UNNEST($1::text[], $2::text[])
      ON CONFLICT(key)
      DO UPDATE SET value=excluded.value;
PREPARE get_values AS SELECT * FROM public.keyv WHERE key = ANY($1);
PREPARE first_page AS SELECT * FROM "public"."keyv" WHERE key LIKE $1 ORDER BY key LIMIT $2;
PREPARE next_page AS SELECT * FROM "public"."keyv" WHERE key LIKE $1 AND key > $2 ORDER BY key LIMIT $3;
EXECUTE set_value('ns:a', '{"value":1}');
EXECUTE set_value('ns:a', '{"value":2}');
EXECUTE set_values('{ns:a,ns:b,ns:c,other:d}', '{1,2,3,4}');
EXECUTE set_values('{ns:a,ns:a}', '{1,2}');
EXECUTE get_values('{ns:a,ns:x}');
EXECUTE first_page('ns:%', 2);
EXECUTE next_page('ns:%', 'ns:b', 2);
SET plan_cache_mode = force_custom_plan;
EXPLAIN (COSTS OFF) EXECUTE next_page('ns:%', 'ns:b', 2);
SET plan_cache_mode = force_generic_plan;
SELECT EXISTS ( SELECT * FROM public.keyv WHERE key = 'ns:a' );
DELETE FROM public.keyv WHERE key LIKE 'ns:%';
EXECUTE set_value(repeat('k', 256), '');
EXECUTE get_values(ARRAY[repeat('k', 256)]);

-- rate-limiter-flexible
CREATE FOREIGN TABLE limits (
	key varchar(255) NOT NULL,
	points integer NOT NULL DEFAULT 0,
	expire bigint OPTIONS (expires 'ms')
) SERVER syncmap;
CREATE TABLE IF NOT EXISTS "limits" (
      key varchar(255) PRIMARY KEY,
      points integer NOT NULL DEFAULT 0,
      expire bigint
    );
PREPARE consume AS
            INSERT INTO "limits" VALUES ($1, $2, $3)
              ON CONFLICT(key) DO UPDATE SET
                points = CASE
                          WHEN ("limits".expire <= $4 OR 1=0) THEN $2
                          ELSE "limits".points + ($2)
                         END,
                expire =  CASE
             WHEN "limits".expire <= $4 THEN $3
             ELSE "limits".expire
            END 
            RETURNING points, expire;
PREPARE block AS
            INSERT INTO "limits" VALUES ($1, $2, $3)
              ON CONFLICT(key) DO UPDATE SET
                points = CASE
                          WHEN ("limits".expire <= $4 OR 1=1) THEN $2
                          ELSE "limits".points + ($2)
                         END,
                expire =  $3 
            RETURNING points, expire;
PREPARE get_points AS
            SELECT points, expire FROM "limits" WHERE key = $1 AND (expire > $2 OR expire IS NULL);
EXECUTE consume('rlflx:a', 1, 4102444800123, 4102444700000);
EXECUTE consume('rlflx:a', 2, 4102444899999, 4102444700000);
EXECUTE consume('rlflx:a', -1, 4102444899999, 4102444700000);
-- the client's clock is ahead
EXECUTE consume('rlflx:a', 1, 4102444999999, 4102444900000);
EXECUTE get_points('rlflx:a', 4102444900000);
EXECUTE get_points('rlflx:a', 4102444999999);
-- the window is over before it is stored
EXECUTE consume('rlflx:b', 1, 1000000000000, 999999999999);
EXECUTE get_points('rlflx:b', 0);
EXECUTE consume('rlflx:b', 1, NULL, 4102444700000);
EXECUTE consume('rlflx:b', 1, NULL, 4102444700000);
EXECUTE get_points('rlflx:b', 4102444700000);
EXECUTE block('rlflx:b', 6, 4102444800000, 4102444700000);
DELETE FROM "limits" WHERE key = 'rlflx:b';
DELETE FROM "limits" WHERE expire < 4102445000000;

-- Django
CREATE FOREIGN TABLE django_cache (
	cache_key varchar(255) OPTIONS (key 'true') NOT NULL,
	value text NOT NULL,
	expires timestamptz OPTIONS (expires 'true') NOT NULL
) SERVER syncmap;
SELECT c.relname FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
	WHERE c.relkind IN ('f', 'm', 'p', 'r', 'v') AND c.relname = 'django_cache'
		AND n.nspname NOT IN ('pg_catalog', 'pg_toast') AND pg_catalog.pg_table_is_visible(c.oid);
BEGIN;
SELECT "cache_key", "expires" FROM "django_cache" WHERE "cache_key" = ':1:a';
INSERT INTO "django_cache" ("cache_key", "value", "expires") VALUES (':1:a', 'gASVAQ==', '9999-12-31 23:59:59'::timestamp);
COMMIT;
INSERT INTO "django_cache" ("cache_key", "value", "expires") VALUES (':1:a', 'x', '2100-01-01 00:00:00+00:00'::timestamptz);
UPDATE "django_cache" SET "expires" = '2100-01-01 00:00:00+00:00'::timestamptz WHERE "cache_key" = ':1:a';
SELECT "cache_key", "value", "expires" FROM "django_cache" WHERE "cache_key" IN (':1:a', ':1:b');
UPDATE "django_cache" SET "value" = 'y', "expires" = '2001-01-01 00:00:00+00:00'::timestamptz WHERE "cache_key" = ':1:a';
SELECT COUNT(*) FROM "django_cache";
INSERT INTO "django_cache" SELECT ':1:' || i, 'x', '2100-01-01' FROM generate_series(100, 199) i;
SELECT "cache_key" FROM "django_cache" ORDER BY "cache_key" LIMIT 1 OFFSET 33;
DELETE FROM "django_cache" WHERE cache_key < ':1:133';
DELETE FROM "django_cache" WHERE "cache_key" IN (':1:150', ':1:151', ':1:x');
SELECT COUNT(*) FROM "django_cache";
DELETE FROM "django_cache" WHERE expires < '2200-01-01';

-- Symfony
CREATE FOREIGN TABLE cache_items (
	item_id varchar(255) OPTIONS (key 'true') NOT NULL,
	item_data bytea NOT NULL,
	item_lifetime integer,
	item_time integer NOT NULL
) SERVER syncmap;
PREPARE save AS INSERT INTO cache_items (item_id, item_data, item_lifetime, item_time) VALUES ($1, $2, $3, $4)
	ON CONFLICT (item_id) DO UPDATE SET (item_data, item_lifetime, item_time) = (EXCLUDED.item_data, EXCLUDED.item_lifetime, EXCLUDED.item_time);
PREPARE fetch_items AS SELECT item_id, CASE WHEN item_lifetime IS NULL OR item_lifetime + item_time > $1 THEN item_data ELSE NULL END
	FROM cache_items WHERE item_id IN ($2,$3);
EXECUTE save('ns:a', '\x00', NULL, 1000);
EXECUTE save('ns:a', '\x01ff', NULL, 1001);
EXECUTE save('ns:b', '\x02', 10, 1000);
EXECUTE save('n!_s:c', '\x02', 10, 1000);
EXECUTE fetch_items(1005, 'ns:a', 'ns:b');
EXECUTE fetch_items(1010, 'ns:a', 'ns:b');
DELETE FROM cache_items WHERE item_lifetime + item_time <= 1010 AND item_id IN ('ns:a', 'ns:b');
SELECT 1 FROM cache_items WHERE item_id = 'ns:a' AND (item_lifetime IS NULL OR item_lifetime + item_time > 1010);
DELETE FROM cache_items WHERE item_id LIKE 'ns:%' ESCAPE '!';
DELETE FROM cache_items WHERE item_lifetime + item_time <= 1010 AND item_id LIKE 'n%';
TRUNCATE TABLE cache_items;

-- what they and their tools look at
\d session
SELECT column_name, ordinal_position, column_default, is_nullable, data_type, character_maximum_length
	FROM information_schema.columns WHERE table_name = 'limits' ORDER BY ordinal_position;
SELECT table_type, is_insertable_into FROM information_schema.tables WHERE table_name = 'limits';
SELECT foreign_server_name FROM information_schema.foreign_tables WHERE foreign_table_name = 'limits';
SELECT attname, format_type(atttypid, atttypmod), attnotnull, atthasdef, attfdwoptions
	FROM pg_attribute WHERE attrelid = 'limits'::regclass AND attnum > 0 ORDER BY attnum;
SELECT to_regclass('limits'), to_regclass('public.limits'), to_regclass('nothing');

DEALLOCATE ALL;
DROP FOREIGN TABLE session, keyv, limits, django_cache, cache_items;
RESET timezone;
RESET datestyle;
RESET plan_cache_mode;
