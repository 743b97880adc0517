# SPDX-License-Identifier: GPL-2.0-only
"""The table of references, by drgn of a dump: see Documentation/debugging.rst."""

from drgn import Object
from drgn.helpers.linux.cpumask import for_each_possible_cpu
from drgn.helpers.linux.list import list_for_each_entry
from drgn.helpers.linux.percpu import per_cpu, per_cpu_ptr

BIAS = 1 << 62
RELEASE_WORK = 1 << 3
cpus = list(for_each_possible_cpu(prog))


def name_of(d):
    if not d.named:
        return d.site.name.string_().decode()
    # A copy behind the structure, and behind the work if it has one.
    kind = "struct data_and_work" if d.flags & RELEASE_WORK else "struct pcpuref_data"
    return Object(prog, "char *", d.value_() + prog.type(kind).size).string_().decode()


for cpu in cpus:
    refs = per_cpu(prog["registry"], cpu).refs
    for d in list_for_each_entry("struct pcpuref_data", refs.address_of_(), "node"):
        state = ("stuck" if d.stuck else "live" if d.live else
                 "dead" if d.zero else "dying")
        shared = 0 if d.zero else d.count.counter.value_() - (BIAS if d.biased else 0)
        percpu = {c: per_cpu_ptr(d.counters, c)[0].value_() for c in cpus} \
            if d.counters else {}
        print(f"id={d.id.value_()} name={name_of(d)}"
              f" module={d.site.module.string_().decode()} state={state}"
              f" shared={shared} percpu={percpu}")
        if d.killed_at:
            print("  killed by", prog.symbol(d.requester.value_()).name)
