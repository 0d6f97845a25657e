# turns.sh
#	  What the benches share that take turns: figures by name, ratios round by round, a
#	  page of them.
#
# Sourced after common.sh.  rounds, clients, and seconds are the caller's.

# ---- figures -----------------------------------------------------------------

declare -A figures=()
declare -A page=()
warming_up=

# add NAME NUMBER: another round's
add()
{
	[[ $2 =~ ^[0-9]+(\.[0-9]+)?$ ]] || die "no figure of \"$1\": $2"
	[ -n "$warming_up" ] || figures[$1]+=" $2"
}

spread()
{
	printf '%s (%s to %s)' "$(median "$@")" \
		"$(printf '%s\n' "$@" | sort -g | head -n 1)" "$(printf '%s\n' "$@" | sort -g | tail -n 1)"
}

# minus NAME A B: figures of NAME: A's less B's, round by round, but 1 at least
minus()
{
	local -a a=(${figures[$2]}) b=(${figures[$3]})
	local i

	for i in "${!a[@]}"; do
		add "$1" "$(awk -v a="${a[i]}" -v b="${b[i]}" 'BEGIN { printf "%.1f", (a - b > 1 ? a - b : 1) }')"
	done
}

# compare SECTION LABEL OVER UNDER [WANTED]: a row of the page: OVER's figures by UNDER's
compare()
{
	local -a over=(${figures[$3]}) under=(${figures[$4]}) ratios=()
	local i text

	for i in "${!over[@]}"; do
		ratios+=("$(ratio "${over[i]}" "${under[i]}")")
	done
	text="$2 | $3: $(median "${over[@]}") | $4: $(median "${under[@]}") | $(spread "${ratios[@]}")"
	step "$text${5:+ | wanted $5}"
	page[$1]+="| $text | ${5:-} |"$'\n'
}

# ---- turns -------------------------------------------------------------------

# in_turn COMMAND NAME...: COMMAND NAME for each of them, in another order each round; a
# round before them does not count
in_turn()
{
	local command=$1 round i

	shift
	for ((round = -1; round < rounds; round++)); do
		warming_up=
		[ $round -ge 0 ] || warming_up=yes
		for ((i = 0; i < $#; i++)); do
			$command "${@:(round + 1 + i) % $# + 1:1}"
		done
	done
}

# processor time of sessions that have ended, in microseconds
processor_time()
{
	local postmaster try

	postmaster=$(head -n 1 "$work/data/postmaster.pid")
	for try in {1..100}; do		# for the last of them
		sleep 0.1
		ps --ppid "$postmaster" -o args= | grep -c '\[local\]' >/dev/null || break
	done
	awk -v tick="$(getconf CLK_TCK)" '{ sub(/.*\) /, ""); printf "%.0f", ($14 + $15) * 1000000 / tick }' \
		"/proc/$postmaster/stat"
}

# pgbench NAME OPTION...: a figure of NAME, statements a second, and one of "NAME, us", the
# server's processor time for a statement
pgbench()
{
	local name=$1 before output count

	shift
	before=$(processor_time)
	output=$("$bin/pgbench" -n -M prepared -c $clients -j $clients -T "$seconds" "$@" 2>&1) ||
		die "pgbench: $output"
	count=$(sed -nE 's/^number of transactions actually processed: ([0-9]+).*/\1/p' <<<"$output")
	add "$name" "$(tps <<<"$output")"
	add "$name, us" "$(ratio $(($(processor_time) - before)) "$count")"
}
