#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Does the picture of the state machine show what the code's table says?

Compares the tables above __pcpuref_settle() in core/machine.c with machine.dot, and that
with machine.svg, which was made of it. With --draw, makes machine.svg (package graphviz).
"""

import collections
import html
import pathlib
import re
import subprocess
import sys
import xml.etree.ElementTree as tree

here = pathlib.Path(__file__).parent
code = here.parent / "core" / "machine.c"
dot = here / "machine.dot"
svg = here / "machine.svg"
problems = []


def tables(text):
    """The tables of the comment: lines of words below a line of dashes."""
    comment = re.search(r"/\*((?:(?!\*/).)*)\*/\s*unsigned int __pcpuref_settle\(", text, re.S)
    found = []
    rows = None
    before = ""
    for line in comment[1].splitlines() if comment else ():
        line = line.lstrip(" *").rstrip()
        if re.fullmatch(r"-+(  ?-+)+", line):
            rows = []
            found.append((before, rows))
        elif not line:
            rows = None
        elif rows is not None:
            rows.append(line)
        before = line
    return comment[1] if comment else "", found


def of_code(text):
    """States, and (from, step, to), of the comment."""
    comment, found = tables(text)
    if len(found) != 2:
        sys.exit(f"check-machine: {len(found)} tables above __pcpuref_settle(), not two")
    states = [row.split()[0] for row in found[0][1]]
    steps = found[1][0].split()[1:]
    arrows = set()
    for row in found[1][1]:
        state, *cells = row.split()
        if state not in states or len(cells) != len(steps):
            problems.append(f"{code.name}: not a row of the table: {row}")
        for step, cell in zip(steps, cells):
            arrows |= {(state, step, to) for to in cell.split("|") if to != "."}
    begin = re.search(r"Init leads to ([A-Z, or]+)\.", comment)
    for to in re.findall(r"[A-Z]+", begin[1]) if begin else ():
        arrows.add(("init", "", to))
    return set(states), arrows


def of_dot(text):
    """The same of the picture, and its arrows as they are drawn."""
    text = re.sub(r"^\s*//.*", "", text, flags=re.M)
    labels = {}
    follow = collections.defaultdict(list)
    drawn = []
    for name, attributes in re.findall(r"^\s*(\w+) \[(pos=[^\]]*)\]", text, re.M):
        label = re.search(r'label="([^"]*)"', attributes)
        labels[name] = label[1].replace(r"\n", " ") if label else ""
    for start, end, attributes in re.findall(r"(\w+) -> (\w+)(?: \[([^\]]*)\])?", text):
        label = re.search(r'label="([^"]*)"', attributes)
        words = label[1].replace(r"\n", " ").split() if label else []
        follow[start].append((end, words))
        drawn.append((start, end, " ".join(words)))
    states = {name for name, label in labels.items() if label.split()[:1] == [name]}

    def ends(node):
        """The states that an arrow leads to in the end."""
        if node in states:
            return {node}
        stub = re.fullmatch(r"to (.*)", labels[node])
        if stub:
            return set(re.findall(r"[A-Z]+", stub[1]))
        return set().union(*(ends(end) for end, _ in follow[node]))

    arrows = set()
    for start in labels:
        if start in states or labels[start] == "init":
            for end, words in follow[start]:
                name = start if start in states else "init"
                arrows |= {(name, word, to) for word in words or [""] for to in ends(end)}
    return states, arrows, labels, drawn


def of_svg(text):
    """Nodes with their labels, and arrows with theirs."""
    nodes, arrows = {}, []
    for group in tree.fromstring(text).iter("{http://www.w3.org/2000/svg}g"):
        title = group.find("{http://www.w3.org/2000/svg}title")
        words = " ".join(text.text for text in group.iter("{http://www.w3.org/2000/svg}text"))
        if group.get("class") == "node":
            nodes[title.text] = words
        elif group.get("class") == "edge":
            start, end = html.unescape(title.text).split("->")
            arrows.append((start.split(":")[0], end.split(":")[0], words))
    return nodes, arrows


def draw():
    """Labels of arrows are put on a white ground, so that lines do not go through them."""
    ground = '<<table border="0" bgcolor="white" cellpadding="1" cellspacing="0"><tr><td>{}' \
             "</td></tr></table>>"
    lines = []
    for line in dot.read_text().splitlines():
        if "->" in line:
            line = re.sub(r'label="([^"]*)"', lambda found: "label=" + ground.format(
                found[1].replace(r"\n", "<br/>")), line)
        lines.append(line)
    made = subprocess.run(["neato", "-Tsvg"], input="\n".join(lines), capture_output=True,
                          text=True, check=True).stdout
    # The version of graphviz says nothing about the picture.
    svg.write_text(re.sub(r"<!--.*?-->\n?", "", made, flags=re.S))


def differ(what, these, those, here_name, there_name):
    for one in sorted(these - those):
        problems.append(f"{what} {' '.join(one) if isinstance(one, tuple) else one} "
                        f"is in {here_name}, and not in {there_name}")


if sys.argv[1:] == ["--draw"]:
    draw()
code_states, code_arrows = of_code(code.read_text())
dot_states, dot_arrows, dot_labels, dot_drawn = of_dot(dot.read_text())
svg_nodes, svg_arrows = of_svg(svg.read_text())
for pair in ((code.name, dot.name), (dot.name, code.name)):
    these, those = (code_states, dot_states) if pair[0] == code.name else (dot_states, code_states)
    differ("state", these, those, *pair)
    these, those = (code_arrows, dot_arrows) if pair[0] == code.name else (dot_arrows, code_arrows)
    differ("arrow", these, those, *pair)
if svg_nodes != dot_labels or sorted(svg_arrows) != sorted(dot_drawn):
    problems.append("machine.svg was not made of machine.dot: check-machine.py --draw")
for problem in problems:
    print(f"check-machine: {problem}")
if len(code_states) < 2 or len(code_arrows) < 2:
    sys.exit("check-machine: no table found")
sys.exit(bool(problems))
