#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Each misuse gives exactly the reports that it should, and each of them names
# the reference, its release function and the caller, or who had it found.

set -eu

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"

# compare EXPECTED LOG: one "TEXT|NAME|RELEASE|CALLER" a line, in this order (or
# "found at the kill by FUNCTION" in the place of CALLER),
# against the reports in the log; says how they differ.
compare()
{
	awk -F '|' -v log_file="$2" '
	function lacks(what)
	{
		print "report " n " has no \"" what "\": " $0
	}
	FILENAME != log_file {
		text[++wanted] = $1
		ref[wanted] = $2
		func_name[wanted] = $3
		caller[wanted] = $4
		next
	}
	!/pcpuref: misuse: / && !/pcpuref: exit of an exited/ { next }
	# Only what the log repeats of it, not the expectation.
	/pcpuref-expect: / { next }
	{
		n++
		if (n > wanted) {
			print "one report too many: " $0
			next
		}
		if (!index($0, "pcpuref: misuse: " text[n] ": ") &&
		    !index($0, "pcpuref: " text[n] ": "))
			lacks(text[n])
		if (ref[n] != "" && !index($0, " name=" ref[n] " "))
			lacks("name=" ref[n])
		if (func_name[n] != "" && !index($0, " release=" func_name[n] " "))
			lacks("release=" func_name[n])
		# Compilers append to the name of a function that they copied.
		who = caller[n] ~ /^found at / ? caller[n] : "caller=" caller[n]
		if ($0 !~ (" " who "(\\.[a-z0-9.]+)?\\+0x"))
			lacks(who)
	}
	END {
		for (i = n + 1; i <= wanted; i++)
			print "no report: " text[i] " of " ref[i]
	}' "$1" "$2"
}

begin pcpuref_test_misuse

# What compare() is good for.
cat >"$tmp/want" <<'EOF'
kill of a dying reference|a|release_a [m]|misuse_kill
EOF
good='pcpuref: misuse: kill of a dying reference: name=a release=release_a [m]'
good="$good count=1 caller=misuse_kill+0x9/0x20 [m]"
why=
printf '%s\n' "$good" >"$tmp/log"
[ -z "$(compare "$tmp/want" "$tmp/log")" ] || why="refuses the right report"
printf '%s\n%s\n' "$good" "$good" >"$tmp/log"
[ -n "$(compare "$tmp/want" "$tmp/log")" ] || why="$why takes two for one"
: >"$tmp/log"
[ -n "$(compare "$tmp/want" "$tmp/log")" ] || why="$why needs no report"
for change in s/dying/living/ s/name=a/name=b/ s/release_a/release_b/ s/=misuse_k/=k/; do
	printf '%s\n' "$good" | sed "$change" >"$tmp/log"
	[ -n "$(compare "$tmp/want" "$tmp/log")" ] || why="$why misses $change"
done
verdict reports_are_compared "$why"

count=$(cat "$parameters/count")
i=0
while [ "$i" -lt "$count" ]; do
	start_case "$i"
	cat "$parameters/expected" >"$tmp/expected"
	report_case "$(compare "$tmp/expected" "$tmp/slice")"
	i=$((i + 1))
done

end pcpuref_test_misuse
