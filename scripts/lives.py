#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Draw the lives of references, from pcpuref's event lines.

Reads dmesg, a console log, or the text of the tracepoints pcpuref:* (trace-cmd
report, /sys/kernel/tracing/trace, perf script), and writes a picture with a lane for
each reference (SVG), and a file for Perfetto and chrome://tracing (Trace Event Format,
JSON). Documentation/debugging.rst says how to read the picture.

The events come from /sys/module/pcpuref/parameters/trace_events, or from the
tracepoints. Needs nothing but Python's standard library.
"""

import argparse
import collections
import datetime
import fnmatch
import json
import math
import re
import sys
from xml.sax.saxutils import escape

# --- Lines -------------------------------------------------------------------

# What comes before the event: of a line in the log, or of a tracepoint.
HEAD = re.compile(r"(?:pcpuref: |pcpuref_\w+:\s+)(?=event=)")
# A kind of misuse and a name may have spaces in them.
EVENT = re.compile(
    r"event=(?P<event>.+?) name=(?P<name>.*?)(?: module=(?P<module>\S+))? id=(?P<id>\d+)"
    r" ref=(?P<ref>\S+) release=(?P<release>.+?) mode=(?P<before>\w+)->(?P<after>\w+)"
    r" count=(?P<count>-?\d+)(?: shared=-?\d+ percpu=-?\d+| sum=-?\d+)"
    r" since_kill=(?P<since_kill>-?\d+)us(?: caller=(?P<caller>\S+))?")
MISUSE = re.compile(r"pcpuref: misuse: (?P<kind>[^:]+): (?P<rest>.*)")
LOST = re.compile(r"LOST (\d+) EVENTS|(\d+) printk messages dropped|CPU:\d+ \[(EVENTS) DROPPED\]")
# The tracer counts what is in its buffer, and what was written to it.
ENTRIES = re.compile(r"^# entries-in-buffer/entries-written: (\d+)/(\d+)")

STEPS = ("init", "switch", "kill", "confirm", "release", "reinit", "resurrect", "exit", "dump")
MODES = ("none", "percpu", "switching", "atomic")

# Kinds of time, and what a line has in front of its text.
TRACE_TIME = re.compile(r"\s(\d+\.\d+):\s+(?:pcpuref:)?pcpuref_\w+:")
LOG_TIME = re.compile(r"\[\s*(\d+\.\d{3,9})\]")
ISO_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))?")
WORD_TIME = re.compile(r"(?:\[|^)(?:\w{3} )?(\w{3})\s+(\d+) (\d\d:\d\d:\d\d)(?: (\d{4}))?\b")


def time_of(line):
    """The time in front of a line, as (kind, seconds), or (None, 0)."""
    for kind, pattern in (("trace", TRACE_TIME), ("log", LOG_TIME)):
        found = pattern.search(line)
        if found:
            return kind, float(found[1])
    found = ISO_TIME.search(line)
    if found:
        day = datetime.datetime.fromisoformat(found[1]).replace(tzinfo=datetime.timezone.utc)
        return "date", day.timestamp() + float("0." + (found[2] or "0"))
    found = WORD_TIME.search(line)
    if found:
        # Without a year: any leap year will do.
        text = f"{found[4] or 2000} {found[1]} {found[2]} {found[3]}"
        try:
            day = datetime.datetime.strptime(text, "%Y %b %d %H:%M:%S")
        except ValueError:
            return None, 0
        return "date", day.replace(tzinfo=datetime.timezone.utc).timestamp()
    return None, 0


Event = collections.namedtuple("Event", "time step misuse id name module ref release "
                               "before after count since_kill caller")


class Log:
    """The events of some lines, in their order, and what is wrong with the lines."""

    def __init__(self, lines):
        self.events = []
        self.unreadable = []    # (line number, text)
        self.lost = 0
        self.complaints = []
        self.kind = None        # of times: "log", "trace", "date"; if there are none, "order"
        self.end = 0            # time of the last line
        kinds = collections.Counter()
        last = None             # (kind, time) of the last event

        for number, line in enumerate(lines, 1):
            line = line.rstrip("\r\n")
            found = LOST.search(line)
            if found:
                self.lost += int(found[1] or found[2] or 1)
            found = ENTRIES.match(line)
            if found:
                self.lost += int(found[2]) - int(found[1])
            kind, time = time_of(line)
            event = self.parse(number, line)
            if not event:
                # How far the log goes. What others print may have any time in it.
                if last and kind == last[0]:
                    self.end = max(self.end, time)
                continue
            if kind and last and kind == last[0] and time < last[1] - 1:
                self.complaints.append(
                    f"line {number}: the clock goes back by {last[1] - time:.0f} s, as in "
                    "another boot: what is before is left out")
                self.events = []
                self.lost = 0
                self.end = 0
                kinds.clear()
                last = None
            kinds[kind] += 1
            if kind:
                # It may go back from CPU to CPU, by microseconds.
                last = (kind, max(time, last[1]) if last and kind == last[0] else time)
                self.end = max(self.end, time)
            self.events.append(event._replace(time=last[1] if last else 0))
        if last:
            self.kind = last[0]
            first = next(event.time for event in self.events if event.time)
            self.events = [event._replace(time=event.time or first) for event in self.events]
            if len(kinds) > 1:
                self.complaints.append("not all events have the same kind of time: "
                                       "positions may be wrong")
        else:
            self.kind = "order"
            self.events = [event._replace(time=i) for i, event in enumerate(self.events)]
            self.end = len(self.events)

    def parse(self, number, line):
        head = HEAD.search(line)
        if not head:
            return self.parse_misuse(line)
        found = EVENT.match(line, head.end())
        if not found or found["before"] not in MODES or found["after"] not in MODES:
            self.unreadable.append((number, line))
            return None
        step = found["event"]
        misuse = None
        if step not in STEPS:
            step, misuse = "misuse", step
        return Event(0, step, misuse, int(found["id"]), found["name"], found["module"],
                     found["ref"], found["release"], found["before"], found["after"],
                     int(found["count"]), int(found["since_kill"]), found["caller"])

    @staticmethod
    def parse_misuse(line):
        """A report in the log: a warning, and not a line of an event."""
        found = MISUSE.search(line)
        if not found:
            return None
        rest = found["rest"]

        def field(key):
            value = re.search(rf"\b{key}=(.*?)(?= \w+=|$)", rest)
            return value[1] if value else None

        number = field("id")
        return Event(0, "misuse", found["kind"], int(number) if number else None,
                     field("name"), field("module"), field("ref"), field("release"),
                     None, None, None, None, field("caller"))


# --- Lives -------------------------------------------------------------------

Span = collections.namedtuple("Span", "start end mode state")
Mark = collections.namedtuple("Mark", "time step text")


def text_of(event):
    text = event.misuse or event.step
    if event.step in ("confirm", "release") and event.since_kill >= 0:
        text += f", {event.since_kill} us after the kill"
    elif event.step == "misuse":
        text = f"misuse: {text}"
    if event.count is not None:
        text += f", count={event.count}"
    if event.caller and event.caller != "0x0":
        text += f", by {event.caller}"
    return text


class Life:
    """A reference from init to exit, as far as the log has it."""

    def __init__(self, event, start):
        self.id = event.id
        self.name = event.name
        self.module = event.module
        self.release = event.release
        self.ref = event.ref
        self.spans = []
        self.marks = []
        self.since = start
        self.killed = None      # time of a kill without a release
        self.count = None       # when it was last told
        self.begun = event.step == "init"
        self.ended = None       # "exit", or why there is no more of it
        self.misused = False
        self.mode = event.before or "none"
        self.state = self.guess(event)
        if self.state == "dying":
            self.killed = start

    @staticmethod
    def guess(event):
        """The state before the first event in the log."""
        if event.step in ("kill", "init") or event.since_kill is None:
            return "live"
        if event.step == "reinit" or (event.step == "exit" and event.count == 0):
            return "dead"
        if event.step == "resurrect" or event.since_kill >= 0:
            return "dying"
        return "live"

    def turn(self, time, mode, state):
        if (mode, state) != (self.mode, self.state):
            if self.mode != "none":
                self.spans.append(Span(self.since, time, self.mode, self.state))
            self.since = time
        self.mode = mode
        self.state = state

    def add(self, event):
        time = event.time
        state = self.state
        if event.count is not None:
            self.count = event.count
        if event.step == "init":
            # One that was initialised dead has no reference in it.
            state = "live" if event.count else "dead"
        elif event.step == "kill":
            state = "dying"
            self.killed = time
        elif event.step == "release" and event.since_kill >= 0:
            # Else it is a usage counter, at zero and live.
            state = "dead"
            self.killed = None
        elif event.step in ("reinit", "resurrect"):
            state = "live"
            self.killed = None
        self.misused |= event.step == "misuse"
        self.turn(time, event.after or self.mode, state)
        if event.step not in ("init", "switch"):
            self.marks.append(Mark(time, event.step, text_of(event)))
        if event.step == "exit":
            self.ended = "exit"

    def close(self, time, why=None):
        """The log has no more of it."""
        if self.mode != "none":
            self.spans.append(Span(self.since, time, self.mode, self.state))
        self.mode = "none"
        self.ended = self.ended or why

    @property
    def start(self):
        return self.spans[0].start if self.spans else self.since

    @property
    def end(self):
        return self.spans[-1].end if self.spans else self.since

    @property
    def unreleased(self):
        return self.killed is not None and self.ended != "exit"

    @property
    def exited_unreleased(self):
        return self.killed is not None and self.ended == "exit"

    def rank(self):
        """The most interesting first."""
        steps = sum(mark.step != "dump" for mark in self.marks)
        if self.unreleased:
            return 0, self.killed
        return (1 if self.misused or self.exited_unreleased else
                2 if self.ended != "exit" and self.state == "dead" else
                3 if any(mark.step in ("reinit", "resurrect") for mark in self.marks) else
                4 if steps else 5, -steps)


class Lives:
    def __init__(self, log, pattern=None):
        self.log = log
        self.all = []
        self.homeless = []      # misuse, of which the log does not tell whose
        self.start = log.events[0].time if log.events else 0
        last = log.events[-1].time if log.events else 0
        current = {}

        for event in log.events:
            if event.id is None:
                self.add_report(event, current)
                continue
            life = current.get(event.id)
            # What comes after exit is misuse, of this one.
            if life and (event.step == "init" or (life.ended and event.step != "misuse")):
                # Loaded again, the core counts from the beginning.
                if not life.ended:
                    life.close(event.time, "another init")
                life = None
            if not life:
                begun = event.step == "init"
                life = Life(event, event.time if begun else self.start)
                current[event.id] = life
                self.all.append(life)
            life.add(event)
        # A log may go on for days after the last event: leave some room only.
        more = 0 if all(life.ended for life in self.all) else 0.2
        self.end = min(log.end, last + max(more * (last - self.start), 1e-3))
        self.end = max(self.end, self.start + 1e-6)
        for life in self.all:
            life.close(self.end, "end of the log")
        if pattern:
            self.all = [life for life in self.all if fnmatch.fnmatchcase(life.name, pattern)]

    def add_report(self, event, current):
        those = [life for life in current.values() if not life.ended and life.name == event.name]
        if len(those) == 1:
            those[0].add(event._replace(id=those[0].id))
        else:
            self.homeless.append(event)

    def choose(self, limit):
        """The most interesting, in order: not released, for longest; then as they began."""
        chosen = sorted(self.all, key=Life.rank)[:limit] if limit else list(self.all)
        return sorted(chosen, key=lambda life: (
            not life.unreleased, life.killed if life.unreleased else life.start, life.id))

    @property
    def unreleased(self):
        return sorted((life for life in self.all if life.unreleased), key=lambda life: life.killed)


# --- The picture -------------------------------------------------------------

# Okabe and Ito's colours, which all eyes tell apart.
COLOURS = {"percpu": "#009e73", "switching": "#e69f00", "atomic": "#0072b2", "none": "#999999"}
ALARM = "#d55e00"
LETTERS = {"kill": "K", "confirm": "C", "release": "R", "reinit": "N", "resurrect": "U",
           "exit": "X", "misuse": "!", "dump": "D"}

LEFT, WIDTH, RIGHT = 215, 830, 165
LANE, BAR, BOX = 28, 9, 12
HEAD_HEIGHT = 112


def number(value):
    return f"{value:.1f}".rstrip("0").rstrip(".")


def clip(text, length):
    return text if len(text) <= length else text[:length - 1] + "…"


def duration(seconds):
    for unit, scale in (("s", 1), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}" if seconds < 1000 else f"{seconds:.0f} s"
    return f"{seconds * 1e6:.2g} us"


def ticks(start, end):
    """Round values in an interval, eight or so."""
    step = 10 ** math.floor(math.log10((end - start) / 4))
    for factor in (1, 2, 5, 10):
        if (end - start) / (step * factor) <= 9:
            step *= factor
            break
    first = math.ceil(start / step - 1e-9)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return [(i * step, digits) for i in range(first, math.floor(end / step + 1e-9) + 1)]


class Group:
    """Marks so close to each other that they stand side by side above the lane."""

    MOST = 7    # boxes; more are counted

    def __init__(self, marks):
        self.marks = marks      # (x, mark)
        kinds = collections.Counter(mark.step for _, mark in marks)
        self.boxes = [(LETTERS[mark.step], mark.step, BOX) for _, mark in marks]
        self.counted = len(marks) > self.MOST
        if self.counted:
            self.boxes = [(LETTERS[step] if n == 1 else f"{n}{LETTERS[step]}", step,
                           BOX + (0 if n == 1 else 7 * len(str(n)))) for step, n in kinds.items()]
        self.width = sum(box[2] for box in self.boxes)
        self.wanted = (marks[0][0] + marks[-1][0] - self.width) / 2
        self.left = 0

    def __add__(self, other):
        return Group(self.marks + other.marks)


def place(marks, low, high):
    """Groups of marks that do not overlap, each near to where it belongs."""
    # Many are sorted into columns first, since what follows looks at all for each merge.
    columns = collections.defaultdict(list)
    for i, mark in enumerate(marks):
        columns[int(mark[0] / BOX) if len(marks) > 100 else i].append(mark)
    groups = [Group(column) for column in columns.values()]
    while True:
        at = low
        for group in groups:
            group.left = max(group.wanted, at)
            at = group.left + group.width
        at = high
        for group in reversed(groups):
            group.left = min(group.left, at - group.width)
            at = group.left
        # Those that have been pushed too far are told together.
        worst = None
        for i, group in enumerate(groups[1:], 1):
            before = groups[i - 1]
            touch = group.left - (before.left + before.width) < 0.5
            apart = group.marks[0][0] - before.marks[-1][0]
            if touch and (apart < BOX or abs(group.left - group.wanted) > 2 * BOX or
                          abs(before.left - before.wanted) > 2 * BOX or before.left < low):
                # Small groups first: a busy lane comes to several of like size.
                cost = (apart >= BOX, len(before.marks) + len(group.marks), apart)
                if worst is None or cost < worst[0]:
                    worst = (cost, i)
        if worst is None:
            return groups
        i = worst[1]
        groups[i - 1:i + 1] = [groups[i - 1] + groups[i]]


def merge(spans, at):
    """Spans in pixels: those below one are told by what takes the most of it."""
    merged = []
    times = collections.Counter()
    begin = None
    for span in spans:
        start, end = at(span.start), at(span.end)
        if begin is None:
            begin = start
        times[span.mode, span.state] += max(end - start, 1e-9)
        if end - begin >= 1 or span is spans[-1]:
            what = times.most_common(1)[0][0]
            if merged and merged[-1][2:] == what:
                merged[-1] = (merged[-1][0], end) + what
            else:
                merged.append((begin, end) + what)
            begin = None
            times.clear()
    return merged


class Picture:
    def __init__(self, lives, chosen, title):
        self.lives = lives
        self.chosen = chosen
        self.title = title
        self.start = lives.start
        # What goes on runs to the edge, and what has ended does not touch it.
        self.end = lives.end + 0.01 * (lives.end - lives.start)
        self.height = HEAD_HEIGHT + LANE * len(chosen) + 48
        self.out = []

    def at(self, time):
        return LEFT + WIDTH * (time - self.start) / (self.end - self.start)

    def put(self, text):
        self.out.append(text)

    def text(self, x, y, text, **attributes):
        more = "".join(f' {key.replace("_", "-")}="{value}"' for key, value in attributes.items())
        self.put(f'<text x="{number(x)}" y="{number(y)}"{more}>{escape(text)}</text>')

    def draw(self):
        total = LEFT + WIDTH + RIGHT
        self.put(f'<svg xmlns="http://www.w3.org/2000/svg" width="{total}" '
                 f'height="{self.height}" viewBox="0 0 {total} {self.height}" '
                 'font-family="DejaVu Sans, Verdana, Helvetica, sans-serif" font-size="11">')
        self.put(f"<title>{escape(self.title)}</title>")
        self.put('<defs><pattern id="dying" width="5" height="5" patternUnits="userSpaceOnUse" '
                 'patternTransform="rotate(45)"><rect width="2" height="5" fill="#fff"/>'
                 "</pattern></defs>")
        self.put(f'<rect width="{total}" height="{self.height}" fill="#fff"/>')
        self.head()
        bottom = HEAD_HEIGHT + LANE * len(self.chosen)
        self.axis(bottom)
        for i, life in enumerate(self.chosen):
            self.lane(life, HEAD_HEIGHT + LANE * i)
        self.put("</svg>")
        return "\n".join(self.out) + "\n"

    def head(self):
        log = self.lives.log
        total = len(self.lives.all)
        self.text(12, 22, self.title, font_size=15, font_weight="bold")
        parts = [f"{len(self.chosen)} of {total} references" if len(self.chosen) < total else
                 f"{total} reference" + "s" * (total != 1)]
        if len(self.chosen) < total:
            parts.append(f"{total - len(self.chosen)} left out")
        parts.append(duration(self.lives.end - self.start) if log.kind != "order" else
                     f"{len(log.events)} events, which have no times")
        self.text(12, 40, ", ".join(parts))
        alarms = []
        if self.lives.unreleased:
            alarms.append(f"not released: {len(self.lives.unreleased)}")
        if self.lives.homeless:
            alarms.append(f"misuse of a reference that is not told: {len(self.lives.homeless)}")
        if log.lost:
            alarms.append(f"lost events: {log.lost} or more, lanes may be wrong")
        if log.unreadable:
            alarms.append(f"unreadable lines: {len(log.unreadable)}")
        if alarms:
            self.text(LEFT + WIDTH + RIGHT - 12, 40, "; ".join(alarms), text_anchor="end",
                      fill=ALARM, font_weight="bold")
        self.legend(66)

    def legend(self, y):
        x = 12

        def word(text, room=14):
            nonlocal x
            self.text(x, y, text)
            x += 6.3 * len(text) + room

        def swatch(mode, state):
            nonlocal x
            self.bar([(x, x + 26, mode, state)], y - 9)
            x += 31

        word("colour is the mode:", 10)
        for mode, text in (("percpu", "per-CPU"), ("switching", "switching"),
                           ("atomic", "atomic")):
            swatch(mode, "live")
            word(text)
        x += 20
        word("form is the state:", 10)
        for state, text in (("live", "live"), ("dying", "dying: killed"),
                            ("dead", "dead: released")):
            swatch("none", state)
            word(text)
        x = 12
        y += 20
        for step in LETTERS:
            self.boxes([(LETTERS[step], step, BOX)], x, y - 10)
            x += BOX + 4
            word({"reinit": "reinit (new life)", "resurrect": "resurrect (undo)",
                  "dump": "dump (watchdog)"}.get(step, step))
        self.boxes([("3K", "kill", 19)], x, y - 10)
        x += 23
        word("three of them")
        self.arrow(x + 2, y - 4)
        x += 14
        word("not released")

    def axis(self, bottom):
        kind = self.lives.log.kind
        marks = ticks(self.start, self.end)
        lines = "".join(f"M{number(self.at(value))} {HEAD_HEIGHT - 4}V{bottom + 4}"
                        for value, _ in marks)
        self.put(f'<path d="{lines}" stroke="#ddd" fill="none"/>')
        self.put(f'<path d="M{LEFT} {HEAD_HEIGHT - 4}V{bottom + 4}" stroke="#999" fill="none"/>')
        for y in (HEAD_HEIGHT - 8, bottom + 16):
            for value, digits in marks:
                if kind == "date":
                    day = datetime.datetime.fromtimestamp(value, datetime.timezone.utc)
                    text = day.strftime("%H:%M:%S") + (f"{value % 1:.{digits}f}"[1:] if digits
                                                       else "")
                else:
                    text = f"{value:.{digits}f}"
                self.text(self.at(value), y, text, text_anchor="middle", fill="#444")
        words = {"log": "seconds, as in the log", "trace": "seconds, as in the trace",
                 "date": "time of day, as in the log", "order": "events, in order"}
        self.text(LEFT + WIDTH / 2, bottom + 34, words[kind], text_anchor="middle", fill="#444")
        self.text(12, HEAD_HEIGHT - 8, "name", fill="#444")
        self.text(LEFT - 10, HEAD_HEIGHT - 8, "id", fill="#444", text_anchor="end")

    def bar(self, spans, y):
        """Colour is the mode, and form the state."""
        shapes = collections.defaultdict(list)
        for start, end, mode, state in spans:
            width = max(end - start, 0.8)
            form = (y + 3, BAR - 6) if state == "dead" else (y, BAR)
            shapes[mode, state == "dead"].append(
                f"M{number(start)} {number(form[0])}h{number(width)}v{form[1]}h-{number(width)}z")
            if state == "dying":
                shapes["dying", False].append(
                    f"M{number(start)} {number(y)}h{number(width)}v{BAR}h-{number(width)}z")
        dying = shapes.pop(("dying", False), None)
        for (mode, _), paths in shapes.items():
            self.put(f'<path d="{"".join(paths)}" fill="{COLOURS[mode]}"/>')
        if dying:
            self.put(f'<path d="{"".join(dying)}" fill="url(#dying)" stroke="#000" '
                     'stroke-width="0.8"/>')

    def boxes(self, boxes, x, y):
        letters = collections.defaultdict(list)
        paths = collections.defaultdict(list)
        for text, step, width in boxes:
            dark = {"kill": "#000", "misuse": ALARM}.get(step, "#fff")
            if step == "release":
                shape = f"M{number(x + 0.5)} {number(y + BOX - 0.5)}v-8l3 -3h{width - 7}l3 3v8z"
            elif step == "confirm":
                shape = (f"M{number(x + 4.5)} {number(y + 0.5)}h{width - 9}a5.5 5.5 0 0 1 0 11"
                         f"h-{width - 9}a5.5 5.5 0 0 1 0 -11z")
            elif step == "exit":
                shape = None
            else:
                shape = f"M{number(x + 0.5)} {number(y + 0.5)}h{width - 1}v11h-{width - 1}z"
            if shape:
                paths[dark].append(shape)
            letters[dark].append((x + width / 2, text))
            x += width
        for dark, shape in paths.items():
            self.put(f'<path d="{"".join(shape)}" fill="{dark}" stroke="#000"/>')
        for dark, those in letters.items():
            colour = "#000" if dark == "#fff" else "#fff"
            for at, text in those:
                self.text(at, y + 9.5, text, fill=colour, font_size=9.5, font_weight="bold",
                          text_anchor="middle")

    def arrow(self, x, y):
        self.put(f'<path d="M{number(x)} {number(y - 6)}l9 6l-9 6z" fill="{ALARM}"/>')

    def lane(self, life, y):
        kind = "lane not-released" if life.unreleased else "lane"
        self.put(f'<g class="{kind}" id="ref-{life.id}-{self.lives.all.index(life)}">')
        about = [f"{life.name} (id {life.id})", f"release={life.release} ref={life.ref}"]
        if life.module:
            about.append(f"module={life.module}")
        about.append("from init" if life.begun else "from before the log")
        self.put(f"<title>{escape(chr(10).join(about))}</title>")
        if life.unreleased:
            self.put(f'<rect x="4" y="{y}" width="{LEFT + WIDTH + RIGHT - 8}" height="{LANE - 1}" '
                     f'fill="{ALARM}" fill-opacity="0.13"/>')
        bold = {"font_weight": "bold"} if life.unreleased else {}
        self.text(12, y + 22, clip(life.name, 24), **bold)
        self.text(LEFT - 10, y + 22, str(life.id), text_anchor="end", fill="#444")
        bar = y + 15
        spans = list(life.spans)
        if spans and life.ended == "end of the log":
            spans[-1] = spans[-1]._replace(end=self.end)
        self.bar(merge(spans, self.at), bar)
        if not life.begun:
            # It was there before the log.
            x = LEFT
            self.put(f'<path d="M{x} {bar - 1}l5 3l-5 3l5 3l-5 3z" fill="#fff"/>')
        self.marks(life, y + 1, bar)
        self.note(life, bar)
        self.put("</g>")

    def marks(self, life, y, bar):
        marks = [(self.at(mark.time), mark) for mark in life.marks]
        for group in place(marks, LEFT - 6, LEFT + WIDTH + 6):
            text = "\n".join(f"{self.when(mark.time)} {mark.text}" for _, mark in group.marks[:20])
            if len(group.marks) > 20:
                text += f"\n... {len(group.marks) - 20} more"
            self.put(f'<g class="marks"><title>{escape(text)}</title>')
            lines = []
            if group.counted:
                first, last = group.marks[0][0], group.marks[-1][0]
                middle = group.left + group.width / 2
                lines.append(f"M{number(first)} {bar}v-1.5H{number(last)}v1.5"
                             f"M{number(middle)} {y + BOX}v1")
            else:
                x = group.left + BOX / 2
                for at, _ in group.marks:
                    lines.append(f"M{number(x)} {y + BOX}L{number(at)} {bar}v{BAR}")
                    x += BOX
            self.put(f'<path d="{"".join(lines)}" fill="none" stroke="#000" stroke-width="0.8"/>')
            self.boxes(group.boxes, group.left, y)
            self.put("</g>")

    def when(self, time):
        if self.lives.log.kind == "date":
            day = datetime.datetime.fromtimestamp(time, datetime.timezone.utc)
            return day.strftime("%H:%M:%S.%f")
        return f"event {time}" if self.lives.log.kind == "order" else f"{time:.6f}"

    def note(self, life, bar):
        """How it ends, at the right."""
        x = LEFT + WIDTH
        if life.unreleased:
            self.arrow(x, bar + BAR / 2)
            self.text(x + 14, bar, "not released", fill=ALARM, font_weight="bold")
            text = f"count {life.count}"
            if self.lives.log.kind != "order":
                text = f"killed {duration(self.lives.log.end - life.killed)} ago, {text}"
            self.text(x + 14, bar + 10, text, font_size=9)
            return
        if life.exited_unreleased:
            text, colour = "exit, not released", ALARM
        elif life.ended == "exit":
            return
        elif life.ended == "another init":
            text, colour = "no exit, another init", ALARM
        else:
            text, colour = {"live": "live", "dead": "dead, no exit"}[life.state], "#444"
        self.text(x + 14, bar + 8, text, fill=colour)


# --- For Perfetto ------------------------------------------------------------

def trace_events(lives):
    """The Trace Event Format: a thread for each reference, nested complete events."""
    scale = 1e6 if lives.log.kind != "order" else 1e3

    def us(time):
        # From the beginning: a date in microseconds has too many digits.
        return round((time - (lives.start if lives.log.kind == "date" else 0)) * scale, 3)

    events = [{"ph": "M", "pid": 1, "tid": 0, "name": "process_name",
               "args": {"name": "pcpuref"}}]

    def span(tid, name, category, start, end, args):
        # Ends are differences of rounded times, so that what touches does not overlap.
        events.append({"ph": "X", "pid": 1, "tid": tid, "cat": category, "name": name,
                       "ts": us(start), "dur": round(us(end) - us(start), 3), "args": args})

    for tid, life in enumerate(lives.choose(0), 1):
        about = {"id": life.id, "name": life.name, "release": life.release, "ref": life.ref}
        if life.module:
            about["module"] = life.module
        for name, args in (("thread_name", {"name": f"{life.name} (id {life.id})"}),
                           ("thread_sort_index", {"sort_index": tid})):
            events.append({"ph": "M", "pid": 1, "tid": tid, "name": name, "args": args})
        if life.spans:
            end = "not released" if life.unreleased else life.ended
            span(tid, life.name, "life", life.start, life.end, {**about, "end": end})
        # States, and modes within them.
        i = 0
        while i < len(life.spans):
            n = i
            while n < len(life.spans) and life.spans[n].state == life.spans[i].state:
                n += 1
            name = life.spans[i].state
            if n == len(life.spans) and life.unreleased:
                name += " (not released)"
            span(tid, name, "state", life.spans[i].start, life.spans[n - 1].end, {})
            for part in life.spans[i:n]:
                span(tid, part.mode, "mode", part.start, part.end, {})
            i = n
        for mark in life.marks:
            events.append({"ph": "i", "s": "t", "pid": 1, "tid": tid, "cat": "step",
                           "name": mark.step, "ts": us(mark.time), "args": {"what": mark.text}})
    return events


# --- The command -------------------------------------------------------------

def write(path, text):
    if path == "-":
        sys.stdout.write(text)
        return
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def tell(text):
    print(f"lives: {text}", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(
        description="Draw the lives of references, from the event lines of pcpuref.",
        epilog="Example: dmesg | scripts/lives.py --svg lives.svg --json lives.json")
    parser.add_argument("log", nargs="*", help="dmesg, a console log, or the text of a trace; "
                        "standard input without one")
    parser.add_argument("--svg", metavar="FILE", help="write a picture (- is standard output)")
    parser.add_argument("--json", metavar="FILE",
                        help="write a file for Perfetto and chrome://tracing")
    parser.add_argument("--limit", type=int, default=40, metavar="N", help="lanes of the picture, "
                        "the most interesting of all; 0: no limit (40)")
    parser.add_argument("--name", metavar="PATTERN", help="only references whose names match, "
                        "as in 'object-*'")
    parser.add_argument("--title", default="Lives of references", help="over the picture")
    args = parser.parse_args()
    if not args.svg and not args.json:
        parser.error("nothing to write: --svg FILE, --json FILE or both")
    if args.limit < 0:
        parser.error("--limit is a number of lanes, or 0")

    lines = []
    try:
        for path in args.log or ["-"]:
            if path == "-":
                lines += sys.stdin.buffer.read().decode(errors="replace").splitlines()
            else:
                with open(path, encoding="utf-8", errors="replace") as file:
                    lines += file.read().splitlines()
    except OSError as error:
        tell(f"error: {error}")
        return 2

    log = Log(lines)
    for complaint in log.complaints:
        tell(complaint)
    if log.unreadable:
        where, text = log.unreadable[0]
        tell(f"unreadable event lines: {len(log.unreadable)}; the first is line {where}: "
             f"{text.strip()[:200]}")
    if log.lost:
        tell(f"lost events: {log.lost} or more; lanes may be wrong")
    lives = Lives(log, args.name)
    if not lives.all:
        tell(f"error: no events in {len(lines)} lines. They come with "
             "/sys/module/pcpuref/parameters/trace_events, or from the tracepoints pcpuref:*"
             if not log.events else f"error: no reference has a name like {args.name}")
        return 1

    try:
        if args.svg:
            chosen = lives.choose(args.limit)
            write(args.svg, Picture(lives, chosen, args.title).draw())
            if len(chosen) < len(lives.all):
                tell(f"{len(lives.all) - len(chosen)} of {len(lives.all)} references are left "
                     f"out of the picture (--limit {args.limit})")
        if args.json:
            events = ",\n".join(json.dumps(event) for event in trace_events(lives))
            write(args.json, f'{{"displayTimeUnit": "ms", "traceEvents": [\n{events}\n]}}\n')
    except OSError as error:
        tell(f"error: {error}")
        return 2
    for life in lives.unreleased[:10]:
        tell(f"not released: {life.name} (id {life.id})")
    if len(lives.unreleased) > 10:
        tell(f"not released: {len(lives.unreleased) - 10} more")
    return 0


if __name__ == "__main__":
    sys.exit(main())
