-- one counter that everybody counts up; search_path says in which table
UPDATE counters SET n = n + 1 WHERE key = 'hits';
