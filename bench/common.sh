# common.sh
#	  What the benches share: asking the server, medians, and results as JSON.

. "$(dirname "${BASH_SOURCE[0]}")/../src/test/setup.sh"

rounds=5

sql()
{
	"$bin/psql" -X -q -A -t -v ON_ERROR_STOP=1 "$@"
}

median()
{
	printf '%s\n' "$@" | sort -g | sed -n "$((($# + 1) / 2))p"
}

# milliseconds STATEMENT [SETTINGS]: how long it takes in psql
milliseconds()
{
	printf '%s\n\\timing on\n%s;\n' "${2:-}" "$1" | sql |
		sed -nE 's/^Time: ([0-9.]+) ms.*/\1/p'
}

# bench CLIENTS SECONDS SCRIPT [OPTION...]: pgbench's output
bench()
{
	local clients=$1 seconds=$2 script=$3

	shift 3
	"$bin/pgbench" -n -M prepared -c "$clients" -j "$clients" -T "$seconds" "$@" \
		-f - <<<"$script" 2>&1
}

tps()
{
	sed -nE 's/^tps = ([0-9]+).*/\1/p'
}

ratio()
{
	awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'
}

# ---- results as JSON: bench/results/LAYER.json -------------------------------

results=${SYNCMAP_RESULTS:-$top/bench/results}

# version COMMAND...: the first number with dots that it prints
version()
{
	"$@" 2>/dev/null | grep -m 1 -oE '[0-9]+[0-9.]+' | head -n 1 || true
}

# header NAME VALUE...: the first line: where, when, with what, and how it was measured
header()
{
	printf '{"date": "%s", "machine": "%s, %s CPUs, %s MB"' "$(date -u +%F)" \
		"$(sed -nE 's/^model name\s*: //p' /proc/cpuinfo | head -n 1)" "$(nproc)" \
		"$(awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo)"
	while [ $# -gt 0 ]; do
		[ -z "$2" ] || printf ', "%s": "%s"' "$1" "$2"
		shift 2
	done
	printf '}\n'
}

# record ROUND WORKLOAD PEER NAME NUMBER...: a line, a measurement of a workload by a peer
record()
{
	printf '{"round": %d, "workload": "%s", "peer": "%s"' "$1" "$2" "$3"
	shift 3
	while [ $# -gt 0 ]; do
		printf ', "%s": %s' "$1" "$2"
		shift 2
	done
	printf '}\n'
}
