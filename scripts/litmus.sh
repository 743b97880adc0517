#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# litmus.sh [--code | NAME...]: run the litmus tests of Documentation/models/litmus/
# with the kernel's memory model, and check the verdict that each has as "Result:" in
# its first comment. NAME is a test, which brings its twins along, or one twin; without
# it all are run, and the tests are compared with the code. With --code they are only
# compared, which needs no herd7.
#
#	NAME.litmus		what the code claims: Never
#	NAME+LESS.litmus	its twin, which lacks one thing: Sometimes
#
# Every test has a twin, is named in the code ("litmus: NAME"), and models functions
# that there are. What a twin lacks, the code has: its comment names it as
#
#	Lacks: TEXT in FUNCTION(), TEXT before TEXT in FUNCTION()
#
# where TEXT is what stands there in the code: so a barrier that is taken out of the
# code, or put after what it orders, is noticed here. (What only the order of other
# lines in the function would show is not.) "Lacks: the client's" is not the core's to
# have. Ends with the sum: "N passed, N failed, N skipped".
#
# Needs herd7: HERD, or the one in PATH, or Debian's, of which only sid has a package:
# it is unpacked into the cache with its own libraries, not installed. Without it all is
# skipped, and the exit status is 4.
#
# Environment: KERNEL, of whose source the model is (6.12; 6.1, 7), or MODEL, the
# tools/memory-model of another one; LITMUS, another folder of tests; CODE, another tree
# to compare them with.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

tests=${LITMUS:-$top/Documentation/models/litmus}
tests=$(cd "$tests" && pwd)
work_dir litmus
rm -rf "$work/out"
mkdir -p "$work/out"
passed=0
failed=0

find "$tests" -name '*.litmus' | sed 's,.*/,,;s/\.litmus$//' | sort >"$work/all"
[ -s "$work/all" ] || die "no litmus tests in $tests"
grep -v + "$work/all" >"$work/bases" || :
grep + "$work/all" >"$work/twins" || :
code_only=
if [ "${1:-}" = --code ]; then
	code_only=1
	shift
fi
: >"$work/names"
for name; do
	grep -x -F -e "$name" "$work/all" >>"$work/names" ||
		die "no litmus test $name"
	grep "^$name+" "$work/all" >>"$work/names" || :
done
[ $# -gt 0 ] || cp "$work/all" "$work/names"

# result NAME: complaints are in $work/complaints; there must be none.
result()
{
	if [ -s "$work/complaints" ]; then
		failed=$((failed + 1))
		echo "not ok $1"
		sed 's/^/# /' "$work/complaints"
	else
		passed=$((passed + 1))
		echo "ok $1"
	fi
}

# --- Tests and code -------------------------------------------------------------

# of TEST FIELD: what its first comment has there; a list may go on in other lines.
of()
{
	awk -v field=" * $2: " '
		function add(text,	n, i, item)
		{
			n = split(text, item, ",")
			for (i = 1; i <= n; i++) {
				gsub(/^ +| +$/, "", item[i])
				if (item[i] != "")
					print item[i]
			}
		}
		index($0, field) == 1 { add(substr($0, length(field) + 1)); more = 1; next }
		more && /^ \*        [^ ]/ { add(substr($0, 4)); next }
		{ more = 0 }
		/^ \*\)/ { exit }' "$tests/$1.litmus"
}

# lacking LIST CODE: LIST has lines "NAME<tab>TEXT [before TEXT] in FUNCTION()"; print
# those of which no function of that name in CODE has the text in its body. (There may
# be one for each way to compile.)
lacking()
{
	awk '
	NR == FNR {
		line[++n] = $0
		of_function = $0
		sub(/.* in /, "", of_function)
		sub(/\(\)$/, "", of_function)
		name[n] = of_function
		first[n] = substr($0, index($0, "\t") + 1)
		sub(/ in [a-z_]+\(\)$/, "", first[n])
		at = index(first[n], " before ")
		if (at) {
			second[n] = substr(first[n], at + 8)
			first[n] = substr(first[n], 1, at - 1)
		}
		next
	}
	/^[A-Za-z_]/ && match($0, /[A-Za-z0-9_]+\(/) {
		function_name = substr($0, RSTART, RLENGTH - 1)
	}
	/^[^ \t{}].*;$/ { function_name = "" }
	/^{/ { body = "" }
	{ body = body $0 "\n" }
	/^}/ && function_name != "" {
		for (i = 1; i <= n; i++) {
			at = name[i] == function_name ? index(body, first[i]) : 0
			if (at && (second[i] == "" || index(body, second[i]) > at))
				has[i] = 1
		}
		function_name = ""
	}
	END {
		for (i = 1; i <= n; i++)
			if (!has[i])
				print line[i]
	}' "$1" "$2"
}

# unnamed: the functions, on stdin, that have a barrier or an RMW that orders, and whose body
# and comment name no test
unnamed()
{
	awk '
	/litmus:/ { named = 1 }
	/^[A-Za-z_]/ && match($0, /[A-Za-z0-9_]+\(/) {
		function_name = substr($0, RSTART, RLENGTH)
	}
	!/^[ \t]*\/?\*/ &&
	/smp_(r?mb|wmb|store_release|load_acquire|acquire__after_ctrl_dep|mb__[a-z_]+)\(|atomic[a-z_0-9]*_(acquire|release)\(|synchronize_rcu[a-z_]*\(/ {
		orders = 1
	}
	/^}/ {
		if (orders && !named)
			print function_name ") orders something, and names no test"
		named = 0
		orders = 0
	}'
}

compare_with_code()
{
	(
		cd "${CODE:-$top}"
		cat pcpuref.c pcpuref.h pcpuref_kref.h core/*.[ch] holders/*.[ch]
	) >"$work/code"

	# A name that is spelt wrong is no name of a test; nothing after it is none either.
	grep -o 'litmus:.*' "$work/code" | sed 's/^litmus: *//' |
		grep -o '^[a-z0-9-]*\(, [a-z0-9-]*\)*' | sed 's/, /\n/g' | sort -u >"$work/named"
	comm -23 "$work/bases" "$work/named" | sed 's/$/ is not named/' >"$work/complaints"
	result "each test is named in the code"
	comm -13 "$work/bases" "$work/named" | sed 's/$/ is no test/' >"$work/complaints"
	grep 'litmus:' "$work/code" | grep -v 'litmus: [a-z0-9]' >>"$work/complaints" || :
	result "the code names tests that there are"

	unnamed <"$work/code" >"$work/complaints"
	result "what orders in the code names its test"

	# A comment may go on naming a function that has gone.
	grep -v '^[[:space:]]*/\{0,1\}\*' "$work/code" >"$work/functions"
	grep -o '\<[A-Za-z0-9_]*(' "$work/functions" | sort -u >"$work/there"
	while read -r name; do
		of "$name" Models >"$work/models"
		[ -s "$work/models" ] || echo "nothing $name"
		sed "s/)*$/ $name/" "$work/models"
	done <"$work/bases" | awk '
		NR == FNR { there[$1]; next }
		$1 == "nothing" { print $2 " models nothing"; next }
		!($1 in there) { print $2 ": there is no " $1 ")" }' \
		"$work/there" - >"$work/complaints"
	result "each test models functions that there are"

	: >"$work/complaints"
	while read -r name; do
		of "$name" Lacks >"$work/lacks"
		[ -s "$work/lacks" ] || echo "$name does not say what it lacks" >>"$work/complaints"
		grep -v -x "the client's" "$work/lacks" | sed "s/^/$name	/" || :
	done <"$work/twins" >"$work/all-lacks"
	lacking "$work/all-lacks" "$work/functions" |
		sed 's/	/: the code lacks it as well: /' >>"$work/complaints"
	result "the code has what each twin lacks"

	# shellcheck disable=SC2094 # that file is only read
	# What is claimed never happens; what lacks something shows that it is needed.
	while read -r name; do
		case $name in
		*+*)
			want=Sometimes
			grep -q -x -F -e "${name%%+*}" "$work/bases" ||
				echo "$name is a twin of nothing"
			;;
		*)
			want=Never
			grep -q "^$name+" "$work/all" || echo "$name has no twin"
			;;
		esac
		[ "$(of "$name" Result)" = "$want" ] ||
			echo "$name does not say \"Result: $want\""
		[ "$(sed -n '1s/^C //p' "$tests/$name.litmus")" = "$name" ] ||
			echo "$name has another name inside"
	done <"$work/all" >"$work/complaints"
	result "each test has a twin, and says what it expects"
}

# --- herd7 ------------------------------------------------------------------------

# skip REASON: nothing but the comparison above can be done.
skip()
{
	echo "SKIP: $1"
	if [ "$failed" -gt 0 ]; then
		echo "$passed passed, $failed failed, $(wc -l <"$work/names") skipped"
		exit 1
	fi
	# The comparison is no proof of anything: it does not count.
	echo "0 passed, 0 failed, $(wc -l <"$work/names") skipped"
	exit 4
}

# In a subshell: it may end in die. What it tells is in the reason.
unpack_herd()
{
	apt_tree sid
	rm -rf "$cache/herd"
	mkdir -p "$cache/herd.tmp.$$"
	# shellcheck disable=SC2046 # a list of words
	fetch "$cache/herd.tmp.$$" herdtools7 $(deps herdtools7)
	mv "$cache/herd.tmp.$$" "$cache/herd"
}

find_herd()
{
	herd=${HERD:-$(command -v herd7 || :)}
	if [ -n "$herd" ]; then
		printf '#!/bin/sh\nexec %s "$@"\n' "$(quote "$herd")" >"$work/herd"
	else
		[ "$(dpkg --print-architecture 2>/dev/null)" = amd64 ] ||
			skip "no herd7 here, and Debian's is unpacked on amd64 only"
		lock herd
		if [ ! -d "$cache/herd" ] || [ -n "${PCPUREF_REFRESH:-}" ]; then
			(unpack_herd) || skip "no herd7 here, and Debian's cannot be fetched"
		fi
		unlock
		libraries=$(find "$cache/herd" -name libc.so.6 -o -name 'libgmp.so.*' |
			sed 's,/[^/]*$,,' | sort -u | paste -s -d :)
		libdir=$(find "$cache/herd" -name stdlib.cat | head -n 1)
		cat >"$work/herd" <<END
#!/bin/sh
exec $(quote "$(find "$cache/herd" -name ld-linux-x86-64.so.2 | head -n 1)") \\
	--library-path $(quote "$libraries") \\
	$(quote "$cache/herd/usr/bin/herd7") -set-libdir $(quote "${libdir%/*}") "\$@"
END
	fi
	chmod +x "$work/herd"
	"$work/herd" -version >"$work/version" 2>&1 || {
		sed 's/^/# /' "$work/version"
		skip "herd7 does not run (${herd:-the one in $cache/herd})"
	}
}

find_model()
{
	model=${MODEL:-}
	if [ -z "$model" ]; then
		(kernel_source "${KERNEL:-6.12}") ||
			skip "no kernel source to take the memory model from"
		model=$cache/source-${KERNEL:-6.12}/tools/memory-model
	fi
	[ -e "$model/linux-kernel.cfg" ] || die "no memory model in $model"
}

# --- The run ------------------------------------------------------------------------

[ $# -gt 0 ] || compare_with_code
if [ -n "$code_only" ]; then
	echo "$passed passed, $failed failed, 0 skipped"
	[ "$failed" -eq 0 ]
	exit
fi
find_herd
find_model

# herd7 looks for the parts of the model in the folder that it runs in.
cd "$model"
# shellcheck disable=SC2016 # for the shell that xargs starts
xargs -P 2 -I '{}' sh -c '
	timeout 120 "$1/herd" -conf linux-kernel.cfg "$2/$3.litmus" >"$1/out/$3" 2>&1 ||
		echo "herd7 returned $?" >>"$1/out/$3"' \
	sh "$work" "$tests" '{}' <"$work/names"

while read -r name; do
	want=$(of "$name" Result)
	got=$(sed -n 's/^Observation [^ ]* \([^ ]*\).*/\1/p' "$work/out/$name")
	# A data race would make the verdict meaningless.
	if [ -n "$want" ] && [ "$got" = "$want" ] &&
	   ! grep -q '^\(Flag\|Warning\|herd7 returned\)' "$work/out/$name"; then
		: >"$work/complaints"
	else
		cp "$work/out/$name" "$work/complaints"
		got="${got:-nothing}, want ${want:-what it does not say}"
	fi
	result "$name: $got"
done <"$work/names"

echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
