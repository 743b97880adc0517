# SPDX-License-Identifier: GPL-2.0-only
#
# awk -f ktap.awk [-v kernel_log=1] [-v problems=N] [-v may_skip=PATTERN] LOG: sum up
# test results in KTAP, the format of KUnit and kselftest.
#
# Prints the result lines, what a failed test had to say, a table of the
# suites (the outermost tests) with their times, and as the last line
#
#	N passed, N failed, N skipped
#
# Innermost results count; a test around others counts only if it failed
# though none of them did. What makes results incomplete counts as failed:
# a plan that was not kept, a suite that did not end, nothing executed.
#
# The time of a suite is what a line "# NAME: N s" before its result says, or, in a console
# log, what passed since the result before or since the begin of the run.
#
# kernel_log: the results are in a console log. Other lines of the kernel
# are shown only where a test failed. Suites without tests are wrong, and
# init brackets each module with "pcpuref-load: NAME" and "pcpuref-loaded:
# NAME STATUS".
# problems: how much the caller already found wrong, to be counted.
# may_skip: a pattern. To skip a test for a reason without it is wrong; without may_skip a
# test may be skipped for any reason.

function wrong(text)
{
	print "error: " text
	problems++
}

# What stands at some depth is complete: was the plan kept?
function close_level(d,	where)
{
	where = d ? "below \"" parent_name "\"" : "at the top"
	if (plan[d] != "" && plan[d] != results[d])
		wrong("planned " plan[d] " results " where ", got " results[d] + 0)
	plan[d] = ""
	results[d] = 0
	inner_failed[d] = 0
}

function count(kind)
{
	n[kind]++
	total[kind]++
	loaded_tests++
}

BEGIN {
	problems += 0
	max_depth = 8
}

{
	line = $0
	sub(/\r$/, "", line)
	stamp = ""
	if (match(line, /^\[ *[0-9]+\.[0-9]+\]/))
		stamp = substr(line, 2, RLENGTH - 2) + 0
	sub(/^\[ *[0-9]+\.[0-9]+\](\[ *[CT][0-9]+\])? /, "", line)
	body = line
	sub(/^ */, "", body)
	depth = (length(line) - length(body)) / 4
}

kernel_log && line ~ /pcpuref-load: / {
	module = line
	sub(/.*pcpuref-load: /, "", module)
	loaded_tests = 0
	said = 0
	next
}

kernel_log && line ~ /pcpuref-loaded: / {
	status = line
	sub(/.*pcpuref-loaded: /, "", status)
	split(status, word, " ")
	if (word[1] != module)
		wrong("module " module " was not loaded to its end")
	else if (word[2] != 0)
		wrong("module " module " could not be loaded")
	else if (!loaded_tests)
		wrong("module " module " ran no test")
	module = ""
	next
}

body ~ /^KTAP version [0-9]+$/ && depth == int(depth) {
	said = 0
	# A new run begins; at the top there is one for each module.
	if (!depth) {
		close_level(0)
		since = stamp
	}
	next
}

body ~ /^1\.\.[0-9]+$/ && depth == int(depth) {
	plan[depth] = substr(body, 4) + 0
	next
}

body ~ /^(not )?ok [0-9]+( |$)/ && depth == int(depth) && depth < max_depth {
	failed = body ~ /^not /
	name = body
	sub(/^(not )?ok [0-9]+ ?(- )?/, "", name)
	directive = ""
	if (match(name, / *# *[A-Za-z]+.*$/)) {
		directive = substr(name, RSTART)
		name = substr(name, 1, RSTART - 1)
	}
	skipped = !failed && sub(/^.*# *[Ss][Kk][Ii][Pp] */, "", directive)

	if (failed)
		for (i = 1; i <= said; i++)
			print say[i]
	said = 0
	print line

	is_parent = results[depth + 1] > 0
	no_tests = !is_parent && plan[depth + 1] == 0 && plan[depth + 1] != ""
	below_failed = inner_failed[depth + 1]
	parent_name = name
	close_level(depth + 1)

	results[depth]++
	number = body
	sub(/^(not )?ok /, "", number)
	if (number + 0 != results[depth] && plan[depth] != "")
		wrong("result " number + 0 " where " results[depth] " was due: " name)
	if (failed)
		inner_failed[depth] = 1

	if (!is_parent) {
		if (kernel_log && !depth && !skipped)
			no_tests = 1
		if (no_tests)
			wrong("\"" name "\" ran no test")
		else
			count(failed ? "failed" : skipped ? "skipped" : "passed")
		if (skipped && may_skip != "" && directive !~ may_skip)
			wrong("\"" name "\" was skipped, and has no reason to be: " directive)
	} else if (failed && !below_failed)
		count("failed")

	if (!depth) {
		suite[++suites] = name
		if (name in took)
			seconds[suites] = took[name]
		else if (stamp != "" && since != "")
			seconds[suites] = stamp - since
		since = stamp
		for (k in n)
			of[suites, k] = n[k]
		split("", n)
	}
	next
}

# Anything else is kept, for the case that the test turns out to have failed.
{
	if (line ~ /^# [^ ]+: [0-9]+ s$/) {
		split(substr(line, 3), word, ": ")
		took[word[1]] = word[2] + 0
	}
	if (said < 200)
		say[++said] = line
}

END {
	for (k in n)
		left += n[k]
	if (left) {
		wrong("the last suite did not come to its end")
		for (i = said > 20 ? said - 19 : 1; i <= said; i++)
			print say[i]
		suite[++suites] = "(not ended)"
		for (k in n)
			of[suites, k] = n[k]
	}
	if (module != "")
		wrong("module " module " was not loaded to its end")
	parent_name = ""
	close_level(0)
	if (!(total["passed"] + total["failed"]))
		wrong("no test was executed")

	width = 5
	for (i = 1; i <= suites; i++)
		if (length(suite[i]) > width)
			width = length(suite[i])
	print ""
	printf "%-" width "s  %6s  %6s  %7s  %5s\n", "suite", "passed", "failed", "skipped", "time"
	for (i = 1; i <= suites; i++)
		printf "%-" width "s  %6d  %6d  %7d  %5s\n", suite[i],
			of[i, "passed"], of[i, "failed"], of[i, "skipped"],
			i in seconds ? sprintf("%.0fs", seconds[i]) : "-"
	if (problems)
		printf "%-" width "s  %6s  %6d\n", "(errors)", "", problems
	print ""
	total["failed"] += problems
	printf "%d passed, %d failed, %d skipped\n",
		total["passed"], total["failed"], total["skipped"]
	exit total["failed"] ? 1 : 0
}
