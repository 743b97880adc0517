#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# test-make.sh: what make says of that which it cannot do, before kbuild or a download
# says something else; and that it passes the jobs of -j on. Builds nothing. Prints KTAP.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

need_packages make
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/a path"
cp "$top/Makefile" "$work/a path/"
cp -r "$top/Makefile" "$top/scripts" "$work/"
cd "$work"
# A kernel that only says what it is called with.
mkdir -p kernel/include/config empty
echo 6.12.0-none >kernel/include/config/kernel.release
cat >kernel/Makefile <<'END'
$(MAKECMDGOALS):
	@echo "kernel: $@ $(filter -j% --jobserver-auth=%,$(MAKEFLAGS))"
END

# As Debian's 6.1 is: what uname -r says stands in one of the two places only.
cp -r kernel kernel-6.1
mkdir kernel-6.1/include/generated
echo 6.1.192 >kernel-6.1/include/config/kernel.release
echo '#define UTS_RELEASE "6.1.0-57-amd64"' >kernel-6.1/include/generated/utsrelease.h

# refuses NAME WANTED make-argument...: it fails, and says so in one way
refuses()
{
	_name=$1
	_wanted=$2
	shift 2
	_why=
	! make "$@" >out 2>&1 || _why="it is done;"
	grep -qF -- "$_wanted" out || _why="$_why not said: $_wanted
$(cat out)"
	verdict "$_name" "$_why"
}

# The kernel there is the one that is meant, by the name that uname -r gives.
why=
make KDIR="$work/kernel-6.1" KERNELRELEASE=6.1.0-57-amd64 modules >out 2>&1 || why="it fails;"
grep -q '^kernel: modules' out || why="$why kbuild is not called: $(cat out)"
verdict name_of_the_kernel "$why"
refuses another_kernel "but the kernel in" KDIR="$work/kernel-6.1" KERNELRELEASE=6.1.192 modules
refuses no_such_folder "There is no such folder." KDIR=/none/such modules
refuses headers_of_this_kernel "linux-headers-$(uname -r)" KDIR=/none/such modules
refuses headers_of_another "apt-get install linux-headers-6.12.0-none" KERNELRELEASE=6.12.0-none modules
refuses rpm_of_another "dnf install kernel-devel-6.12.0-none" KERNELRELEASE=6.12.0-none modules
refuses not_a_kernel "No kernel headers in empty." KDIR=empty modules
echo all: >empty/Makefile
refuses not_built "No kernel is built in empty: " KDIR=empty modules
refuses output_folder "O=out: objects are made beside the sources" KDIR=kernel O=out modules
refuses blank_in_kdir 'has blanks or colons: KDIR="a kernel"' KDIR="a kernel" modules
refuses blank_in_path "path has blanks or colons: \"$work/a path\"" \
	-C "a path" KDIR="$work/kernel" modules
refuses blank_in_root "path has blanks: \"a root\"" KDIR=kernel DESTDIR="a root" install
refuses another_release "KERNELRELEASE is 9.9, but the kernel in kernel is 6.12.0-none" \
	KDIR=kernel KERNELRELEASE=9.9 modules
refuses no_release "no kernel in KDIR=/none/such" KDIR=/none/such uninstall
refuses no_name "is no name of a kernel" KDIR=/none/such KERNELRELEASE=../.. uninstall
refuses key_alone "takes both SIGN_KEY=file and SIGN_CERT=file" KDIR=kernel SIGN_KEY=empty install
refuses cert_alone "takes both SIGN_KEY=file and SIGN_CERT=file" KDIR=kernel SIGN_CERT=empty install
refuses no_key "no key to sign the modules with" KDIR=kernel SIGN_KEY=key SIGN_CERT=empty install
refuses no_sign_file "no kernel/scripts/sign-file" KDIR=kernel SIGN_KEY=empty SIGN_CERT=empty install
# Before packages are asked for, of which this machine has none, and before a download.
mkdir none selftests samples
: >selftests/run.sh
: >samples/demo-init.sh
printf '#!/bin/sh\nexit 1\n' >none/dpkg-query
chmod +x none/dpkg-query
export NO_INSTALL=1
with=$PATH
PATH=$work/none:$PATH
for t in bench bench-native demo demo-stuck fastpath kselftest selftest stress test-install traps; do
	refuses "kernel_of_$t" "no kernel 7.3 here: KERNEL= takes 6.12" KERNEL=7.3 "$t"
done
refuses uml_of_kunit "no User Mode Linux smtp here: UML= takes up" UML=smtp kunit
refuses uml_of_kunit-tree "no kernel tree smtp here: UML= takes up" UML=smtp kunit-tree
PATH=$with
unset NO_INSTALL

# takes NAME WANTED make-argument...: it succeeds, and says so
takes()
{
	_name=$1
	_wanted=$2
	shift 2
	_why=
	make "$@" >out 2>&1 || _why="it fails;"
	grep -q -- "$_wanted" out || _why="$_why not said: $_wanted"
	! grep -q "jobserver unavailable" out || _why="$_why jobs are not shared"
	[ -z "$_why" ] || _why="$_why
$(cat out)"
	verdict "$_name" "$_why"
}
takes jobs "^kernel: modules .*--jobserver-auth=" -j3 KDIR=kernel modules
takes jobs_of_clean "^kernel: clean .*--jobserver-auth=" -j3 KDIR=kernel clean
takes kernelrelease "^kernel: modules" KDIR=kernel KERNELRELEASE=6.12.0-none modules
takes help "uninstall" help

# A machine that has make, but neither compiler nor depmod. The Makefile adds folders to
# PATH in which this one may have depmod.
mkdir bare
for c in make sh sed grep cat uname ls; do
	ln -s "$(command -v $c)" bare/
done
sed 's,:/usr/sbin:/sbin,,' Makefile >Makefile.bare
! cmp -s Makefile Makefile.bare || die "the Makefile does not look for depmod as it did"
without()
{
	_what=$1
	shift
	# shellcheck disable=SC2123 # that is what is meant
	PATH=$work/bare
	"$_what" "$@" >verdict
	PATH=$with
	cat verdict
}
without refuses no_compiler "Debian, Ubuntu:  apt-get install gcc" KDIR=kernel modules
without refuses no_compiler_to_install "No C compiler in PATH." \
	KDIR=kernel DESTDIR="$work/root" install
without takes clean_without_compiler "^kernel: clean" KDIR=kernel clean
without takes compiler_named "^kernel: modules" KDIR=kernel CC=tcc modules
without takes llvm_named "^kernel: modules" KDIR=kernel LLVM=/opt/llvm/ modules
# As Debian's headers call it.
ln -s "$(command -v true)" bare/x86_64-linux-gnu-gcc-12
without takes compiler_of_another_name "^kernel: modules" KDIR=kernel modules
without refuses no_depmod "package kmod" \
	-f Makefile.bare KDIR=kernel DESTDIR="$work/root" install
_why=
! grep 'kernel: ' out || _why="it builds before it says so"
verdict no_depmod_no_build "$_why"

_why=
mkdir -p Documentation/_build __pycache__
: >Documentation/_build/index.html
: >__pycache__/lives.pyc
: >Makefile~
: >.checkpatch-camelcase.1
make KDIR=kernel distclean >out 2>&1 || _why=$(cat out)
for f in Documentation/_build __pycache__ Makefile~ .checkpatch-camelcase.1; do
	[ ! -e $f ] || _why="$_why $f is there;"
done
[ -e scripts/lib.sh ] || _why="$_why sources are gone"
verdict distclean "$_why"

echo "1..$number"
[ "$failures" -eq 0 ]
