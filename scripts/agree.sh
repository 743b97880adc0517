#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# agree.sh: does the code do what the model of the state machine does? Spin simulates
# Documentation/models/machine.pml with random sequences of legal operations, and a module
# (selftests/agree/) does the same under User Mode Linux. Both tell the state after each
# operation; the first that differs is a failure. So is an operation that the model can do
# in some state, as exploring it in full shows, and that no sequence did in it.
# Ends with the sum: "N passed, N failed, N skipped".
#
# Environment: SEED (1), from which all sequences follow, and SEQUENCES (800), how many of
# each kind: with other numbers a rare operation may be missed.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$top/scripts/lib.sh"

seed=${SEED:-1}
sequences=${SEQUENCES:-800}
model=$top/Documentation/models/machine.pml
kinds="plain allow_zero"

need_packages spin gcc libc6-dev
assignments=$("$top/scripts/uml-kernel.sh" up)
eval "$assignments"
work_dir agree
log=$work/console.log

# --- The model ------------------------------------------------------------------------

# spin OPTION...: on the model, for the kind that is looked at
spin_model()
{
	case $kind in
	plain) spin -DREPLAY -DINVARIANTS "$@" "$model" ;;
	allow_zero) spin -DREPLAY -DINVARIANTS -DALLOW_ZERO "$@" "$model" ;;
	esac
}

# PCPUREF_ALLOW_REINIT, which the model takes for granted, and PCPUREF_ALLOW_ZERO
flags()
{
	case $kind in
	plain) echo 4 ;;
	allow_zero) echo 36 ;;
	esac
}

# named_pairs OUTPUT...: of state and operation, by the names that simulation prints
named_pairs()
{
	awk '
	$1 == "name:" { name[$2] = $3 }
	$1 == "pair:" && name[$5] != "EXIT" {
		print name[$2] ($3 ? ",recorded" : "") ($4 ? ",held" : ""), name[$5]
	}' "$@" | sort -u
}

# Leaves "states", what the code must say as well, and "sequences", what it has to do.
simulate()
{
	spin_model -DSEQUENCES="$sequences" -T -n"$seed" >simulation 2>&1 || :
	if grep -q 'assertion violated' simulation ||
	   [ "$(grep -c '^state: EXIT ' simulation)" -ne "$sequences" ]; then
		grep -v '^\(name\|pair\): ' simulation | grep -A 5 -B 40 'assertion violated' ||
			tail -n 40 simulation
		return
	fi
	# An exited reference has no mode, and no more of what depends on it.
	sed -n 's/^state: //
		s/MODE_\([A-Z]*\)/\L\1/
		s/STATE_\([A-Z]*\)/\L\1/
		s/^\(EXIT .*\) mode=.* \(zero=\)/\1 \2/
		/answer=/p' simulation >states
	# The other flags: PCPUREF_INIT_DEAD, PCPUREF_INIT_ATOMIC.
	awk -v flags="$(flags)" '
	$1 == "INIT" { printf "INIT %d", flags + (/state=dead/ ? 2 : /mode=atomic/ ? 1 : 0) }
	$1 != "INIT" { printf " %s", $1 }
	$1 == "EXIT" { print "" }' states >sequences
}

# Leaves "all_pairs", of a state and an operation that the model can do in it.
explore()
{
	if ! { spin_model -DPAIRS -a && gcc -O1 -DSAFETY -DCOLLAPSE -DPRINTF \
		-DVECTORSZ=512 -o pan pan.c && ./pan -m100000 -w20 >exploration; } >log 2>&1; then
		cat log
	elif ! grep -q 'errors: 0$' exploration ||
	     grep -q -e 'Search not completed' -e 'max search depth too small' exploration; then
		grep -v 'pair: ' exploration
	else
		named_pairs simulation exploration >all_pairs
	fi
}

# --- The code -------------------------------------------------------------------------

# What the module and pcpuref_dump() have printed, in the words of the model.
states_of_code()
{
	sed 's/^\[[^]]*\] //' "$log" | awk -v kind="$kind" '
	$1 == "pcpuref-sequences:" { mine = $2 == kind }
	!mine { next }
	/^pcpuref: dump: id=[0-9]* name=/ || /^pcpuref: dump: no reference/ {
		what = ""
		pending = "busy=0 confirms=0"
	}
	/^pcpuref: dump: id=[0-9]* mode=/ { what = " " $4 " " $5 " " $6 " " $7 " " $8 }
	/^pcpuref: dump: id=[0-9]* in a grace period/ { pending = "busy=1 confirms=" $8 }
	/^pcpuref_agree: [A-Z_]* answer=/ {
		sub(/^pcpuref_agree: /, "")
		head = $1 " " $2
		sub(/^[^ ]* [^ ]*/, "")
		print head (what ? what " " pending : "") $0
	}'
}

# first_difference: the sequence up to there
first_difference()
{
	awk -v seed="$seed" '
	function show(  i) {
		printf "seed %d, sequence %d, operation %d:", seed, number, n
		for (i = 1; i <= n; i++)
			printf " %s", op[i]
		print "\nbefore: " before "\nmodel:  " model "\ncode:   " code
	}
	{
		model = $0
		code = (getline line <"code") > 0 ? line : "nothing"
		if ($1 == "INIT") {
			number++
			n = 0
			before = "nothing"
		}
		op[++n] = $1
		if (code != model) {
			show()
			exit
		}
		before = $0
	}' states
}

# --- The run --------------------------------------------------------------------------

pairs=
for kind in $kinds; do
	mkdir -p "$work/$kind"
	cd "$work/$kind"
	find . -type f -exec rm -f {} +
	say "simulating and exploring the model: $kind"
	why=$(simulate)
	[ -n "$why" ] || why=$(explore)
	verdict "$kind: the model by itself" "$why"
	[ ! -s sequences ] || pairs="$pairs $work/$kind/sequences:sequences/$kind/"
done
if [ "$failures" -gt 0 ]; then
	echo "$((number - failures)) passed, $failures failed, 0 skipped"
	exit 1
fi

say "building the modules"
"$top/scripts/build-modules.sh" "$KDIR" "$work/build" ARCH=um selftests/agree
# shellcheck disable=SC2086 # a list of words: no blanks in the cache's path
"$top/scripts/initramfs.sh" "$work/initramfs" "$top/scripts/guest-agree.sh" $pairs \
	"$work/build/pcpuref.ko:modules/" "$work/build/selftests/agree/pcpuref_agree.ko:modules/"
say "booting"
why=
"$top/scripts/uml-boot.sh" "$LINUX" "$work/initramfs" "$log" loglevel=7 ||
	why="the machine ended with status $?, see $log
$(sed -n 's/.*pcpuref-fault: //p' "$log")"
verdict "the machine comes to its end, with nothing left behind" "$why"
verdict "no report of misuse or of the kernel" "$(complaints "$log")"

for kind in $kinds; do
	cd "$work/$kind"
	states_of_code >code
	why=$(first_difference)
	verdict "$kind: code and model agree in $sequences sequences, $(wc -l <states) states" "$why"
	named_pairs simulation >pairs
	why=$(comm -13 pairs all_pairs | sed 's/^/never done: /')
	[ -s all_pairs ] || why="the model can do nothing"
	verdict "$kind: $(comm -12 pairs all_pairs | wc -l) of $(wc -l <all_pairs) pairs of state and operation" "$why"
done

echo "$((number - failures)) passed, $failures failed, 0 skipped"
[ "$failures" -eq 0 ]
