# SPDX-License-Identifier: GPL-2.0-only
#
# awk -f warnings.awk LOG: the kernel's complaints in a log, held against
# those that the tests said would come. Runs on the host over a whole console
# log, and in the guest (busybox) over the dmesg of one test.
#
# A test that misuses a reference on purpose first logs
#
#	pcpuref-expect: TEXT
#
# once for each report to come. A report is a WARN() with a message, or a
# line "pcpuref: misuse: ..."; it uses up an expectation whose TEXT it
# contains. A report that nobody expects, an expectation that nothing meets,
# and any other sign of trouble are printed, and the exit status is 1.
# "pcpuref-allow: TEXT" is the same for one report that may come or not: what
# the compiler makes of the kernel decides.
#
# The message of a WARN() stands before its "WARNING:" line or after it,
# depending on kernel version and architecture: all lines from "cut here" to
# the list of modules are looked at.
#
# KCSAN finds races of the kernel's own, too: in its clocks, in RCU, wherever a thread
# sleeps. A race is trouble if one of the two functions that accessed the memory is ours,
# or was called by one of ours; but who reads a clock is not to blame for that, nor who has
# percpu_ref's inline functions in it, while percpu_ref itself writes without a mark.

BEGIN {
	trouble = "(^|[^A-Z])BUG:|Oops|general protection|Kernel panic|INFO: task|" \
		"INFO: rcu|rcu: INFO:|suspicious RCU|possible recursive locking|" \
		"possible circular locking|inconsistent lock state|" \
		"possible irq lock inversion|possible deadlock|" \
		"Invalid wait context|lock held when returning|" \
		"bad unlock balance|held lock freed|" \
		"sleeping function called|scheduling while atomic|" \
		"KASAN|KFENCE:|UBSAN|Internal error|" \
		"unable to handle|list_(add|del) corruption|ODEBUG: ([^s]|s[^e])|" \
		"kmemleak: ([0-9]|Cannot|.*disabled)|soft lockup|hard LOCKUP|" \
		"kernel BUG at"

	ours_re = "\\[(pcpuref|porting_)"
}

function problem(text)
{
	print text
	problems++
}

# Use up the oldest expectation that one of the lines fulfils.
function expected(text,	i)
{
	for (i = 1; i <= expectations; i++)
		if (!met[i] && index(text, want[i])) {
			met[i] = 1
			return 1
		}
	return 0
}

function end_of_splat()
{
	if (!in_splat)
		return
	in_splat = 0
	if (!expected(message))
		problem("unexpected report: " (message == "" ? head : message))
}

function end_of_race()
{
	if (!in_race)
		return
	in_race = 0
	if (ours && race !~ / (__)?percpu_ref_[a-z_]*( |$)/)
		problem("data race of ours: " race)
}

# Timestamps, and the thread or CPU that some configurations add, would make
# the same complaint look different in two runs.
{
	line = $0
	sub(/\r$/, "", line)
	sub(/^(<[0-9]+>)?(\[ *[0-9]+\.[0-9]+\])?(\[ *[CT][0-9]+\])? ?/, "", line)
}

{
	if (match(line, /pcpuref-(expect|allow): /)) {
		text = substr(line, RSTART + RLENGTH)
		sub(/[ \t]+$/, "", text)
		# An empty text would allow everything.
		if (text == "")
			problem("expectation without a text")
		else
			want[++expectations] = text
		may[expectations] = line ~ /pcpuref-allow: /
		next
	}
}

line ~ /BUG: KCSAN: / {
	end_of_race()
	in_race = 1
	race = line
	sub(/.*BUG: KCSAN: /, "", race)
	ours = race ~ ours_re
	frames = 0
	near = race ~ /data-race in ktime_get_[a-z_]*fast_ns/ ? 1 : 2
	next
}

in_race && line ~ /^=====+$/ {
	end_of_race()
	next
}

# The head of the second stack.
in_race && line ~ / to 0x[0-9a-f]+ of [0-9]+ bytes by / {
	frames = 0
	next
}

in_race && line ~ /^ [A-Za-z_][A-Za-z0-9_.]*\+0x[0-9a-f]+\/0x/ {
	if (++frames <= near && line ~ ours_re)
		ours = 1
	next
}

line ~ /-+\[ cut here \]-+/ {
	end_of_splat()
	in_splat = 1
	in_message = 1
	message = ""
	head = "WARN() that says nothing"
	next
}

line ~ trouble {
	problem("kernel trouble: " line)
	next
}

in_splat && line ~ /---\[ end trace/ {
	end_of_splat()
	next
}

in_splat && in_message && line ~ /^WARNING: / {
	head = line
	next
}

in_splat && line ~ /^(Modules linked in:|CPU: |Hardware name:|Call Trace:|RIP: |Stack:)/ {
	in_message = 0
	next
}

in_splat && in_message {
	message = message (message == "" ? "" : " | ") line
	next
}

# A complaint without a "cut here", as those of lockdep; inside of a splat
# it is the head of the next one.
line ~ /WARNING: / {
	problem("kernel trouble: " line)
	next
}

line ~ /pcpuref: misuse: / && !expected(line) {
	problem("unexpected report: " line)
}

END {
	end_of_splat()
	end_of_race()
	for (i = 1; i <= expectations; i++)
		if (!met[i] && !may[i])
			problem("expected, but never reported: " want[i])
	exit problems ? 1 : 0
}
