# chroot.sh
#	  Debian releases in chroots, for src/test/matrix and bench/engine/run.
#
# Sourced after setup.sh.  Needs root, debootstrap, and the Debian archive.  A chroot is
# made once, and kept in SYNCMAP_CHROOTS (/var/tmp/syncmap-chroots).

chroots=${SYNCMAP_CHROOTS:-/var/tmp/syncmap-chroots}
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}

# in_chroot ROOT COMMAND...: with what programs expect of a system.  Mounts and processes
# are of a namespace that ends with the command.
in_chroot()
{
	local propagation=private

	# The root of a chroot is no mount, whose propagation could be changed; then nothing
	# that is mounted here may be shared with anybody.
	if ! unshare --mount true 2>/dev/null; then
		! grep -q 'shared:' /proc/self/mountinfo || return 1
		propagation=unchanged
	fi
	unshare --mount --pid --fork --kill-child --propagation $propagation sh -c '
		mount -t proc proc "$0/proc" && mount --bind /dev "$0/dev" &&
			mount -t tmpfs tmpfs "$0/dev/shm" && exec chroot "$0" env -i PATH="$PATH" \
			HOME=/root TERM=dumb LC_ALL=C "$@"' "$@"
}

# make_chroot RELEASE: sets root to it, with a copy of the tree in /root/syncmap, and log to
# where it says what it does.  If it can't be had, sets why and fails.
make_chroot()
{
	local release=$1

	root=$chroots/$release
	log=$chroots/$release.log
	if [ "$(id -u)" != 0 ]; then
		why='needs root'
		return 1
	fi
	mkdir -p -m 700 "$chroots"
	if [ -L "$chroots" ] || [ ! -O "$chroots" ]; then
		why="$chroots belongs to somebody else"
		return 1
	fi
	# held to our end
	exec {chroot_lock}>"$root.lock"
	if ! flock --nonblock "$chroot_lock"; then
		why="$root is in use"
		return 1
	fi
	if [ ! -e "$root/.complete" ]; then
		rm -rf --one-file-system "$root"
		if ! debootstrap --variant=minbase "$release" "$root" "$mirror" >"$log" 2>&1; then
			why="debootstrap failed, see $log"
			return 1
		fi
		# a mirror of sid may be weeks behind
		echo 'Acquire::Check-Valid-Until "false";' >"$root/etc/apt/apt.conf.d/syncmap"
		touch "$root/.complete"
	fi
	if ! in_chroot "$root" dpkg --configure -a >"$log" 2>&1; then
		why="no chroot can be set up, see $log"
		return 1
	fi
	rm -rf "$root/root/syncmap" "$root"/tmp/syncmap.*
	mkdir -p "$root/root/syncmap"
	tar -C "$top" --exclude=./.git --exclude=build --exclude='*.o' --exclude='*.so' -cf - . |
		tar -C "$root/root/syncmap" -xf - || die "the tree can't be copied to $root"
}
