-- Keys that expire.  An expired key is absent for every call at once, whether
-- or not the worker has taken it out.
SELECT syncmap.create('m');

-- a key without a time to live has none
SELECT syncmap.put('m', 'stays', 'v');
SELECT syncmap.ttl('m', 'stays'), syncmap.ttl('m', 'absent');

-- what is left of it
SELECT syncmap.put('m', 'k', 'v', '1 hour');
SELECT syncmap.ttl('m', 'k') BETWEEN '59 min' AND '1 hour' AS about_an_hour;
SELECT syncmap.put('m', 'long', 'v', ttl => '1 year');
SELECT syncmap.ttl('m', 'long') > '364 days' AS nearly_a_year;

-- another put decides anew
SELECT syncmap.put('m', 'k', 'w');
SELECT syncmap.get('m', 'k'), syncmap.ttl('m', 'k');
SELECT syncmap.swap('m', 'k', 'x', '2 hours');
SELECT syncmap.ttl('m', 'k') > '1 hour' AS two_hours;
SELECT syncmap.compare_and_swap('m', 'k', 'x', 'y', '3 hours');
SELECT syncmap.ttl('m', 'k') > '2 hours' AS three_hours;
SELECT syncmap.compare_and_swap('m', 'k', 'y', 'z');
SELECT syncmap.get('m', 'k'), syncmap.ttl('m', 'k');

-- expire
SELECT syncmap.expire('m', 'k', '1 hour'), syncmap.expire('m', 'absent', '1 hour');
SELECT syncmap.get('m', 'k'), syncmap.ttl('m', 'k') > '59 min' AS an_hour;
SELECT syncmap.expire('m', 'k', '2 hours'), syncmap.ttl('m', 'k') > '119 min' AS two_hours;
SELECT syncmap.expire('m', 'k', NULL), syncmap.ttl('m', 'k');
SELECT syncmap.put('m', 'big', repeat('b', 100000)), syncmap.expire('m', 'big', '1 hour');
SELECT syncmap.get('m', 'big') = repeat('b', 100000) AS same, syncmap.ttl('m', 'big') > '59 min' AS an_hour;

-- increment keeps what is there
SELECT syncmap.increment('m', 'n', 1, '1 hour');
SELECT syncmap.increment('m', 'n', 1, '3 hours'), syncmap.ttl('m', 'n') BETWEEN '59 min' AND '1 hour' AS an_hour;
SELECT syncmap.increment('m', 'n'), syncmap.ttl('m', 'n') BETWEEN '59 min' AND '1 hour' AS an_hour;
SELECT syncmap.put('m', 'zeros', repeat('0', 100) || '7', '1 hour');
SELECT syncmap.increment('m', 'zeros'), syncmap.ttl('m', 'zeros') BETWEEN '59 min' AND '1 hour' AS an_hour;
SELECT syncmap.put('m', 'forever', '1');
SELECT syncmap.increment('m', 'forever', 1, '1 hour'), syncmap.ttl('m', 'forever');

-- many
SELECT syncmap.put_many('m', '{a,b}', '{1,2}', '1 hour');
SELECT k, syncmap.ttl('m', k) > '59 min' AS an_hour FROM unnest('{a,b}'::text[]) k;
SELECT actual, loaded FROM syncmap.get_or_put('m', 'c', '3', '1 hour');
SELECT actual, loaded FROM syncmap.get_or_put('m', 'c', '4', '3 hours');
SELECT syncmap.ttl('m', 'c') BETWEEN '59 min' AND '1 hour' AS an_hour;

-- the moment it expires, it is absent for everybody
SELECT syncmap.clear('m');
SELECT syncmap.put('m', 'stays', 'v');
SELECT syncmap.put_many('m', array_agg('x' || i), array_agg('1'::text), '100 ms') FROM generate_series(1, 12) i;
SELECT syncmap.put('m', 'big', repeat('b', 100000), '100 ms');
SELECT pg_sleep(0.12);
SELECT syncmap.get('m', 'x1'), syncmap.contains('m', 'x1'), syncmap.ttl('m', 'x1');
SELECT syncmap.get_many('m', '{x1,stays,x2}');
SELECT * FROM syncmap.range('m');
SELECT syncmap.count('m');
SELECT syncmap.delete('m', 'x1'), syncmap.get_and_delete('m', 'x2'), syncmap.expire('m', 'x3', '1 hour');
SELECT syncmap.compare_and_swap('m', 'x4', '1', '2'), syncmap.compare_and_delete('m', 'x5', '1');
SELECT syncmap.put('m', 'x6', '2') AS is_new, syncmap.swap('m', 'x7', '2') AS before, syncmap.increment('m', 'x8') AS from_zero;
SELECT actual, loaded FROM syncmap.get_or_put('m', 'x9', '2');
SELECT syncmap.get_many('m', '{x6,x7,x8,x9,big}');
SELECT syncmap.ttl('m', 'x6'), syncmap.ttl('m', 'x8'), syncmap.ttl('m', 'x9');
SELECT syncmap.count('m');

-- a map's own default
SELECT syncmap.create('d', ttl => '1 hour');
SELECT syncmap.put('d', 'k', 'v');
SELECT syncmap.ttl('d', 'k') BETWEEN '59 min' AND '1 hour' AS an_hour;
SELECT syncmap.put('d', 'k', 'v', '2 hours'), syncmap.ttl('d', 'k') > '119 min' AS two_hours;
SELECT syncmap.increment('d', 'n'), syncmap.ttl('d', 'n') > '59 min' AS an_hour;
SELECT syncmap.expire('d', 'n', NULL), syncmap.increment('d', 'n'), syncmap.ttl('d', 'n');
ALTER FOREIGN TABLE d OPTIONS (SET ttl '3 hours');
SELECT syncmap.put('d', 'k', 'v'), syncmap.ttl('d', 'k') > '2 hours' AS three_hours;
ALTER FOREIGN TABLE d OPTIONS (DROP ttl);
SELECT syncmap.put('d', 'k', 'v'), syncmap.ttl('d', 'k');

-- the option means the same in each session
SET intervalstyle = sql_standard;
SELECT syncmap.create('i', ttl => interval '3 days 04:05:06');
SELECT syncmap.put('i', 'k', 'v');
RESET intervalstyle;
SELECT syncmap.ttl('i', 'k') BETWEEN '76:05' AND '76:06' AS three_days;
ALTER FOREIGN TABLE i OPTIONS (SET ttl '-1 days 50:00');
SET intervalstyle = sql_standard;
SELECT syncmap.put('i', 'k', 'v'), syncmap.ttl('i', 'k') > '25:00' AS two_hours_more_than_a_day;
RESET intervalstyle;
SELECT syncmap.drop('i');

-- off: nothing is there, and nothing is stored
SET syncmap.enabled = off;
SELECT syncmap.get('m', 'stays'), syncmap.contains('m', 'stays'), syncmap.count('m'), syncmap.get_many('m', '{stays,x6}'), syncmap.ttl('m', 'stays');
SELECT * FROM syncmap.range('m');
SELECT syncmap.put('m', 'stays', 'w') AS put, syncmap.delete('m', 'stays') AS delete, syncmap.increment('m', 'x8') AS increment, syncmap.swap('m', 'stays', 'w') AS swap, syncmap.put_many('m', '{stays}', '{w}') AS put_many, syncmap.expire('m', 'stays', '1 s') AS expire;
SELECT actual, loaded FROM syncmap.get_or_put('m', 'stays', 'given');
SELECT syncmap.clear('m');
RESET syncmap.enabled;
SELECT syncmap.get('m', 'stays'), syncmap.count('m');

SELECT syncmap.drop('m'), syncmap.drop('d');
