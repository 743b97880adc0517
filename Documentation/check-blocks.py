#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Is every block of code, of commands and of output in the documents covered by a test?

Checks README.md, CONTRIBUTING.md, Documentation/*.rst and kunit/README.rst. The language
of a block is its kind, and says what covers it:

c, make, diff  the lines stand like this, one after the other, in a source that is compiled,
               or in a patch of selftests/mutants/
sh             each line is a target of the Makefile that .ci/run or "make full-check" reaches,
               with variables that it takes; a script that a test or a target runs; or a line of
               commands.txt, which names the test
console        commands after a prompt, as in sh; the other lines are output, of which each has
               the form of a line in captured.txt ("make captured" writes that)
text           a drawing; it may not have commands and output in it
by hand        a comment before the block (".. by hand: WHY") says why no test can run it

"..." stands for what was left out. Files that Sphinx includes have to be compiled or captured.
Each figure with a unit in choosing.rst has to be one of performance.rst.
A block of another kind, or of none, is an error; so is a line of commands.txt that covers
nothing.

--list                tells what covers each block
--captured FILE       takes FILE in place of captured.txt
--write FILE LOG...   only writes FILE: one line of each form in the logs
--same FILE FILE      only says whether the lines of both have the same forms
"""

import argparse
import difflib
import pathlib
import re
import sys

top = pathlib.Path(__file__).resolve().parent.parent
docs = top / "Documentation"
options = argparse.ArgumentParser()
options.add_argument("--list", action="store_true")
options.add_argument("--captured", type=pathlib.Path, default=docs / "captured.txt")
options.add_argument("--write", nargs="+", type=pathlib.Path, metavar="FILE")
options.add_argument("--same", nargs=2, type=pathlib.Path, metavar="FILE")
options = options.parse_args()
captured_by = "".join(p.read_text() for p in sorted(top.glob("scripts/captured*.sh")))
known = docs / "commands.txt"
problems = []


def shape(line):
    """The form of a line of output: without times, numbers, addresses and what is longer or
    shorter from one run to the next."""
    line = re.sub(r"^(<\d+>)?\[ *\d+\.\d+\](\[ *[CT]\d+\])? ?", "", line.strip())
    line = re.sub(r"\btask([= ])\S+/\d+", r"task\1T", line)
    line = re.sub(r"(\w+)(\.(isra|constprop|part|cold)(\.\d+)?)+", r"\1", line)
    line = re.sub(r"\b0x[0-9a-f]+", "0xN", line)
    line = re.sub(r"\b(?=\w*\d)[0-9a-f]{8,16}\b", "N", line)
    # Whether the watchdog has seen an event or knows it from the registry.
    if " ms ago: " in line:
        line = re.sub(r"mode=[?a-z]+->[?a-z]+", "mode=M", line)
        line = re.sub(r"count=(\?|-?\d+ shared=-?\d+ percpu=-?\d+) ", "count=N ", line)
        line = re.sub(r"cpu=-?\d+ task=\S+", "cpu=N task=T", line)
    # The task of a line of the trace and its flags, the bars of a histogram and of a counter.
    line = re.sub(r"^\S+-\d+ +(\[\d+\])", r"T \1", line)
    line = re.sub(r"(\[\d+\]) [a-zA-Z.#0-9]{4,6} ", r"\1 F ", line)
    line = re.sub(r"([*@|=])\1*( *\|)?", r"\1", line)
    line = re.sub(r"\bpercpu=-\d", "percpu=0", line)
    line = re.sub(r"-?\d+(\.\d+)?", "N", line)
    line = re.sub(r"\[NK?, NK?\)", "[N, N)", line)
    return re.sub(r"\s+", " ", line).strip()


def write(to, logs):
    """One line of each form. Not what a report of the kernel has about registers and code,
    and what the machine itself prints."""
    noise = re.compile(r"\b(R[A-Z0-9]{2}|CR[0-9]|FS|CS|Code|EFLAGS|Modules linked in|Hardware "
                       r"name|Tainted|PKRU): |^pcpuref-guest: (log|trace|start|exit)|"
                       r"pcpuref-(selftest|expect|dmesg): ")
    seen = set()
    out = []
    for log in logs:
        lines = log.read_text(errors="replace").splitlines()
        if "pcpuref-guest: start" in lines:
            lines = lines[lines.index("pcpuref-guest: start"):]
        out.append(f"== {log.name}")
        for line in lines:
            # No path of the machine that it was built on.
            line = re.sub(r" at /\S+", " at ...", line)
            form = shape(line)
            if len(form) > 1 and not noise.search(line) and form not in seen:
                seen.add(form)
                out.append(line.rstrip())
    to.write_text("SPDX-License-Identifier: GPL-2.0-only\n\n"
                  "One line of each form that \"make captured\" has seen.\n\n" +
                  "\n".join(out) + "\n")


def different(first, second):
    """Whether the lines of two files have other forms, which are told."""
    forms = [[shape(line) + "\n" for line in path.read_text().splitlines()]
             for path in (first, second)]
    told = list(difflib.unified_diff(*forms, str(first), str(second)))
    sys.stdout.writelines(told)
    return bool(told)


def files(*patterns):
    for pattern in patterns:
        for path in sorted(top.glob(pattern)):
            parts = path.relative_to(top).parts
            if not any(p.startswith(".") for p in parts) and not path.name.endswith(".mod.c"):
                yield path


def normal(lines):
    """Lines with one blank for any white space; empty ones left out."""
    return [line for line in (" ".join(one.split()) for one in lines) if line]


def pieces(lines):
    """What is between lines of "..."."""
    piece = []
    for line in lines + ["..."]:
        if line in ("...", "/* ... */"):
            if piece:
                yield piece
            piece = []
        else:
            piece.append(line)


class Sources:
    """Files, as text in which each line begins and ends with a newline."""

    def __init__(self, *patterns):
        self.texts = {p: "\n" + "\n".join(normal(p.read_text(errors="replace").splitlines())) + "\n"
                      for p in files(*patterns)}

    def having(self, lines):
        """A file that has all pieces, in this order."""
        wanted = ["\n" + "\n".join(piece) + "\n" for piece in pieces(normal(lines))]
        for path, text in self.texts.items():
            at = 0
            for piece in wanted:
                at = text.find(piece, at)
                if at < 0:
                    break
            else:
                return path
        return None


sources = {
    "c": Sources("**/*.[ch]", "**/*.litmus"),
    "make": Sources("**/Kbuild", "**/Makefile", "**/*.kbuild"),
    "diff": Sources("selftests/mutants/*.patch"),
}
makefile = (top / "Makefile").read_text()
callers = makefile + "".join(p.read_text() for p in files("scripts/*.sh", "Documentation/*.sh",
                                                          ".ci/run"))
callers += (top / ".ci/run").read_text()
shapes = {shape(line) for line in options.captured.read_text().splitlines()} \
    if options.captured.exists() else set()


class Known:
    """A line of commands.txt: a pattern, a file, and what stands in it."""

    def __init__(self, line):
        self.pattern, self.file, self.text = line.split("\t")
        self.used = False
        path = top / self.file
        if not path.exists() or self.text not in path.read_text():
            problems.append(f"commands.txt: {self.file} has not \"{self.text}\"")


entries = [Known(line) for line in known.read_text().splitlines() if line and line[0] != "#"]


def known_as(line):
    """The file that commands.txt names for a line."""
    for entry in entries:
        if re.fullmatch(entry.pattern, line):
            entry.used = True
            return entry.file
    return None


class Make:
    """The Makefile: what its targets run, which variables that takes, and who runs them."""

    def __init__(self):
        text = makefile.replace("\\\n", " ")
        self.targets = set(re.search(r"^\.PHONY:(.*)", text, re.M)[1].split())
        self.values = dict(re.findall(r"^(\w+)\s*[?:]?=(.*)", text, re.M))
        self.rules = {name: (needs.split(), recipe) for name, needs, recipe in
                      re.findall(r"^([\w-]+):(.*)\n((?:\t.*\n)*)", text, re.M)}
        self.scripts = {path.name: re.sub(r"^\s*#.*", "", path.read_text(), flags=re.M)
                        for path in files("scripts/*.sh")}
        self.cells = dict(re.findall(r"^\t\t(\S+) +(scripts/.*)", self.scripts["matrix.sh"], re.M))
        roots = (top / ".ci/run").read_text() + self.scripts["full-check.sh"]
        self.run = {"full-check", *re.findall(r"\bmake ([\w-]+)", roots)}
        reached = set(self.scripts_of(roots))
        for target in self.run & self.targets:
            reached |= set(self.scripts_of(self.recipe(target)))
        self.run |= {target for target in self.targets
                     if reached & set(re.findall(r"scripts/(\S+\.sh)", self.recipe(target)))}

    def recipe(self, target):
        """What the target has for the shell, with what it needs, and with what variables are."""
        seen = set()
        text = ""
        todo = [target]
        while todo:
            name = todo.pop()
            if name in seen:
                continue
            seen.add(name)
            needs, recipe = self.rules.get(name, ([], self.values.get(name, "")))
            text += recipe + "\n"
            todo += needs + re.findall(r"\$\(MAKE\) --no-print-directory (\S+)", recipe)
            todo += re.findall(r"\$\((\w+)\)", recipe)
        return text

    def scripts_of(self, text):
        """The scripts that a text calls, and those that these call."""
        todo = [text]
        seen = []
        while todo:
            for name in re.findall(r"\b([\w-]+\.sh)\b", todo.pop()):
                # A test of a script gives it other things to do.
                if name in self.scripts and name not in seen and not name.startswith("test-"):
                    seen.append(name)
                    todo.append(self.scripts[name])
        return seen

    def refuses(self, target, name, value):
        """Why the target does not take VARIABLE=VALUE; nothing if it does."""
        recipe = self.recipe(target)
        scripts = [self.scripts[one] for one in self.scripts_of(recipe)]
        # One with a default: others are the scripts' own.
        if not re.search(rf"\$\({name}\b", recipe) and \
           not any(re.search(rf"\$\{{{name}:?[-=+]", one) for one in scripts):
            return f"it takes no {name}"
        taken = None
        if name == "KERNEL":
            taken = {command.split()[1] for command in self.cells.values()
                     if command.startswith("scripts/selftest.sh ")}
            if any("kasan | kcsan)" in one for one in scripts):
                taken |= {"kasan", "kcsan"}
        elif name == "UML":
            labels = re.findall(r"^([a-z |]+)\)", scripts[0], re.M)
            taken = {one for label in labels for one in label.split(" | ")}
        elif name == "CELLS":
            taken = {*self.cells, "list"}
        for one in value.strip('"').split():
            if taken and one not in taken or name in ("SECS", "SEED") and not one.isdigit():
                return f"there is no {name}={one}"
        return None

    def why_not(self, command):
        """Why no test shows that "make TARGET... VARIABLE=VALUE..." works; None for what is no
        such command."""
        words = re.findall(r'(?:"[^"]*"|\S)+', command)
        if words[:1] != ["make"]:
            return None
        variables = dict(word.split("=", 1) for word in words[1:] if "=" in word)
        wanted = [word for word in words[1:] if "=" not in word]
        if any(word.startswith("-") for word in wanted):
            return None
        for target in wanted or ["modules"]:
            if target not in self.targets:
                return f"there is no target {target}"
            for name, value in variables.items():
                reason = self.refuses(target, name, value)
                if reason:
                    return reason
            if target not in self.run and not known_as(f"make {target}"):
                return f"no check runs make {target}"
        for one, other in (("SIGN_KEY", "SIGN_CERT"), ("SIGN_CERT", "SIGN_KEY")):
            if one in variables and other not in variables:
                return f"{one} without {other}"
        return ""


make = Make()


def cover_of(command, prompt):
    """What covers a command."""
    command = re.sub(r"(^|\s+)# .*", "", command).strip()
    if not command:
        return "comment"
    if prompt and shape(f"{prompt} {command}") in shapes:
        return "captured.txt"
    if known_as(command):
        return known_as(command)
    if make.why_not(command) is not None:
        return "Makefile" if not make.why_not(command) else None
    script = re.fullmatch(r"(?:[A-Z_]+=(?:\"[^\"]*\"|\S+) )*(scripts/\S+\.(?:sh|py))\b.*", command)
    if script and (top / script[1]).exists() and script[1].split("/")[1] in callers:
        return script[1]
    for separator in (" && ", "; "):
        if separator in command:
            parts = [cover_of(part, prompt) for part in command.split(separator)]
            return " and ".join(parts) if all(parts) else None
    return None


def joined(lines):
    """Lines that end with a backslash, with the next one."""
    line = ""
    for one in lines:
        line += one
        if line.endswith("\\"):
            line = line[:-1].rstrip() + " "
        else:
            yield line
            line = ""
    if line:
        yield line


def check(kind, lines, where):
    """What covers a block; a problem if nothing does."""
    lines = [line.rstrip() for line in lines]
    if kind in sources:
        found = sources[kind].having(lines)
        if found:
            return found.relative_to(top)
        if kind == "make" and all(cover_of(line, "") for line in normal(lines)):
            return "commands.txt"
        problems.append(f"{where}: no source has this {kind} code: {normal(lines)[0]} ...")
        return None
    if kind == "text":
        for line in lines:
            if re.match(r"\s*(\[ *\d+\.\d+\]|[#$] |make\b|insmod\b|pcpuref\w*: |scripts/)", line):
                problems.append(f"{where}: not a drawing: {line.strip()}")
        return "a drawing"
    covers = set()
    for line in joined(lines):
        if not line.strip() or line.strip() == "...":
            continue
        prompt = re.match(r"\s*([#$]) (.*)", line)
        if kind == "sh" or prompt:
            cover = cover_of(line if kind == "sh" else prompt[2], prompt[1] if prompt else "")
            if not cover:
                reason = make.why_not(re.sub(r"\s+# .*", "", prompt[2] if prompt else line).strip())
                problems.append(f"{where}: no test runs: {line.strip()}"
                                f"{' (' + reason + ')' if reason else ''}")
            covers.add(str(cover))
        else:
            form = shape(re.sub(r"\s*\.\.\.$", "", line))
            cover = "captured.txt" if any(form in one for one in shapes) else known_as(line.strip())
            if not cover:
                problems.append(f"{where}: not captured: {line.strip()}")
            covers.add(str(cover))
    return ", ".join(sorted(covers - {"comment"})) or "comment"


def check_included(path, where):
    """A file that a document includes."""
    if not path.exists():
        problems.append(f"{where}: no {path}")
    elif path.suffix in (".c", ".h", ""):
        stem = path.stem
        in_kbuild = any(re.search(rf"\b{stem}\.o\b", text)
                        for text in sources["make"].texts.values())
        included = any(f'#include "{path.name}"' in text for text in sources["c"].texts.values())
        if path.name not in ("Kbuild", "Makefile") and not in_kbuild and not included:
            problems.append(f"{where}: nothing compiles {path.name}")
        return path.relative_to(top)
    elif not re.search(rf"\b{path.name}\b", captured_by):
        problems.append(f"{where}: nothing captures {path.name}")
    return path.name


def blocks_of_rst(path):
    """(line, kind, lines) of each block; a kind None is none."""
    lines = path.read_text().splitlines()
    i = 0
    before = ""
    while i < len(lines):
        line = lines[i]
        i += 1
        indent = len(line) - len(line.lstrip())
        directive = re.match(r"\s*\.\. (code-block|code|parsed-literal|literalinclude|include|"
                             r"highlight|sourcecode)::\s*(.*)", line)
        literal = not directive and re.search(r"::$", line) and not line.lstrip().startswith("..")
        hand = re.match(r"\s*\.\. by hand: (.+)", line)
        if directive or literal:
            start = i
            while i < len(lines) and (not lines[i].strip() or
                                      len(lines[i]) - len(lines[i].lstrip()) > indent):
                i += 1
            body = lines[start:i]
            if directive:
                while body and re.match(r"\s*:[\w-]+:", body[0]):
                    body.pop(0)
            kind = directive[2].strip() if directive and directive[1] == "code-block" else None
            if directive and "include" in directive[1]:
                yield start, "include", directive[2].strip()
            elif before:
                yield start, "by hand", before
            else:
                yield start, kind, body
            before = ""
        elif hand:
            before = hand[1]
        elif line.strip() and not (before and line.startswith(" ")):
            before = ""


def blocks_of_md(path):
    lines = path.read_text().splitlines()
    start = kind = None
    before = ""
    for i, line in enumerate(lines):
        fence = re.match(r"\s*```(.*)", line)
        hand = re.match(r"<!-- by hand: (.+) -->", line)
        if not fence:
            if start is None and line.strip():
                before = hand[1] if hand else ""
            continue
        if start is None:
            start, kind = i + 1, fence[1].strip() or None
        else:
            yield (start, "by hand", before) if before else (start, kind, lines[start:i])
            start = None
            before = ""


if options.write:
    write(options.write[0], options.write[1:])
    sys.exit()
if options.same:
    sys.exit(different(*options.same))

count = 0
by_hand = 0
for page in [*files("*.md"), *files("Documentation/*.rst"), *files("kunit/*.rst")]:
    for number, kind, body in (blocks_of_md if page.suffix == ".md" else blocks_of_rst)(page):
        place = f"{page.relative_to(top)}:{number}"
        count += 1
        if kind == "include":
            cover = check_included((page.parent / body).resolve(), place)
        elif kind == "by hand":
            by_hand += 1
            cover = body
        elif kind in (*sources, "sh", "console", "text"):
            cover = check(kind, body, place)
        else:
            problems.append(f"{place}: a block of {'kind ' + kind if kind else 'no kind'}: "
                            "make it a code-block of a kind that check-blocks.py names")
            cover = None
        if options.list:
            print(f"{place}\t{kind}\t{cover}")
measured = (docs / "performance.rst").read_text()
for figure in re.findall(r"\b[\d.]+ (?:ns|us|ms|bytes)\b", (docs / "choosing.rst").read_text()):
    if not re.search(rf"(?<![\d.]){re.escape(figure.split()[0])}(?![\d.]*\d)", measured):
        problems.append(f"choosing.rst: {figure} is not in performance.rst")
for one in entries:
    if not one.used:
        problems.append(f"commands.txt: no document has {one.pattern}")
for problem in problems:
    print(f"check-blocks: {problem}")
if count < 100:
    sys.exit(f"check-blocks: only {count} blocks: their form has changed")
if options.list:
    print(f"{count} blocks, {by_hand} of them by hand")
sys.exit(bool(problems))
