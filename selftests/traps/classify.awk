# SPDX-License-Identifier: GPL-2.0-only
#
# What happened to one scenario of scenarios.c, from the machine's log:
#
#	awk -v trap=L3 -v impl=mainline -f classify.awk LOG
#
# The first line says it in some words, "correct" or what was not; each further
# line is a piece of evidence. "correct" means: it came to its end, all that
# was observed is as it must be, and the kernel had nothing to complain about
# but the misuse that the scenario consists of, which it must have reported.

function evidence(text)
{
	evidences[++number] = text
}

# The text of a log line, without the time.
function text_of(line)
{
	sub(/^[^[]*\[ *[0-9.]+\](\[[^]]*\])? /, "", line)
	return line
}

{
	sub(/\r$/, "")
}

index($0, "trap=" trap " impl=" impl " ") {
	said = $0
	sub(/.* impl=[a-z]+ /, "", said)
	if (said == "start") {
		started = inside = 1
		next
	}
	if (!inside)
		next
	if (said ~ /^end=/) {
		end = said
		inside = 0
	} else if (said ~ /^misuse=/) {
		misuse = substr(said, 8)
	} else if (said ~ /^observed=/) {
		observed++
		what = said
		sub(/^observed=/, "", what)
		sub(/ is=.*/, "", what)
		is = said
		sub(/.* is=/, "", is)
		must_be = is
		sub(/ must_be=.*/, "", is)
		sub(/.* must_be=/, "", must_be)
		if (is != must_be) {
			wrong++
			evidence(what ": " is ", must be " must_be)
		}
	}
	next
}

!inside {
	next
}

# The functions that a stuck CPU is in, innermost first. Lines with a question
# mark are only what lay on the stack.
/NMI backtrace for cpu [1-9]/ {
	trace = 1
}
/NMI backtrace for cpu 0|<\/TASK>/ {
	trace = 0
}
trace && (/RIP: 0010:/ || /\] +[a-zA-Z_][a-zA-Z0-9_.]*\+0x/) {
	what = $0
	sub(/.*RIP: 0010:/, "", what)
	what = text_of(what)
	gsub(/^ +|\+0x.*/, "", what)
	if (++depth <= 7)
		stack = stack (stack == "" ? "" : " < ") what
	next
}

# A splat's own message stands between these two lines, if it has one.
/\[ cut here \]/ {
	message = ""
	cut = 1
	next
}
/WARNING: / {
	cut = 0
	if (message == "")
		message = text_of($0)
	if (misuse != "" && impl == "mainline")
		reports++
	else if (misuse != "" && index(message, "pcpuref: misuse: " misuse))
		reports++
	else
		warnings++
	evidence("warning: " message)
	next
}
cut {
	if (message == "")
		message = text_of($0)
	next
}
/BUG: kernel NULL|BUG: unable|Oops|general protection|Kernel panic/ {
	if (!oopses++)
		evidence("oops: " text_of($0))
	next
}
/RIP: / && oopses && where == "" {
	where = $0
	sub(/.*RIP: [0-9]+:/, "", where)
	sub(/[+ ].*/, "", where)
	evidence("oops: at " where)
	next
}
# That printing the stacks took long is no complaint about what is tried.
/INFO: NMI handler/ {
	next
}
/BUG: |INFO: |scheduling while atomic|suspicious RCU/ {
	complaints++
	evidence("kernel: " text_of($0))
}

function verdict(word)
{
	verdicts = verdicts (verdicts == "" ? "" : ", ") word
}

END {
	if (!started) {
		print "not run"
		exit
	}
	if (oopses) {
		verdict("oops" (where == "" ? "" : " in " where))
		if (end ~ /^end=died/)
			evidence("the thread died in " substr(end, 13))
	} else if (end ~ /^end=stuck/) {
		where = end
		sub(/.* in=/, "", where)
		after = where
		sub(/ after=.*/, "", where)
		sub(/.* after=/, "", after)
		verdict("hang in " where)
		evidence(where " has not returned after " after)
		if (stack != "")
			evidence("its CPU: " stack)
	} else if (end != "end=finished") {
		verdict("machine lost")
		evidence("the log ends within the scenario")
	} else if (!observed) {
		verdict("nothing observed")
	}
	if (wrong)
		verdict("wrong answer")
	if (warnings)
		verdict("warning")
	if (complaints)
		verdict("kernel complains")
	if (misuse != "" && !reports)
		verdict("no report")
	if (misuse != "" && reports > 1)
		verdict("reported twice")
	if (verdicts == "")
		verdict(misuse == "" ? "correct" : "correct, reported")
	print verdicts
	for (i = 1; i <= number; i++)
		print evidences[i]
}
