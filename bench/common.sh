# common.sh
#	  What bench/memory and bench/tables share: asking the server, and medians.

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
