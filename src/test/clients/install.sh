# install.sh
#	  What the clients need that Debian's packages do not install, for ./run and bench/clients.
#
# Sourced after setup.sh.  Kept from run to run, in SYNCMAP_CLIENTS (/var/tmp/syncmap-clients).

here=$top/src/test/clients
kept=${SYNCMAP_CLIENTS:-/var/tmp/syncmap-clients}

make_kept()
{
	mkdir -p -m 700 "$kept"
	if [ -L "$kept" ] || [ ! -O "$kept" ]; then
		die "$kept belongs to somebody else: set SYNCMAP_CLIENTS"
	fi
	# held to our end
	exec {lock}>"$kept/lock"
	flock "$lock"
}

# What package-lock.json says, without what packages would run or fetch when they are installed.
install_node_modules()
{
	local folder=$kept/node

	if ! cmp -s "$here/package-lock.json" "$folder/installed"; then
		rm -rf "$folder"
		mkdir -p "$folder"
		cp "$here"/package{,-lock}.json "$folder"
		(cd "$folder" && npm ci --ignore-scripts --no-audit --no-fund --prefer-offline) || return 1
		cp "$here/package-lock.json" "$folder/installed"
	fi
	rm -rf "$folder"/*.mjs
	cp "$here"/*.mjs "$folder"
}

# install_source SOURCE PACKAGE FILE...: of the Debian source that the installed package was
# made from, as the authors of it publish it, these files, into $kept/SOURCE
install_source()
{
	local source=$1 package=$2 folder=$kept/$1 version upstream archive
	local -a options

	shift 2
	version=$(dpkg-query -W -f '${Version}' "$package")
	[ "$(cat "$folder/installed" 2>/dev/null)" != "$version" ] || return 0
	rm -rf "$folder"
	mkdir -p "$folder"/apt/{parts,lists/partial,archives/partial}
	cat /etc/apt/sources.list.d/*.sources 2>/dev/null |
		sed 's/^Types:.*/Types: deb-src/' >"$folder/apt/parts/all.sources"
	cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
		sed -n 's/^deb /deb-src /p' >"$folder/apt/parts/all.list"
	options=(-o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$folder/apt/parts"
		-o Dir::State::Lists="$folder/apt/lists" -o Dir::Cache="$folder/apt" -o APT::Sandbox::User=root)
	apt-get -q "${options[@]}" update || return 1
	# A change of Debian's to the package leaves the authors' archive as it is.
	upstream=${version%-*}
	while read -r version; do
		[ "${version%-*}" = "$upstream" ] || continue
		(cd "$folder" && apt-get -q "${options[@]}" source --download-only --only-source "$source=$version") || true
		archive=$(find "$folder" -maxdepth 1 -name '*.orig.tar.*' -not -name '*.asc' -print -quit)
		[ -z "$archive" ] || break
	done < <(apt-cache "${options[@]}" showsrc "$source" | sed -n 's/^Version: //p' | sort -u)
	[ -n "$archive" ] || return 1
	tar -xf "$archive" -C "$folder" --strip-components=1 --wildcards "$@" || return 1
	rm -rf "$archive" "$folder/apt" "$folder"/*.dsc "$folder"/*.debian.tar.*
	dpkg-query -W -f '${Version}' "$package" >"$folder/installed"
}
