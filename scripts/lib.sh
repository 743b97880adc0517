# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh disable=SC2154
#
# What the other scripts share: messages, the cache, Debian packages.
# To be sourced; the caller has set "top" to the root of the source tree.
#
# Nothing here changes the machine's package sources: packages of other
# suites come through apt trees of our own, below the cache.

# Messages go to stderr: stdout of several scripts is meant for "eval".
say()
{
	printf '%s\n' "pcpuref: $*" >&2
}

die()
{
	printf '%s\n' "pcpuref: error: $*" >&2
	exit 1
}

# A run of its own: make's command line variables, the choice of another
# architecture or language are not meant for what is built and parsed here.
unset MAKEFLAGS MFLAGS GNUMAKEFLAGS MAKELEVEL ARCH CROSS_COMPILE KBUILD_OUTPUT
export LC_ALL=C

cache=${PCPUREF_CACHE:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/pcpuref}
# The tag tells programs for backups to leave it out, and "make cache-clean" that all that
# is there is ours.
if [ ! -d "$cache" ]; then
	mkdir -p "$cache"
	echo "Signature: 8a477f597d28d172789f06886806bc55" >"$cache/CACHEDIR.TAG"
fi

# What is made in the cache, or in a folder of work_dir, is NAME.tmp.PID, or begins so,
# until it is complete. One whose process is gone was interrupted.
for _f in "$cache"/*.tmp.* "$cache"/work-*/*/*.tmp.*; do
	_pid=${_f##*.tmp.}
	[ ! -e "$_f" ] || [ -d "/proc/${_pid%%.*}" ] || rm -rf "$_f"
done

# For scripts that judge: how many verdicts they have given, and how many of them fail.
number=0
failures=0

# verdict NAME WHY: it passed if there is no reason why it did not
verdict()
{
	number=$((number + 1))
	if [ -z "$2" ]; then
		echo "ok $number $1"
	else
		printf '%s\n' "$2" | sed 's/^/# /'
		echo "not ok $number $1"
		failures=$((failures + 1))
	fi
}

# A value in a form that "eval" reads back as it was.
quote()
{
	printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"
}

# Two scripts may want the same thing of the cache at once: one makes it,
# the other one waits. The lock ends with the process that holds it.
lock()
{
	mkdir -p "$cache/lock"
	exec 9>"$cache/lock/$1"
	flock -n 9 || {
		say "waiting for another run, which makes or uses $1"
		flock 9
	}
}

unlock()
{
	exec 9>&-
}

may_be_root()
{
	[ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null 2>&1
}

as_root()
{
	may_be_root || die "needs root, or sudo, to run: $*"
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

have_package()
{
	# shellcheck disable=SC2016 # the format is dpkg-query's, not ours
	case $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) in
	installed) return 0 ;;
	*) return 1 ;;
	esac
}

# need_packages NAME...: install those that are missing, and only those.
need_packages()
{
	_missing=
	for _p; do
		have_package "$_p" || _missing="$_missing $_p"
	done
	[ -n "$_missing" ] || return 0
	command -v apt-get >/dev/null 2>&1 ||
		die "please install:$_missing (only apt-get is known here)"
	[ -z "${NO_INSTALL:-}" ] ||
		die "missing packages, which NO_INSTALL says not to install:$_missing"
	may_be_root || die "missing packages, and neither root nor sudo to install them.
As root: apt-get install$_missing"
	(
		lock apt
		say "installing$_missing"
		# shellcheck disable=SC2086 # a list of words
		set -- $_missing
		# Lists that are there may be all that is needed.
		apt_install "$@" >"$cache/apt.log" 2>&1 && exit 0
		say "updating the package lists"
		as_root apt-get -q update >>"$cache/apt.log" 2>&1 ||
			say "apt-get update failed, see $cache/apt.log"
		apt_install "$@" >>"$cache/apt.log" 2>&1 && exit 0
		tail -n 15 "$cache/apt.log" >&2
		exit 1
	) || die "cannot install$_missing"
}

apt_install()
{
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
		-o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 \
		install --no-install-recommends "$@" </dev/null 9>&-
}

# What a kernel or a module needs to be built.
need_build_packages()
{
	need_packages gcc make libc6-dev flex bison bc perl libelf-dev \
		libssl-dev cpio xz-utils kmod
}

# The mirror is the machine's own. apt itself reads both formats of source
# files; indextargets works before the first "apt-get update", too.
mirror()
{
	[ -z "${PCPUREF_MIRROR:-}" ] || { echo "$PCPUREF_MIRROR"; return 0; }
	# shellcheck disable=SC2016 # the format is apt's
	apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' \
		'Created-By: Packages' | awk '
		$3 == "main" && $2 !~ /[-\/]/ && $1 ~ /debian/ {
			sub("/*$", "", $1); print $1; exit
		}'
}

security_mirror()
{
	# shellcheck disable=SC2016
	_uri=$(apt-get indextargets \
		--format '$(REPO_URI) $(RELEASE) $(COMPONENT)' \
		'Created-By: Packages' | awk '
		$3 == "main" && $2 ~ /-security$/ && $1 ~ /debian/ {
			sub("/*$", "", $1); print $1; exit
		}')
	# Without one of its own: where mirrors keep it, beside the archive.
	[ -z "${PCPUREF_MIRROR:-}" ] && [ -n "$_uri" ] ||
		_uri=$(mirror | sed 's,/debian$,/debian-security,')
	echo "$_uri"
}

# apt_tree NAME [ARCH]: choose the private apt tree of a Debian release, for
# in_tree; of amd64 if nothing else is said. A tree that has lists keeps them,
# so that a second run needs no network and finds the same kernel;
# PCPUREF_REFRESH=1 asks for newer ones.
apt_tree()
{
	command -v apt-get >/dev/null 2>&1 ||
		die "Debian packages are fetched with apt-get: there is none here"
	tree_arch=${2:-amd64}
	_tree=$1
	[ "$tree_arch" = amd64 ] || _tree=$1-$tree_arch
	tree=$cache/apt/$_tree
	case $1 in
	bullseye) _suites="bullseye bullseye-security" ;;
	bookworm) _suites="bookworm bookworm-updates bookworm-security" ;;
	trixie) _suites="trixie-backports" ;;
	trixie-release) _suites="trixie trixie-updates trixie-security" ;;
	sid) _suites=sid ;;
	*) die "no such apt tree: $1" ;;
	esac
	_keys=/usr/share/keyrings/debian-archive-keyring.gpg
	[ -e "$_keys" ] || need_packages debian-archive-keyring

	# The caller may hold a lock of its own: another descriptor, and only
	# for as long as the subshell lives.
	mkdir -p "$cache/lock" "$tree/lists/partial" "$tree/debs"
	(
		flock 7
		if [ -e "$tree/complete" ] && has_lists && [ -z "${PCPUREF_REFRESH:-}" ]; then
			exit 0
		fi
		_main=$(mirror)
		[ -n "$_main" ] || die "no Debian mirror in the machine's package sources; set PCPUREF_MIRROR=URL"
		_sec=$(security_mirror)
		: >"$tree/sources.list"
		for _s in $_suites; do
			case $_s in
			*-security) _uri=$_sec ;;
			*) _uri=$_main ;;
			esac
			echo "deb [arch=$tree_arch signed-by=$_keys] $_uri $_s main" \
				>>"$tree/sources.list"
		done
		say "reading the package lists of $_tree"
		# Its status tells nothing: it is 0 when the mirror does not answer, and
		# not 0 when a suite is gone from there (an old release's). The latter is
		# no failure: what counts is whether the package is found, which shows later.
		rm -f "$tree/complete"
		in_tree apt-get -q update >"$tree/log" 2>&1 || :
		_failed=$(grep '^[WE]: Failed to fetch ' "$tree/log" |
			grep -v '  404 ' | head -n 1) || :
		has_lists || die "cannot read the package lists of $_tree
${_failed:-$(tail -n 3 "$tree/log")}"
		if [ -z "$_failed" ]; then
			: >"$tree/complete"
		else
			say "not all package lists of $_tree could be read; the next run tries again
$_failed"
		fi
	) 7>"$cache/lock/apt-$_tree" || exit 1
}

# Has the tree any list of packages?
has_lists()
{
	for _f in "$tree"/lists/*_Packages*; do
		[ ! -e "$_f" ] || return 0
	done
	return 1
}

in_tree()
{
	_cmd=$1
	shift
	"$_cmd" -o APT::Architecture="$tree_arch" \
		-o APT::Architectures="$tree_arch" \
		-o Dir::Etc::SourceList="$tree/sources.list" \
		-o Dir::Etc::SourceParts=/dev/null \
		-o Dir::Etc::PreferencesParts=/dev/null \
		-o Dir::State::Lists="$tree/lists" \
		-o Dir::State::status=/dev/null \
		-o Dir::Cache="$tree" \
		-o Dir::Cache::archives="$tree/debs" \
		-o APT::Update::Post-Invoke-Success::= \
		-o APT::Sandbox::User=root \
		-o Acquire::Languages=none \
		-o Acquire::Retries=3 \
		-o Acquire::Check-Valid-Until=false "$@"
}

# not_fetched DIR WHAT: why apt-get has not fetched WHAT into DIR, which has its log and is
# taken away. Ends the shell.
not_fetched()
{
	tail -n 5 "$1/log" >&2
	rm -rf "$1"
	die "cannot fetch $2 (PCPUREF_REFRESH=1 reads the package lists anew)"
}

# fetch DIR PACKAGE[=VERSION]...: unpack packages of the tree below DIR;
# nothing is installed. Names are exact: apt takes a pattern for a regular
# expression, and fetches half the archive.
fetch()
{
	_dir=$1
	shift
	_debs=$(mktemp -d "$cache/debs.tmp.$$.XXXXXX")
	for _p; do
		say "fetching $_p"
		# Other libraries' downloads must not see our lock.
		(cd "$_debs" && in_tree apt-get -q download "$_p") \
			>"$_debs/log" 2>&1 9>&- || not_fetched "$_debs" "$_p"
		dpkg -x "$_debs"/*.deb "$_dir"
		rm -f "$_debs"/*.deb
	done
	rm -rf "$_debs"
}

# unpacked_system NAME TREE PACKAGE...: a folder of the cache with packages of that apt tree
# and all that they need; it is left in $root. No script of a package is run.
unpacked_system()
{
	root=$cache/$1
	(
		lock "$1"
		if [ -e "$root/.complete" ] && [ -z "${PCPUREF_REFRESH:-}" ]; then
			exit 0
		fi
		apt_tree "$2"
		shift 2
		rm -rf "$root"
		_tmp=$root.tmp.$$
		mkdir -p "$_tmp/debs/partial"
		say "fetching $* and what they need"
		in_tree apt-get -q -y --no-install-recommends --download-only \
			-o Dir::Cache::archives="$_tmp/debs" install "$@" \
			>"$_tmp/log" 2>&1 9>&- || not_fetched "$_tmp" "$*"
		for _p in "$_tmp"/debs/*.deb; do
			dpkg -x "$_p" "$_tmp"
		done
		rm -rf "$_tmp/debs"
		: >"$_tmp/.complete"
		mv "$_tmp" "$root"
	) || exit 1
}

# in_root ROOT FOLDER COMMAND...: run it in such a system, where the cache and FOLDER are in
# the place that they have here; without ROOT, in this one. The mounts are seen by the
# command only.
in_root()
{
	_root=$1
	_folder=$2
	shift 2
	[ -n "$_root" ] || {
		"$@"
		return
	}
	# shellcheck disable=SC2016 # the inner shell's
	unshare -rm sh -c '
		set -e
		root=$1 cache=$2 folder=$3
		shift 3
		for d in /dev /proc "$cache" "$folder"; do
			mkdir -p "$root$d"
			mount --rbind "$d" "$root$d"
		done
		mkdir -p "$root/tmp"
		PATH=/usr/bin exec /usr/sbin/chroot "$root" "$@"
	' sh "$_root" "$cache" "$_folder" "$@"
}

# deps PACKAGE: names of what it depends on, one a line.
deps()
{
	in_tree apt-cache show --no-all-versions "$1" | awk -v RS='\n\n' -F '\n' 'NR == 1 {
		for (i = 1; i <= NF; i++)
			if ($i ~ /^Depends:/) {
				sub(/^Depends: */, "", $i)
				n = split($i, d, / *[,|] */)
				for (j = 1; j <= n; j++) {
					sub(/ .*/, "", d[j])
					print d[j]
				}
			}
	}'
}

# version_of PACKAGE: the newest one; version_of PACKAGE VERSION: that one if there
# is such a one, or else the newest.
version_of()
{
	if [ -n "${2:-}" ] && in_tree apt-cache show "$1=$2" >/dev/null 2>&1; then
		echo "$2"
		return 0
	fi
	in_tree apt-cache show --no-all-versions "$1" 2>/dev/null |
		awk '$1 == "Version:" { print $2; exit }'
}

# kernel_source 6.1|6.12|7: unpack Debian's source of that kernel, the
# newest 7.x there is, and leave its folder in $source. What was unpacked
# stays what it is until PCPUREF_REFRESH=1.
kernel_source()
{
	need_packages xz-utils
	lock "source-$1"
	source=$cache/source-$1
	if [ -e "$source/.complete" ] && [ -z "${PCPUREF_REFRESH:-}" ]; then
		unlock
		return 0
	fi
	case $1 in
	6.1 | 6.12)
		apt_tree bookworm
		_pkg=linux-source-$1
		;;
	7)
		# The series moves on with time, so it is found by pattern.
		apt_tree trixie
		_pkg=$(in_tree apt-cache pkgnames linux-source-7 |
			grep -x 'linux-source-7\.[0-9]*' | sort -V | tail -n 1)
		[ -n "$_pkg" ] || die "no linux-source-7.* in trixie-backports"
		;;
	*) die "no source package known for kernel $1" ;;
	esac
	_ver=$(version_of "$_pkg")
	[ -n "$_ver" ] || die "no package $_pkg in the lists"
	if [ "$(cat "$source/.complete" 2>/dev/null)" = "$_pkg $_ver" ]; then
		unlock
		return 0
	fi
	rm -rf "$source"
	_tmp=$source.tmp.$$
	mkdir -p "$_tmp"
	fetch "$_tmp/deb" "$_pkg"
	say "unpacking $_pkg $_ver"
	# The large parts that neither a build nor a check looks at.
	tar -xJf "$_tmp/deb/usr/src/$_pkg.tar.xz" -C "$_tmp" \
		--strip-components=1 \
		--exclude='*/Documentation/devicetree' \
		--exclude='*/tools/testing/selftests' \
		--exclude='*/drivers/gpu/drm/amd/include/asic_reg'
	rm -rf "$_tmp/deb"
	echo "$_pkg $_ver" >"$_tmp/.complete"
	mv "$_tmp" "$source"
	unlock
}

# ticker SECONDS LOG PATTERN WHAT NAME: tells now and then how many lines of LOG have the
# pattern. To be run beside what writes LOG, as $_ticker; no_ticker ends it, and so does the
# end of the shell.
ticker()
{
	_n=0
	while sleep "$1" >/dev/null 2>&1 && kill -0 $$ 2>/dev/null; do
		_n=$((_n + $1))
		say "  $(grep -c "$3" "$2" || :) $4 in ${_n}s ($5)"
	done
}
no_ticker()
{
	kill "$_ticker" 2>/dev/null || :
	wait "$_ticker" 2>/dev/null || :
}

# Run a kernel build, tell how far it is. The number of objects that a
# configuration makes is not known before: no total is told.
# kbuild LOG OBJDIR make-arguments...
kbuild()
{
	_log=$1
	_obj=$2
	shift 2
	ticker 20 "$_log" '^  \(CC\|AS\)' "objects compiled" "${_obj##*/}" 9>&- &
	_ticker=$!
	_rc=0
	make "$@" >"$_log" 2>&1 9>&- || _rc=$?
	no_ticker
	[ "$_rc" -eq 0 ] || {
		grep -n -B2 -A6 -i 'error' "$_log" | tail -n 40 >&2
		die "kernel build failed, see $_log"
	}
}

# built_kernel NAME WHAT OPTIONS VARS [TARGET]...: a kernel of $source that has OPTIONS and
# nothing else, in the folder $dir. Built once, kept in the cache; an interrupted build is
# taken up where it stopped. OPTIONS are words, of which those without a value are "y";
# VARS, such as ARCH=um, are words for make.
built_kernel()
{
	_name=$1 _what=$2
	_config=$(for _o in $3; do
		case $_o in
		*=*) echo "CONFIG_$_o" ;;
		*) echo "CONFIG_$_o=y" ;;
		esac
	done)
	_vars=$4
	shift 4
	_key=$({
		printf '%s\n' "$_config"
		cat "$source/.complete"
	} | sha256sum | cut -c 1-12)
	lock "$_name"
	dir=$cache/$_name-$_key
	if [ ! -e "$dir/.complete" ]; then
		mkdir -p "$dir"
		printf '%s\n' "$_config" >"$dir/fragment"
		say "building $_what of $(cut -d ' ' -f 2 "$source/.complete")"
		# shellcheck disable=SC2086 # a list of words
		kbuild "$dir/config.log" "$dir" -C "$source" $_vars O="$dir" \
			KCONFIG_ALLCONFIG="$dir/fragment" allnoconfig
		while read -r _line; do
			case $_line in
			*=n) ! grep -q "^${_line%n}" "$dir/.config" ||
				die "the kernel's configuration keeps ${_line%=n}" ;;
			*) grep -qx "$_line" "$dir/.config" ||
				die "the kernel's configuration does not take $_line" ;;
			esac
		done <"$dir/fragment"
		# shellcheck disable=SC2086
		kbuild "$dir/build.log" "$dir" -C "$source" $_vars O="$dir" \
			-j"$(nproc)" "$@"
		# Only this makes it a finished one.
		: >"$dir/.complete"
		for _old in "$cache/$_name"-*; do
			[ "$_old" = "$dir" ] || rm -rf "$_old"
		done
	fi
	unlock
}

# guest_run LOG COMMAND...: run a machine whose console is its stdout, and
# return what its task returned. See guest-init.sh for the lines.
guest_run()
{
	_log=$1
	shift
	: >"$_log"
	_rc=0
	if [ -n "${LIVE:-}" ]; then
		# The status of a pipe is that of its end: keep ours aside.
		{
			"$@" </dev/null 2>&1 || echo $? >"$_log.rc"
		} | tee "$_log" | sed -u -n 's/\r//g
			/^pcpuref-guest: start/,/^pcpuref-guest: exit/{
				/^pcpuref-guest: /d
				p
			}'
		_rc=$(cat "$_log.rc" 2>/dev/null || echo 0)
		rm -f "$_log.rc"
	else
		_name=${_log%/*}
		ticker 60 "$_log" '^ *\(not \)\{0,1\}ok [0-9]' results "${_name##*/}" 6>&- 9>&- &
		_ticker=$!
		"$@" </dev/null >"$_log" 2>&1 || _rc=$?
		no_ticker
	fi
	sed -i 's/\r//g' "$_log"
	if [ "$_rc" -eq 124 ] || [ "$_rc" -eq 137 ]; then
		say "the guest took too long, see $_log"
		return 124
	fi
	_rc=$(sed -n 's/^pcpuref-guest: exit \([0-9]*\)$/\1/p' "$_log")
	[ -n "$_rc" ] || {
		say "the guest did not come to its end, see $_log"
		return 125
	}
	return "$_rc"
}

# complaints LOG: what is wrong in a log of the kernel, one a line. A judge that dies has said
# nothing, which is no good news.
complaints()
{
	_complaints=$(awk -f "$top/scripts/warnings.awk" "$1") ||
		[ -n "$_complaints" ] || _complaints="warnings.awk failed"
	[ -z "$_complaints" ] || printf '%s\n' "$_complaints"
}

# may_skip KERNEL: a pattern of the reasons for which a test may skip itself on that kernel, of
# those that selftest.sh has and of uml-up, uml-smp, uml-clang. What such a kernel lacks is
# known. Another reason means that the machine is not as it should be.
may_skip()
{
	# Matches none: an empty pattern would match all.
	_reasons="^nothing is missing$"
	case $1 in
	uml-up | uml-clang) _reasons="needs two CPUs|with one CPU" ;;
	uml-smp) ;;
	# debug-check.sh has another task for KUnit.
	kasan) _reasons="no pcpuref_kunit_" ;;
	kcsan) _reasons="no pcpuref_kunit_|/sys/kernel/debug/failslab" ;;
	clang) _reasons="/sys/kernel/debug/failslab" ;;
	*) _reasons="/sys/kernel/debug/failslab|needs lockdep" ;;
	esac
	case $1 in
	*-rt) _reasons="$_reasons|lock sleeps on PREEMPT_RT" ;;
	*-arm64) _reasons="$_reasons|NMI on this architecture|has no RCU-tasks" ;;
	*-i386) _reasons="$_reasons|kallsyms does not list exports" ;;
	5.10) _reasons="$_reasons|has no RCU-tasks" ;;
	esac
	[ "${SMP:-4}" -gt 1 ] || _reasons="$_reasons|needs two CPUs|with one CPU|no CPU can be"
	printf '%s\n' "$_reasons"
}

# judge_selftests KERNEL STATUS LOG KTAP REPORT: what the selftests of a machine printed to its
# console LOG, and STATUS, that it ended with. Returns 0 if all is well.
judge_selftests()
{
	_problems=0
	sed -n '/^pcpuref-guest: start/,/^pcpuref-\(guest: exit\|dmesg: begin\)/p' \
		"$3" | grep -v '^pcpuref-' >"$4" || :
	# A test that failed is in the results; what is not there counts here.
	if [ "$2" -ne 0 ] && { [ "$2" -ge 124 ] || ! grep -q '^ *not ok ' "$4"; }; then
		echo "error: the machine ended with status $2"
		_problems=1
		tail -n 40 "$3"
	fi
	awk -v problems="$_problems" -v may_skip="$(may_skip "$1")" -f "$top/scripts/ktap.awk" \
		"$4" >"$5"
}

# work_dir NAME: leave in $work a folder for what is made of this checkout:
# builds, logs. Two checkouts do not meet there; a second run of the same
# waits for the first one. The file "checkout" says whose it is, to cache.sh.
work_dir()
{
	work=$cache/work-$(printf '%s' "$top" | cksum | cut -d ' ' -f 1)/$1
	mkdir -p "$work"
	[ -e "${work%/*}/checkout" ] || echo "$top" >"${work%/*}/checkout"
	exec 6>"$work/.lock"
	flock -n 6 || {
		say "another run is in $work, waiting for it"
		flock 6
	}
}

# tree_files: all files of the sources, without what was built among them
tree_files()
{
	(cd "$top" && find . -name '.?*' -prune -o -type f ! -name '*.o' ! -name '*.o.d' \
		! -name '*.a' ! -name '*.ko' ! -name '*.mod' ! -name '*.mod.c' ! -name '*.pyc' \
		! -name Module.symvers ! -name modules.order -print)
}

# client_from_docs FOLDER: the template client, copied there, whose Kbuild finds pcpuref by
# the two lines that the documentation has for that
client_from_docs()
{
	cp -R "$top/samples/template" "$1"
	awk '/^   (ccflags-y|KBUILD_[A-Z_]*) / {
			sub(/^ */, "")
			print
			n++
		}
		END { exit n != 2 }' "$top/Documentation/install.rst" >"$1/Kbuild" ||
		die "Documentation/install.rst has not exactly two lines for a Kbuild"
	echo "obj-m := template.o" >>"$1/Kbuild"
}

# crcs_agree MODULE SYMVERS: tell which symbols MODULE, plain or compressed, takes from
# pcpuref by another CRC than the one in SYMVERS; and if it takes none
crcs_agree()
{
	modprobe --dump-modversions "$1" 2>&1 | grep '	__pcpuref_' | {
		_n=0
		while read -r _crc _symbol; do
			_n=$((_n + 1))
			_has=$(awk -v s="$_symbol" '$2 == s { print $1 }' "$2")
			[ "$((_crc))" -eq "$((${_has:-0}))" ] && [ "$((_crc))" -ne 0 ] ||
				echo "$_symbol is $_crc there, ${_has:-missing} here;"
		done
		[ "$_n" -ne 0 ] || echo "$1 takes no symbol of pcpuref"
	}
}

# add_up FILE...: the sum of the "N passed, N failed, N skipped" that the
# files end with. A file without one is a failure.
add_up()
{
	for _f; do
		tail -n 1 "$_f" | grep -x '[0-9]* passed, [0-9]* failed, [0-9]* skipped' ||
			echo "0 passed, 1 failed, 0 skipped"
	done | awk '{
			p += $1; f += $3; s += $5
		}
		END {
			printf "%d passed, %d failed, %d skipped\n", p, f, s
			exit f || !p
		}'
}
