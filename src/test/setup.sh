# setup.sh
#	  What bench/quickstart, src/test/run, and others share: packages, build, server.
#
# Sourced by bash.  Everything happens in one temporary folder, $work: a copy
# of the tree is built there, and installed into a copy of the PostgreSQL
# installation ($bin are its programs), so that neither the clone nor the
# system's PostgreSQL is written to.  PostgreSQL refuses to run as root: for
# root, $work belongs to the user postgres, and whatever touches it runs as
# that user, who need not be able to read the clone.

set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=
keep=
keep_server=
at_exit=()
server_up=
ticker=
output=
sudo=

# Whoever calls us may have set up psql for another server, or be make.
pg_config=${PG_CONFIG:-}
unset ${!PG*} MAKEFLAGS MAKELEVEL MFLAGS
export LC_ALL=C PGCLIENTENCODING=UTF8

# ---- talking ---------------------------------------------------------------

die()
{
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

step()
{
	printf '[%3d s] %s\n' "$SECONDS" "$*"
}

stop_ticker()
{
	[ -n "$ticker" ] || return 0
	kill "$ticker"
	wait "$ticker" 2>/dev/null || true
	ticker=
}

# quietly LABEL COMMAND...: run it, with a dot every 5 s; if it fails, show its
# output and exit.  A function run by this must return its failure, not die.
quietly()
{
	local label=$1 start=$SECONDS status=0

	shift
	output=$(mktemp)
	printf '[%3d s] %s ' "$SECONDS" "$label"
	(while sleep 5 >/dev/null 2>&1; do printf .; done) &
	ticker=$!
	"$@" >"$output" 2>&1 </dev/null || status=$?
	stop_ticker
	if [ "$status" != 0 ]; then
		printf ' failed\n'
		tail -n 60 "$output"
		die "failed with status $status: $*"
	fi
	rm -f "$output"
	output=
	printf ' %d s\n' $((SECONDS - start))
}

# ---- the end ---------------------------------------------------------------

clean_up()
{
	local status=$? command

	trap - EXIT
	trap '' INT TERM HUP
	set +e
	stop_ticker
	[ -z "$output" ] || rm -f "$output"
	[ -z "$server_up" ] || [ -n "$keep_server" ] || server_stop
	[ -z "$work" ] || [ -z "$keep" ] || [ -n "$keep_server" ] || echo "logs and results are in $work"
	for command in "${at_exit[@]}"; do
		$command
	done
	[ -z "$work" ] || [ -n "$keep$keep_server" ] || rm -rf "$work"
	exit "$status"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# ---- packages --------------------------------------------------------------

# Puts the major version into the names of packages: pg_config's if there is
# one, otherwise the one that the package "postgresql" stands for.
with_version()
{
	local version

	if [ -n "$pg_config" ]; then
		version=$("$pg_config" --version | sed -E 's/^PostgreSQL ([0-9]+).*/\1/')
	else
		version=$(apt-cache depends postgresql 2>/dev/null |
			sed -nE 's/^ *Depends: postgresql-([0-9]+)$/\1/p' | head -n 1) || true
	fi
	if [ -n "$version" ]; then
		sed "s/VERSION/$version/"
	else
		sed 's/dev-VERSION/dev-all/; s/-VERSION//'
	fi
}

find_pg_config()
{
	if [ -z "$pg_config" ] && pg_config --version >/dev/null 2>&1; then
		pg_config=$(command -v pg_config)
	fi
	[ -z "$pg_config" ] || "$pg_config" --version >/dev/null ||
		die "PG_CONFIG=$pg_config does not run"
}

# Prints a Debian package for whatever is missing; VERSION stands for the major
# version.  What each one is looked for by is what we use of it.
missing_packages()
{
	local for_what=$1

	command -v gcc >/dev/null || echo gcc
	echo '#include <stdio.h>' | cc -E - >/dev/null 2>&1 || echo libc6-dev
	echo '#include <xxhash.h>' | cc -E - >/dev/null 2>&1 || echo libxxhash-dev
	command -v make >/dev/null || echo make
	[ -n "$pg_config" ] && [ -x "$("$pg_config" --bindir)/postgres" ] &&
		[ -x "$("$pg_config" --bindir)/pgbench" ] || echo postgresql-VERSION
	[ -n "$pg_config" ] && [ -f "$("$pg_config" --pgxs)" ] ||
		echo postgresql-server-dev-VERSION
	case $for_what in
		bench)
			[ -f /usr/share/wordnet/index.noun ] || echo wordnet-base
			;;
		peers)
			perl -MJSON::PP -e 1 2>/dev/null || echo perl
			command -v gnuplot >/dev/null || echo gnuplot-nox
			command -v redis-benchmark >/dev/null || echo redis-tools
			command -v patch >/dev/null || echo patch
			command -v xz >/dev/null || echo xz-utils
			[ -f "$("$pg_config" --includedir 2>/dev/null)/libpq-fe.h" ] || echo libpq-dev
			command -v memcached >/dev/null || echo memcached
			command -v memcaslap >/dev/null || echo libmemcached-tools
			[ -n "$pg_config" ] && [ -f "$("$pg_config" --pkglibdir)/pgmemcache.so" ] ||
				echo postgresql-VERSION-pgmemcache
			;;
		test)
			perl -MTest::More -e 1 2>/dev/null || echo perl
			perl -MIPC::Run -e 1 2>/dev/null || echo libipc-run-perl
			command -v patch >/dev/null || echo patch
			;;
		clients)
			command -v node >/dev/null || echo nodejs
			command -v npm >/dev/null || echo npm
			command -v xz >/dev/null || echo xz-utils
			/usr/bin/python3 -c 'import django' 2>/dev/null || echo python3-django
			/usr/bin/python3 -c 'import psycopg2' 2>/dev/null || echo python3-psycopg2
			/usr/bin/python3 -c 'import sqlalchemy' 2>/dev/null || echo python3-sqlalchemy
			command -v php >/dev/null || echo php-cli
			php -r 'exit((int) !extension_loaded("pdo_pgsql"));' 2>/dev/null || echo php-pgsql
			[ -f /usr/share/php/Symfony/Component/Cache/autoload.php ] || echo php-symfony-cache
			[ -f /usr/share/php/Psr/SimpleCache/autoload.php ] || echo php-psr-simple-cache
			[ -f /usr/share/php/Cache/IntegrationTests/autoload.php ] || echo php-cache-integration-tests
			[ -x /usr/bin/phpunit ] || echo phpunit
			;;
		analyse)
			command -v cppcheck >/dev/null || echo cppcheck
			command -v clang-tidy >/dev/null || echo clang-tidy
			;;
		fuzz)
			command -v clang >/dev/null || echo clang
			echo 'int LLVMFuzzerTestOneInput(void); int LLVMFuzzerTestOneInput(void) { return 0; }' |
				clang -fsanitize=fuzzer -xc -o /dev/null - >/dev/null 2>&1 || echo libclang-rt-dev
			command -v sqlsmith >/dev/null || echo sqlsmith
			;;
		valgrind)
			command -v valgrind >/dev/null || echo valgrind
			;;
		model)
			command -v spin >/dev/null || echo spin
			;;
		versions)
			command -v debootstrap >/dev/null || echo debootstrap
			;;
	esac
}

# Debian's packages of servers make a cluster "main", and start what they bring.  Nobody
# asked for that here; what is there already is left alone.
no_main_cluster=/etc/postgresql-common/createcluster.d/syncmap.conf
no_services=/usr/sbin/policy-rc.d
no_services_made=

start_nothing()
{
	$sudo mkdir -p "${no_main_cluster%/*}"
	at_exit+=(start_as_usual)
	echo 'create_main_cluster = false' | $sudo tee "$no_main_cluster" >/dev/null
	[ ! -e "$no_services" ] || return 0
	no_services_made=yes
	printf '#!/bin/sh\nexit 101\n' | $sudo tee "$no_services" >/dev/null
	$sudo chmod 755 "$no_services"
}

start_as_usual()
{
	$sudo rm -f "$no_main_cluster"
	$sudo rmdir --ignore-fail-on-non-empty "${no_main_cluster%/*}"
	[ -z "$no_services_made" ] || $sudo rm -f "$no_services"
}

# install_missing bench|peers|test|clients|analyse|fuzz|valgrind|model|versions: install what is missing of what that needs
install_missing()
{
	local missing

	find_pg_config
	missing=$(missing_packages "$1")
	[ -n "$missing" ] || return 0
	command -v apt-get >/dev/null ||
		die "missing, by their names in Debian:" $(with_version <<<"$missing")
	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null ||
			die 'packages are missing; first run as root: apt-get install' \
				'--no-install-recommends' $(with_version <<<"$missing")
		sudo=sudo
		sudo -v
	fi

	quietly 'apt-get update' $sudo apt-get -q update
	missing=$(with_version <<<"$missing")
	start_nothing
	quietly "apt-get install $(echo $missing)" \
		$sudo env DEBIAN_FRONTEND=noninteractive \
		apt-get -q -y --no-install-recommends install $missing
	start_as_usual
	unset 'at_exit[-1]'

	find_pg_config
	missing=$(missing_packages "$1")
	[ -z "$missing" ] || die 'still missing:' $missing
}

# ---- the temporary folder --------------------------------------------------

# Run a command as the user that owns $work, in $work.
as_owner()
{
	(
		cd "$work"
		if [ "$(id -u)" = 0 ]; then
			exec setpriv --reuid=postgres --regid=postgres --init-groups \
				env HOME="$work" USER=postgres LOGNAME=postgres "$@"
		else
			exec "$@"
		fi
	)
}

# A copy of the tree, and one of the PostgreSQL installation: a server finds
# its files relative to its own program, so a copy finds those beside it.
make_work()
{
	local bindir libdir sharedir

	bindir=$("$pg_config" --bindir)
	libdir=$("$pg_config" --pkglibdir)
	sharedir=$("$pg_config" --sharedir)

	work=$(mktemp -d "${TMPDIR:-/tmp}/syncmap.XXXXXX")
	if [ "$(id -u)" = 0 ]; then
		id postgres >/dev/null 2>&1 ||
			die 'PostgreSQL does not run as root and there is no user postgres'
		chown postgres: "$work"
	fi
	as_owner mkdir -p tree socket "root$bindir" "root$libdir" "root$sharedir" ||
		die "the user postgres cannot write to $work: set TMPDIR"

	tar -C "$top" --exclude=./.git --exclude='*.o' --exclude='*.bc' \
		--exclude='*.so' --exclude=build -cf - . |
		as_owner tar -C tree -xf -

	bin=$work/root$bindir
	as_owner cp "$bindir"/{postgres,initdb,psql,createdb,dropdb,vacuumdb} "$bindir"/pg* "$bin"
	as_owner cp -rs "$libdir/." "root$libdir"
	as_owner cp -rs "$sharedir/." "root$sharedir"
	as_owner find root -name 'syncmap*' -depth -exec rm -rf {} +
}

# build [ARGUMENT OF MAKE...]: build the copy of the tree, and install it into
# the copy of the PostgreSQL installation.
build()
{
	make=(as_owner make -s -C tree PG_CONFIG="$pg_config" "$@")
	quietly "build $*${*:+ }with $("$pg_config" --version)" \
		"${make[@]}" -j "$(nproc)" all
	quietly 'install into the temporary folder' \
		"${make[@]}" install DESTDIR="$work/root"
}

# ---- the server ------------------------------------------------------------

# server_start SETTING...: a new cluster, reached by its unix socket only; sets
# PGHOST, PGUSER, and PGDATABASE to it.  On failure returns 1, having shown why.
server_start()
{
	as_owner "$bin/initdb" -D "$work/data" -A trust -U postgres -E UTF8 \
		--no-locale --no-sync || return 1
	printf '%s\n' "listen_addresses = ''" \
		"unix_socket_directories = '$work/socket'" \
		"shared_preload_libraries = 'syncmap'" "$@" |
		as_owner tee -a "$work/data/postgresql.conf" >/dev/null || return 1
	server_up=yes
	as_owner "$bin/pg_ctl" -D "$work/data" -l "$work/server.log" -s -w start ||
		{ cat "$work/server.log"; return 1; }
	export PGHOST=$work/socket PGUSER=postgres PGDATABASE=postgres
}

server_stop()
{
	as_owner "$bin/pg_ctl" -D "$work/data" -s -m immediate stop 2>/dev/null
	server_up=
}

# ---- TAP scripts -----------------------------------------------------------

# tap_script SCRIPT FOLDER SECONDS [NAME=VALUE...]: run one, for so long at most, with its own
# server, which PostgreSQL's modules start for it in a folder of $work; with these in its
# environment.
tap_script()
{
	local script=src/test/t/$1 folder=$work/$2 pgxs

	pgxs=$(dirname "$(dirname "$("$pg_config" --pgxs)")")
	as_owner mkdir -p "$folder/log"
	as_owner env -C tree PATH="$bin:$PATH" PGPORT=65432 \
		TESTDIR="$folder" TESTDATADIR="$folder" TESTLOGDIR="$folder/log" \
		top_builddir="$work/tree" PG_REGRESS="$pgxs/test/regress/pg_regress" "${@:4}" \
		timeout -k 20 "$3" perl -I "$pgxs/test/perl" -I src/test/t "$script" 2>&1 </dev/null
}
