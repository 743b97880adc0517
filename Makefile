# SPDX-License-Identifier: GPL-2.0-only
#
# For people; kbuild reads Kbuild. "make help" tells what there is.

KDIR	?= /lib/modules/$(shell uname -r)/build
UML	?= up
KERNEL	?= 6.12

# Modules of subfolders to build along: make PCPUREF_SUBDIRS="watch/ samples/"
PCPUREF_SUBDIRS ?= holders/ watch/

kbuild	= $(MAKE) -C $(KDIR) M=$(CURDIR) PCPUREF_SUBDIRS="$(PCPUREF_SUBDIRS)"

modules: headers-present
	$(kbuild) modules

modules_install: headers-present
	$(kbuild) modules_install

install: modules modules_install
	depmod -a

# Without headers kbuild is not there to clean up after itself.
clean:
	@if [ -e "$(KDIR)/Makefile" ]; then $(kbuild) clean; else \
		find . -name '.git' -prune -o \( -name '*.o' -o -name '*.ko' \
		-o -name '*.mod' -o -name '*.mod.c' -o -name '.*.cmd' \
		-o -name modules.order -o -name Module.symvers \) \
		-type f -exec rm -f {} +; fi

headers-present:
	@[ -e "$(KDIR)/Makefile" ] || { \
		echo "No kernel headers in $(KDIR)." >&2; \
		echo "Install them, or set KDIR=folder:" >&2; \
		echo "  Debian, Ubuntu:  apt-get install linux-headers-$$(uname -r)" >&2; \
		echo "  Fedora, RHEL:    dnf install kernel-devel-$$(uname -r)" >&2; \
		echo "  Arch:            pacman -S linux-headers" >&2; \
		echo "\"make check\" needs none: it fetches its own kernels." >&2; \
		exit 1; }

demo:
	@scripts/demo.sh $(KERNEL)

demo-stuck:
	@scripts/demo-stuck.sh $(KERNEL)

check:
	@scripts/check.sh

kunit:
	@scripts/kunit.sh $(UML)

selftest:
	@scripts/selftest.sh $(KERNEL)

model:
	@scripts/model.sh

traps:
	@scripts/traps.sh

drop-in:
	@scripts/drop-in.sh

drop-in-kernel:
	@scripts/drop-in-kernel.sh

kasan:
	@scripts/kasan.sh

fastpath:
	@scripts/fastpath.sh $(KERNEL)

bench:
	@scripts/bench.sh $(KERNEL)

bench-possible:
	@scripts/bench-possible.sh

bench-native:
	@scripts/bench-native.sh $(KERNEL)

lint:
	@scripts/lint.sh

help:
	@echo "Build (against KDIR=$(KDIR)):"
	@echo "  modules           pcpuref.ko, pcpuref_watch.ko, pcpuref_holders.ko (default)"
	@echo "  modules_install   install it below /lib/modules"
	@echo "  install           the same, with depmod"
	@echo "  clean             remove what was built here"
	@echo ""
	@echo "See and test (Debian 12; kernels are fetched and kept in the cache):"
	@echo "  demo              the module at work in a virtual machine"
	@echo "  demo-stuck        a leaked reference, found by dmesg alone"
	@echo "  check             kunit, and selftest on the newest kernel"
	@echo "  kunit             UML=up (6.12, one CPU) or UML=smp (7.x, four)"
	@echo "  selftest          KERNEL=6.12, 6.1, 5.10, 6.12-rt or 6.1-rt"
	@echo "  model             the state machine explored, its memory ordering checked"
	@echo "  traps             percpu_ref and pcpuref in the same trouble"
	@echo "  drop-in           drivers of a stock kernel, on pcpuref instead of percpu_ref"
	@echo "  drop-in-kernel    Linux itself on pcpuref (7.x, UML; four long builds)"
	@echo "  kasan             the tests under KASAN (7.x in QEMU; a long build)"
	@echo "  fastpath          what the inline gets and puts compile to"
	@echo "  bench             against the kernel's own counts, in a virtual machine"
	@echo "  bench-possible    state changes with 4, 64 and 512 possible CPUs (6.1)"
	@echo "  bench-native      the fast path on this processor, in a process"
	@echo "  lint              checkpatch, sparse, kernel-doc, shellcheck"
	@echo ""
	@echo "PCPUREF_REFRESH=1 looks for newer builds of the kernels."

.PHONY: modules modules_install install clean headers-present demo \
	demo-stuck check \
	kunit selftest model traps drop-in drop-in-kernel kasan fastpath bench \
	bench-possible bench-native lint help
