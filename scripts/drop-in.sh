#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# drop-in.sh [VARIANT] [TEST]...: drivers of a distribution kernel's source, built
# unchanged with pcpuref_compat.h and put to work on that kernel (Debian's 6.12) in
# virtual machines. The source is fetched; nothing of it is in this tree.
#
# VARIANT:
#	pcpuref	percpu_refs are pcpurefs (default)
#	plain	the drivers as they are: what the workloads say about these
#	mutants	drivers that are wrong in a known way: the tests must find it
#
# TEST: md, md-debug, target, nvmet; all without one. See selftests/drop-in/.
# Prints the results and ends with "N passed, N failed, N skipped".
# Environment: as of vm.sh, but TIMEOUT is 1800 and MEM 1G.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

variant=pcpuref
case ${1:-} in
plain | pcpuref | mutants)
	variant=$1
	shift
	;;
esac
[ $# -gt 0 ] || set -- md md-debug target nvmet
for t; do
	case $t in
	md | md-debug | target | nvmet) ;;
	*) die "usage: $0 [plain|pcpuref|mutants] [md|md-debug|target|nvmet]..." ;;
	esac
done

assignments=$("$top/scripts/stock-kernel.sh" 6.12)
eval "$assignments"
kernel_source 6.12
need_packages mdadm e2fsprogs dmsetup kmod xz-utils

# A driver's private headers and those in the kernel's headers are of one version, or
# its types differ from what the kernel knows.
source_version=$(cut -d ' ' -f 2 "$source/.complete")
headers_version=$(sed -n 's/.*LINUX_PACKAGE_ID ".*Debian \([^ "]*\)".*/\1/p' \
	"$KDIR/include/generated/package.h" 2>/dev/null || :)
if [ "$source_version" != "$headers_version" ]; then
	why="the source is $source_version, the headers of $RELEASE are ${headers_version:-unknown}"
	[ "${source_version%%-*}" = "${headers_version%%-*}" ] ||
		die "$why (PCPUREF_REFRESH=1 fetches both anew)"
	say "note: $why"
fi

work_dir drop-in
stamp="$source_version $RELEASE"
if [ "$(cat "$work/stamp" 2>/dev/null)" != "$stamp" ]; then
	# Other sources may have older times: make would not notice.
	rm -rf "$work/driver"
	echo "$stamp" >"$work/stamp"
fi

# --- Build --------------------------------------------------------------------------

# copy DESTINATION FILE...: with their times, and only what changed.
copy()
{
	_dst=$1
	shift
	mkdir -p "$_dst"
	for _f; do
		cmp -s "$_f" "$_dst/${_f##*/}" || cp -p "$_f" "$_dst/"
	done
}

# driver KIND DRIVER [VARIABLE=VALUE]...: build it, leave the modules' folder in $built.
driver()
{
	_kind=$1
	_name=$2
	shift 2
	_dir=$work/driver/$_kind/$_name
	_m=$_dir
	case $_name in
	md) copy "$_dir" "$source"/drivers/md/*.[ch] ;;
	target)
		copy "$_dir" "$source"/drivers/target/*.[ch]
		copy "$_dir/loopback" "$source"/drivers/target/loopback/*.[ch]
		;;
	nvmet)
		_m=$_dir/target
		copy "$_m" "$source"/drivers/nvme/target/*.[ch]
		copy "$_dir/host" "$source"/drivers/nvme/host/*.h
		;;
	esac
	cmp -s "$top/selftests/drop-in/$_name.kbuild" "$_m/Kbuild" ||
		cp "$top/selftests/drop-in/$_name.kbuild" "$_m/Kbuild"
	[ "$_kind" != leak ] || leak "$_name" "$_m"
	if [ "$_kind" != plain ]; then
		set -- "$@" PCPUREF="$top" \
			KBUILD_EXTRA_SYMBOLS="$work/build/Module.symvers"
	fi
	say "building $_name of $source_version ($_kind)"
	find "$_m" -name '*.ko' -exec rm -f {} +
	_rc=0
	make -C "$KDIR" M="$_m" "$@" -j"$(nproc)" modules \
		>"$_dir/build.log" 2>&1 6>&- || _rc=$?
	_problems=$(grep -E 'warning:|WARNING:|[Ee]rror:|\*\*\*' "$_dir/build.log" |
		grep -v 'the compiler differs from the one used' || :)
	if [ "$_rc" -ne 0 ] || [ -n "$_problems" ]; then
		grep -vE '^(  [A-Z]+( \[M\])? |Skipping BTF|make(\[[0-9]+\])?: (Enter|Leav))' \
			"$_dir/build.log" >&2 || :
		# Seen once, a warning must be seen again.
		find "$_dir" -name '*.o' -exec rm -f {} +
		die "building $_name ($_kind) failed, see $_dir/build.log"
	fi
	# What still calls the kernel's functions has not been turned over.
	if [ "$_kind" != plain ]; then
		for _f in "$_m"/*.ko; do
			! nm -u "$_f" | grep -w 'percpu_ref_[a-z_]*' >&2 ||
				die "${_f##*/} ($_kind) calls the kernel's percpu_ref"
		done
	fi
	built=$_m
}

# --- The machines -------------------------------------------------------------------

# Names of modules and their files, one a line, with "_" in the names.
find "$MODDIR" -name '*.ko*' | awk '{
	name = $0
	sub(/.*\//, "", name)
	sub(/\.ko.*/, "", name)
	gsub(/-/, "_", name)
	print name, $0
}' >"$work/stock-modules"

# stage FOLDER...: a tree of modules in $work/root: those of the folders, and the stock
# kernel's that they or the workloads need.
stage()
{
	_tree=$work/root/lib/modules/$RELEASE
	rm -rf "$work/root"
	mkdir -p "$_tree/kernel" "$_tree/updates"
	cp "$work/build/pcpuref.ko" "$work/build"/*/pcpuref_watch.ko \
		"$work/build"/*/pcpuref_holders.ko "$_tree/updates/"
	for _f; do
		cp "$_f"/*.ko "$_tree/updates/"
	done
	_have=" "
	_todo="brd ext4 dm_mod sd_mod nvme_tcp crc32c_generic"
	for _f in "$_tree/updates"/*.ko; do
		_todo="$_todo $(modinfo -F depends "$_f" | tr ',-' ' _')"
		_n=${_f##*/}
		_have="$_have$(echo "${_n%.ko}" | tr - _) "
	done
	while [ -n "$_todo" ]; do
		_next=
		for _n in $_todo; do
			case $_have in
			*" $_n "*) continue ;;
			esac
			_have="$_have$_n "
			_f=$(awk -v n="$_n" '$1 == n { print $2; exit }' "$work/stock-modules")
			[ -n "$_f" ] || die "no module $_n in the stock kernel"
			case $_f in
			*.xz) xz -dc "$_f" >"$_tree/kernel/$_n.ko" ;;
			*) cp "$_f" "$_tree/kernel/" ;;
			esac
			_next="$_next $(modinfo -F depends "$_f" | tr ',-' ' _')"
		done
		_todo=$(echo "$_next" | xargs)
	done
	cp "$MODDIR"/modules.builtin* "$MODDIR/modules.order" "$_tree/"
	depmod -b "$work/root" "$RELEASE"

	# Beside busybox, with the libraries that they need.
	mkdir -p "$work/root/sbin" "$work/root/etc"
	ln -s ../bin/busybox "$work/root/sbin/modprobe"
	ln -s ../proc/mounts "$work/root/etc/mtab"
	cp /etc/mke2fs.conf "$work/root/etc/"
	for _f in mdadm mkfs.ext4 e2fsck dmsetup; do
		_f=$(PATH=$PATH:/usr/sbin:/sbin command -v "$_f") ||
			die "no program $_f"
		cp -L "$_f" "$work/root/sbin/"
		ldd "$_f"
	done | sed -n 's,^\(.* => \)\{0\,1\}[ \t]*\(/[^ ]*\) (.*,\2,p' | sort -u >"$work/libraries"
	while read -r _f; do
		mkdir -p "$work/root${_f%/*}"
		cp -L "$_f" "$work/root$_f"
	done <"$work/libraries"

	mkdir -p "$work/root/selftests"
	cp -R "$top/selftests/drop-in" "$top/selftests/run.sh" "$top/selftests/lib.sh" \
		"$top/scripts/warnings.awk" "$work/root/selftests/"
	cp "$top/scripts/warnings.awk" "$work/root/selftests/drop-in/"
	# Emulated, on a machine that does other things as well.
	echo "timeout=${DROP_IN_TIMEOUT:-1500}" >"$work/root/selftests/settings"
}

# machine NAME TEST...: run these in what was staged; results in $work/NAME.report.
machine()
{
	_name=$1
	shift
	log=$work/$_name.log
	{
		echo "export SELFTESTS='$(printf 'drop-in/%s.sh ' "$@")'"
		echo "export DROP_IN=$variant QUICK=${QUICK:-}"
		cat "$top/scripts/guest-drop-in.sh" "$top/scripts/guest-selftest.sh"
	} >"$work/task"
	"$top/scripts/initramfs.sh" "$work/initramfs" "$work/task" "$work/root/.:/"
	say "booting $RELEASE for: $*"
	_rc=0
	# shellcheck disable=SC2030,SC2031
	MEM=${MEM:-1G} TIMEOUT=${TIMEOUT:-1800} "$top/scripts/vm.sh" "$IMAGE" \
		"$work/initramfs" "$log" quiet loglevel=2 log_buf_len=4M || _rc=$?
	judge_selftests 6.12 "$_rc" "$log" "$work/$_name.ktap" "$work/$_name.report"
}

# leak NAME FOLDER: a driver that forgets an exit. Its source here is a copy.
leak()
{
	case $1 in
	md) sed -i '/percpu_ref_exit(&mddev->writes_pending);/d' "$2/md.c" ;;
	esac
}

# caught MUTANT TEST RESULT TEXT: the test named RESULT must fail, and say TEXT.
caught()
{
	mutants=$((mutants + 1))
	machine "mutant-$1" "$2" || :
	if grep -q "not ok [0-9]* $3\$" "$work/mutant-$1.ktap" &&
		grep -q "# .*$4" "$work/mutant-$1.ktap"; then
		echo "ok $mutants $1"
	else
		failed=$((failed + 1))
		sed 's/^/# /' "$work/mutant-$1.ktap"
		echo "not ok $mutants $1"
	fi
	grep "# .*$4" "$work/mutant-$1.ktap" | head -n 1
}

"$top/scripts/build-modules.sh" "$KDIR" "$work/build" holders watch

if [ "$variant" = mutants ]; then
	QUICK=1
	mutants=0
	failed=0
	driver strict md DROP_IN_MUTANT=strict
	stage "$built"
	caught md-without-allow-zero md goes_clean_when_idle '\(new\|after a write\): active'
	driver leak md
	stage "$built"
	caught md-without-an-exit md refs_are_gone 'left: .*writes_pending'
	driver strict target DROP_IN_MUTANT=strict
	stage "$built"
	caught target-without-allow-zero target log_is_clean 'misuse: .*refcnt'
	echo "$((mutants - failed)) passed, $failed failed, 0 skipped"
	[ "$failed" -eq 0 ]
	exit
fi

together=
folders=
debug=
for t; do
	case $t in
	md-debug) debug=yes ;;
	*)
		driver "$variant" "$t"
		together="$together $t"
		folders="$folders $built"
		;;
	esac
done

reports=
rc=0
if [ -n "$together" ]; then
	# shellcheck disable=SC2086 # lists of words
	stage $folders
	# shellcheck disable=SC2086
	machine drivers $together || rc=1
	reports="$reports $work/drivers.report"
fi
# Without pcpuref there is nothing to account.
if [ -n "$debug" ] && [ "$variant" = pcpuref ]; then
	driver debug md DROP_IN_DEBUG=1
	stage "$built"
	machine debug md-debug || rc=1
	reports="$reports $work/debug.report"
fi

echo "# kernel $RELEASE, drivers of $source_version ($variant)"
for r in $reports; do
	cat "$r"
	# What lived and died, and who was named.
	sed -n 's/^ *\(# name=.*=.*\)/\1/p; s/^ *\(# pcpuref_holders: .*holder: .*\)/\1/p' \
		"${r%.report}.ktap"
done
[ "$rc" -eq 0 ] || echo "# consoles and the kernels' logs: $work/*.log"
# shellcheck disable=SC2086
add_up $reports || rc=1
exit "$rc"
