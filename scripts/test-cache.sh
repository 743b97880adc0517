#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# test-cache.sh: the cache and the packages that fill it, where something is in the way: no
# network, no root, NO_INSTALL=1, an interrupted run. Nothing is fetched or installed. Prints
# KTAP.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

need_build_packages
need_packages debian-archive-keyring
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export PCPUREF_CACHE="$work/cache"
# Nothing listens there.
export PCPUREF_MIRROR=http://127.0.0.1:9/debian
tree=cache/apt/bookworm

# fails NAME WANTED NOT-WANTED COMMAND...: it fails, and says the one and not the other
fails()
{
	_name=$1
	_wanted=$2
	_not=$3
	shift 3
	_why=
	! "$@" >out 2>&1 || _why="it is done;"
	grep -qF -- "$_wanted" out || _why="$_why not said: $_wanted;"
	! grep -F -- "$_not" out >said || _why="$_why $(cat said);"
	[ -z "$_why" ] || _why="$_why
$(cat out)"
}

none="Debian has no kernel"
lists="cannot read the package lists of bookworm"
fails no_network "$lists" "$none" "$top/scripts/stock-kernel.sh" 6.12
grep -q 'Failed to fetch .*127.0.0.1:9' out || _why="$_why the reason is not said: $(cat out)"
[ ! -e $tree/complete ] || _why="$_why the lists are complete;"
verdict "$_name" "$_why"

# From here on apt-get only says that it reads lists, in the manner that a file tells.
mkdir bin
cat >bin/apt-get <<END
#!/bin/sh
case " \$* " in
*" update "*) . "$work/update" ;;
*) exec /usr/bin/apt-get "\$@" ;;
esac
END
chmod +x bin/apt-get
PATH=$work/bin:$PATH
failed="W: Failed to fetch http://mirror/dists/suite/InRelease "

# What a stamp says of lists that are not there.
: >$tree/complete
echo "echo '$failed Could not connect'" >update
fails stamp_without_lists "$lists" "$none" "$top/scripts/stock-kernel.sh" 6.12
grep -q 'Could not connect' out || _why="$_why the reason is not said: $(cat out)"
verdict "$_name" "$_why"
rm -f $tree/complete

# One suite of three could be read: it is looked at, but the next run reads again.
some=$work/$tree/lists/mirror_Packages
echo ": >'$some'; echo '$failed Could not connect'" >update
fails some_lists "$none" "$lists" "$top/scripts/stock-kernel.sh" 6.12
grep -q 'the next run tries again' out || _why="$_why not said: $(cat out)"
[ ! -e $tree/complete ] || _why="$_why the lists are complete;"
verdict "$_name" "$_why"

# A suite that the mirror does not have will not be there at the next run either.
echo "echo '$failed 404  Not Found [IP: 10.0.0.1 80]'; exit 100" >update
fails suite_is_gone "$none" "$lists" "$top/scripts/stock-kernel.sh" 6.12
[ -e $tree/complete ] || _why="$_why the lists are not complete;"
verdict "$_name" "$_why"

echo "echo asked for lists" >update
fails complete "$none" "$lists" "$top/scripts/stock-kernel.sh" 6.12
! grep -q 'reading the package lists' out || _why="$_why lists are read again"
verdict "$_name" "$_why"

# Packages: nobody may install one here.
cat >bin/apt-get <<END
#!/bin/sh
echo "apt-get \$*" >>"$work/called"
exit 1
END
cat >bin/id <<'END'
#!/bin/sh
echo 1000
END
chmod +x bin/*
cat >want <<END
top=$top
. "$top/scripts/lib.sh"
need_packages pcpuref-none-such libc6 pcpuref-nor-this
END
fails no_install "NO_INSTALL says not to install: pcpuref-none-such pcpuref-nor-this" libc6 \
	env NO_INSTALL=1 sh want
[ ! -e called ] || _why="$_why $(cat called)"
verdict "$_name" "$_why"

# No sudo in the way: only what lib.sh itself calls.
for c in awk cat chmod cut dpkg-query env flock grep mkdir rm sed sh; do
	ln -s "$(command -v $c)" bin/
done
fails no_root "As root: apt-get install pcpuref-none-such pcpuref-nor-this" "$cache" \
	env -u NO_INSTALL PATH="$work/bin" sh want
[ ! -e called ] || _why="$_why $(cat called)"
verdict "$_name" "$_why"
rm -r bin
hash -r

# An interrupted run. Process 1 is there, one of this number never is.
mkdir -p cache/debs.tmp.4194305.abcdef/sub cache/stock-6.1-1
: >cache/uml-up.config.tmp.4194305
: >cache/debs.tmp.1.abcdef
_why=
"$top/scripts/cache.sh" list >out 2>&1 || _why="status $?;"
[ ! -e cache/debs.tmp.4194305.abcdef ] && [ ! -e cache/uml-up.config.tmp.4194305 ] ||
	_why="$_why is left: $(ls cache);"
[ -e cache/debs.tmp.1.abcdef ] || _why="$_why that of a running process is gone;"
verdict interrupted "$_why"

_why=
for f in stock-6.1-1 apt 'in all'; do
	grep -q "^[0-9.]*[KMG]*  $f" out || _why="$_why no $f;"
done
[ -z "$_why" ] || _why="$_why $(cat out)"
verdict list "$_why"

# Among what is made of a checkout, too.
mkdir -p cache/work-1/kunit-tree-up/tree.tmp.4194305/lib cache/work-1/kunit-tree-up/tree
_why=
"$top/scripts/cache.sh" list >out 2>&1 || _why="status $?;"
[ ! -e cache/work-1/kunit-tree-up/tree.tmp.4194305 ] || _why="$_why it is left;"
[ -e cache/work-1/kunit-tree-up/tree ] || _why="$_why what is complete is gone;"
verdict interrupted_in_work "$_why"

# What has another name would stay for ever, or be taken for complete.
_why=$(grep -nE '\.(tmp|new|part)(["/ ]|$)' "$top"/scripts/*.sh "$top"/Documentation/*.sh || :)
verdict names_of_what_is_not_complete "$_why"

# Whose a folder is; without the checkout it goes, but not from under a run.
cat >use <<END
top=\$1
. "$top/scripts/lib.sh"
work_dir some
END
mkdir here gone used
for f in here gone used; do
	sh use "$work/$f"
	eval "$f=work-$(printf '%s' "$work/$f" | cksum | cut -d ' ' -f 1)"
done
rmdir gone used
exec 5>"cache/${used:?}/some/.lock"
flock 5
_why=
"$top/scripts/cache.sh" list >out 2>&1 || _why="status $?;"
grep -q "^[0-9.]*[KMG]*  ${here:?}  $work/here\$" out || _why="$_why its checkout is not said;"
[ -e "cache/$here" ] || _why="$_why it is dropped;"
[ ! -e "cache/${gone:?}" ] || _why="$_why it is kept without its checkout;"
grep -qF "$work/gone" out || _why="$_why not said that it is dropped;"
[ -e "cache/$used" ] || _why="$_why it is dropped while it is in use;"
[ -e cache/work-1 ] || _why="$_why one that says nothing is dropped;"
exec 5>&-
[ -z "$_why" ] || _why="$_why $(cat out)"
verdict checkouts "$_why"
"$top/scripts/cache.sh" list >out 2>&1 || :
_why=
[ ! -e "cache/$used" ] || _why="it stays when nobody uses it: $(cat out)"
verdict checkout_gone_after_use "$_why"

_why=
"$top/scripts/cache.sh" clean >out 2>&1 || _why=$(cat out)
[ ! -e cache ] || _why="$_why is left: $(ls cache)"
verdict clean "$_why"

# Somebody's own folder.
mkdir cache
: >cache/thesis
fails clean_of_other_things "was not made by this" thesis "$top/scripts/cache.sh" clean
[ -e cache/thesis ] || _why="$_why it is gone"
verdict "$_name" "$_why"

echo "1..$number"
[ "$failures" -eq 0 ]
