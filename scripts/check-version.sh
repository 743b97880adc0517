#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# check-version.sh [TREE]: the version is what pcpuref.h says. Its number to compare,
# dkms.conf, README, the documentation, CHANGELOG, debian/changelog and the modules have to
# agree. Tells each that does not.

set -eu
cd "${1:-$(dirname "$0")/..}"
problems=0

wrong()
{
	printf '%s\n' "check-version: $*" >&2
	problems=$((problems + 1))
}

version=$(sed -n 's/^#define PCPUREF_VERSION "\(.*\)"$/\1/p' pcpuref.h)
number=${version%-dev}
printf '%s\n' "$number" | grep -qxE '(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*)){2}' ||
	wrong "pcpuref.h: PCPUREF_VERSION is \"$version\", not N.N.N or N.N.N-dev"

code=$(sed -n 's/^#define PCPUREF_VERSION_CODE PCPUREF_VERSION_NUMBER(\(.*\))$/\1/p' pcpuref.h)
[ "$code" = "$(printf '%s\n' "$number" | sed 's/\./, /g')" ] ||
	wrong "pcpuref.h: PCPUREF_VERSION_CODE is of ($code), the version $version"

dkms=$(sed -n 's/^PACKAGE_VERSION="\(.*\)"$/\1/p' dkms.conf)
[ "$dkms" = "$version" ] || wrong "dkms.conf: PACKAGE_VERSION is \"$dkms\", not $version"

# said FILE WHERE PATTERN: what the file says, at each place that has the pattern
said()
{
	_found=$(grep -oE "$3[0-9][0-9a-z.-]*" "$1" | sed -E "s,$3,,; s,\\.\$,,") || :
	[ -n "$_found" ] || wrong "$1: no $2"
	for _v in $_found; do
		[ "$_v" = "$version" ] || wrong "$1: $2 says $_v, not $version"
	done
}
said README.md status 'Status: version '
said README.md 'line of the log' 'pcpuref: version '
said README.md 'call of dkms' 'dkms [a-z]+ pcpuref/'
said Documentation/install.rst 'call of dkms' 'dkms [a-z]+ pcpuref/'
said Documentation/install.rst 'folder of dkms' '/usr/src/pcpuref-'

# What comes before a release is not released; a release is on top.
top=$(sed -n 's/^## \[\(.*\)\].*$/\1/p' CHANGELOG.md | head -n 1)
if [ "$number" = "$version" ]; then
	[ "$top" = "$version" ] || wrong "CHANGELOG.md: begins with [$top], the version is $version"
else
	[ "$top" = Unreleased ] ||
		wrong "CHANGELOG.md: begins with [$top], the version $version wants [Unreleased]"
	last=$(sed -n 's/^## \[\([0-9].*\)\].*$/\1/p' CHANGELOG.md | head -n 1)
	if [ "$last" = "$number" ] ||
		[ "$(printf '%s\n' "$last" "$number" | sort -V | tail -n 1)" != "$number" ]; then
		wrong "CHANGELOG.md: $last is released, the version $version does not follow it"
	fi
fi

# For Debian "~" is what comes before: 0.2.0~dev is older than 0.2.0.
debian=$(sed -n '1s/^pcpuref (\(.*\)) .*/\1/p' debian/changelog)
wanted=$(printf '%s\n' "$version" | sed 's/-dev$/~dev/')
[ "$debian" = "$wanted" ] || wrong "debian/changelog: begins with $debian, not $wanted"
if [ "$number" = "$version" ] && sed -n 1p debian/changelog | grep -q UNRELEASED; then
	wrong "debian/changelog: UNRELEASED, the version $version is not"
fi

# Each module that is installed, by the file that says so.
sed -n 's/^BUILT_MODULE_NAME\[.*\]="\(.*\)"$/\1/p' dkms.conf | grep -q . ||
	wrong "dkms.conf: no modules"
for dir in core holders watch; do
	grep -qs '^MODULE_VERSION(PCPUREF_VERSION);$' "$dir"/*.c ||
		wrong "$dir/: no MODULE_VERSION(PCPUREF_VERSION)"
done
others=$(find . -name '.?*' -prune -o -name '*.c' ! -name '*.mod.c' \
	-exec grep -H 'MODULE_VERSION(' {} + | grep -v 'MODULE_VERSION(PCPUREF_VERSION);$') || :
[ -z "$others" ] || wrong "a version of its own: $others"

[ "$problems" -eq 0 ]
