#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# test-version.sh: check-version.sh accepts the tree as it is and as a release would
# be, and finds each place that does not agree. Prints KTAP.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
version=$(sed -n 's/^#define PCPUREF_VERSION "\(.*\)"$/\1/p' "$top/pcpuref.h")
number=0
failures=0

# The tree, with a version that the cases below can rely on.
fresh()
{
	rm -rf "$work/tree"
	mkdir "$work/tree"
	(cd "$top" && cp -r pcpuref.h dkms.conf README.md CHANGELOG.md core holders watch \
		debian "$work/tree"
		mkdir "$work/tree/Documentation"
		cp Documentation/install.rst "$work/tree/Documentation")
	cd "$work/tree"
	sed -i "s/$version/9.8.7-dev/" pcpuref.h dkms.conf README.md Documentation/install.rst
	sed -i '1s/(.*) [^;]*/(9.8.7~dev) UNRELEASED/' debian/changelog
	sed -i 's/^\(#define PCPUREF_VERSION_CODE\) .*/\1 PCPUREF_VERSION_NUMBER(9, 8, 7)/' pcpuref.h
	sed -i '0,/^## /s/^## .*/## [Unreleased]/' CHANGELOG.md
}

# expect NAME WANTED: of what check-version.sh says; "" if nothing
expect()
{
	number=$((number + 1))
	if "$top/scripts/check-version.sh" "$work/tree" >"$work/out" 2>&1; then
		said=
	else
		said=$(cat "$work/out")
	fi
	if { [ -z "$2" ] && [ -z "$said" ]; } ||
		{ [ -n "$2" ] && printf '%s\n' "$said" | grep -qF "$2"; }; then
		echo "ok $number $1"
	else
		sed 's/^/# /' "$work/out"
		echo "not ok $number $1"
		failures=$((failures + 1))
	fi
	cd "$top"
}

# defect NAME FILE SED WANTED: one change of the tree, and what is said of it
defect()
{
	fresh
	cp "$2" "$work/before"
	sed -i "$3" "$2"
	if cmp -s "$2" "$work/before"; then
		echo "Bail out! the defect of $1 changes nothing"
		exit 1
	fi
	expect "$1" "$4"
}

fresh
expect agreed ""

# released VERSION: the tree as a release
released()
{
	fresh
	sed -i "s/9\.8\.7-dev/$1/" pcpuref.h dkms.conf README.md Documentation/install.rst
	sed -i "1s/(.*) UNRELEASED/($1) unstable/" debian/changelog
	sed -i "s/^## \[Unreleased\]/## [$1]/" CHANGELOG.md
}

released 9.8.7
expect release ""

released 9.8.7
sed -i '1s/unstable/UNRELEASED/' debian/changelog
expect debian_unreleased "debian/changelog: UNRELEASED"

released 9.8
sed -i 's/NUMBER(9, 8, 7)/NUMBER(9, 8)/' pcpuref.h
expect form 'is "9.8", not N.N.N'

defect code pcpuref.h 's/NUMBER(9, 8, 7)/NUMBER(9, 8, 6)/' "VERSION_CODE is of (9, 8, 6)"
defect dkms dkms.conf 's/9\.8\.7-dev/9.8.7/' 'PACKAGE_VERSION is "9.8.7"'
defect readme_status README.md 's/Status: version 9\.8\.7/Status: version 9.8.6/' "status says 9.8.6-dev"
defect readme_log README.md 's/pcpuref: version 9\.8\.7-dev/pcpuref: version 9.8.7/' "log says 9.8.7,"
defect readme_dkms README.md 's,pcpuref/9\.8\.7-dev,pcpuref/0.1.0,' "dkms says 0.1.0"
defect readme_gone README.md '/Status: version/d' "no status"
defect doc_dkms Documentation/install.rst 's,install pcpuref/9\.8\.7-dev,install pcpuref/0.1.0,' \
	"install.rst: call of dkms says 0.1.0"
defect doc_folder Documentation/install.rst 's,/usr/src/pcpuref-[0-9a-z.-]*,/usr/src/pcpuref,' \
	"install.rst: no folder of dkms"
defect debian debian/changelog '1s/~dev//' "begins with 9.8.7, not 9.8.7~dev"
defect debian_form debian/changelog '1s/~/-/' "begins with 9.8.7-dev, not 9.8.7~dev"
defect changelog_top CHANGELOG.md 's/^## \[Unreleased\]/## [9.8.8]/' "begins with [9.8.8]"
defect changelog_later CHANGELOG.md '0,/^## \[[0-9].*/s//## [9.9.0]/' "9.9.0 is released"
defect changelog_same CHANGELOG.md '0,/^## \[[0-9].*/s//## [9.8.7]/' "9.8.7 is released"
defect module_without watch/pcpuref_watch.c '/^MODULE_VERSION/d' "watch/: no MODULE_VERSION"
defect module_own core/kref.c '2iMODULE_VERSION("1.0");' "a version of its own: ./core/kref.c"

released 9.8.7
sed -i 's/^## \[9\.8\.7\]/## [Unreleased]/' CHANGELOG.md
expect release_not_listed "begins with [Unreleased]"

echo "1..$number"
[ "$failures" -eq 0 ]
