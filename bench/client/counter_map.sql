-- one counter that everybody counts up
SELECT syncmap.increment('counters', 'hits', 1);
