-- 16 random keys of a table at once; search_path says of which
\set k1 random(1, 100000)
\set k2 random(1, 100000)
\set k3 random(1, 100000)
\set k4 random(1, 100000)
\set k5 random(1, 100000)
\set k6 random(1, 100000)
\set k7 random(1, 100000)
\set k8 random(1, 100000)
\set k9 random(1, 100000)
\set k10 random(1, 100000)
\set k11 random(1, 100000)
\set k12 random(1, 100000)
\set k13 random(1, 100000)
\set k14 random(1, 100000)
\set k15 random(1, 100000)
\set k16 random(1, 100000)
SELECT key, value FROM pairs WHERE key = ANY (ARRAY[:k1, :k2, :k3, :k4, :k5, :k6, :k7,
:k8, :k9, :k10, :k11, :k12, :k13, :k14, :k15, :k16]::text[]);
