# SPDX-License-Identifier: GPL-2.0-only
#
# For people; kbuild reads Kbuild. "make help" tells what there is.

ifdef KERNELRELEASE
KDIR	?= /lib/modules/$(KERNELRELEASE)/build
else
KDIR	?= /lib/modules/$(shell uname -r)/build
endif
UML	?= up
KERNEL	?= 6.12

# Modules of subfolders to build along: make PCPUREF_SUBDIRS="watch/ samples/"
PCPUREF_SUBDIRS ?= holders/ watch/

# Where "install" puts things: below root, of the kernel that KDIR is of. Headers and
# symbol versions are with the modules that they belong to, so that each kernel has
# those of its own.
INSTALL_MOD_DIR ?= updates/pcpuref
root	= $(patsubst %/,%,$(if $(DESTDIR)$(INSTALL_MOD_PATH),$(abspath $(DESTDIR)$(INSTALL_MOD_PATH))))
# What uname -r says there. Debian's 6.1 has another name in include/config/kernel.release.
of_kdir	= $(shell cd $(KDIR)/include 2>/dev/null && { \
		sed -n 's/^.define UTS_RELEASE "\(.*\)"/\1/p' generated/utsrelease.h 2>/dev/null | \
		grep . || cat config/kernel.release 2>/dev/null; })
release	= $(or $(KERNELRELEASE),$(of_kdir),$(if $(filter file,$(origin KDIR)),$(shell uname -r)))
modlib	= $(root)/lib/modules/$(release)
mods	= $(modlib)/$(INSTALL_MOD_DIR)
dev	= $(modlib)/pcpuref
installed = $(mods)/pcpuref.ko* $(PCPUREF_SUBDIRS:%=$(mods)/%pcpuref_*.ko*)

# SIGN_KEY= and SIGN_CERT= sign what is installed. The key by which kbuild would sign is
# the kernel's own, and it would compress after that: it is told to leave both.
unsigned = $(patsubst %,CONFIG_MODULE_%=,SIG_ALL COMPRESS COMPRESS_ALL COMPRESS_GZIP \
	COMPRESS_XZ COMPRESS_ZSTD)
sign_hash = $(or $(shell sed -n 's/^CONFIG_MODULE_SIG_HASH=//p' \
	$(KDIR)/include/config/auto.conf 2>/dev/null),sha256)

# make has to see $(MAKE) in a recipe to let it share the jobs of -j.
kbuild	= -C $(KDIR) M=$(CURDIR) PCPUREF_SUBDIRS="$(PCPUREF_SUBDIRS)"

modules: headers-present compiler-present
	@$(MAKE) $(kbuild) modules

# Debian's headers lack what kbuild's own call of depmod needs: "install" calls it.
# What an earlier one left may be compressed, and have another name.
modules_install: headers-present root-present key-present
	@rm -f $(installed)
	@$(MAKE) $(kbuild) INSTALL_MOD_PATH=$(root) INSTALL_MOD_DIR=$(INSTALL_MOD_DIR) \
		$(if $(SIGN_KEY),$(unsigned)) modules_install
	$(if $(SIGN_KEY),@for m in $(installed); do [ -e $$m ] || continue; \
		echo "  SIGN    $$m"; \
		$(KDIR)/scripts/sign-file $(sign_hash) '$(SIGN_KEY)' '$(SIGN_CERT)' $$m || \
			exit 1; done)

headers_install: headers-present root-present
	@grep -qs '	__pcpuref_init	' Module.symvers || { \
		echo "No Module.symvers of pcpuref here: run make first." >&2; exit 1; }
	@echo "  INSTALL $(dev)"
	@install -d -m 755 $(dev)/compat
	@install -m 644 $(wildcard pcpuref*.h) Module.symvers $(dev)
	@install -m 644 compat/Kbuild.include compat/wrap.sh $(dev)/compat

# depmod may be where only root's PATH leads. Of lists that a root without a kernel
# lacks it warns, and needs none.
depmod	= echo "  DEPMOD  $(modlib)" && \
	said=$$(PATH="$$PATH:/usr/sbin:/sbin"; depmod $(if $(root),-b $(root)) $(release) 2>&1) || \
		{ echo "$$said" >&2; exit 1; } && \
	{ echo "$$said" | grep -v '^$$\|WARNING: could not open modules\.' >&2 || :; }

install: root-present key-present depmod-present modules
	@$(MAKE) --no-print-directory modules_install
	@$(MAKE) --no-print-directory headers_install
	@$(depmod)
	@find $(modlib) -name 'pcpuref.ko*' ! -path '$(mods)/*' | sed \
		's,.*,NOTE: & is another one: modprobe may load either. Remove it.,' >&2

# What depmod made is left only where there is a kernel.
uninstall: root-present
	@echo "  REMOVE  $(mods) $(dev)"
	@rm -rf $(dev)
	@rm -f $(installed)
	@if [ -e $(modlib)/modules.order ] || [ -e $(modlib)/kernel ]; then $(depmod); else \
		rm -f $(modlib)/modules.[adsw]* $(modlib)/modules.builtin*.bin; fi
	@cd $(root)/ && for d in $(PCPUREF_SUBDIRS:%=$(INSTALL_MOD_DIR)/%) $(INSTALL_MOD_DIR) .; do \
		rmdir -p lib/modules/$(release)/$${d%.}; done 2>/dev/null || :

# Without headers kbuild is not there to clean up after itself.
clean:
	@if [ -e "$(KDIR)/Makefile" ]; then $(MAKE) $(kbuild) clean; else \
		find . -name '.git' -prune -o \( -name '*.o' -o -name '*.ko' \
		-o -name '*.mod' -o -name '*.mod.c' -o -name '.*.cmd' \
		-o -name modules.order -o -name Module.symvers \) \
		-type f -exec rm -f {} +; fi

# Also what editors, checks and Python leave.
distclean: clean
	@find . -name '.git' -prune -o \( -name '*~' -o -name '*.orig' -o -name '*.rej' \
		-o -name '.*.swp' -o -name '.checkpatch-camelcase.*' -o -name __pycache__ \
		-o -path ./Documentation/_build \) -prune -exec rm -rf {} +

cache:
	@scripts/cache.sh list

cache-clean:
	@scripts/cache.sh clean

# What kbuild would answer with errors of its own, or with a build elsewhere.
headers-present:
	$(if $(filter command,$(origin O)),$(error O=$(O): objects are made beside the \
		sources. To have them elsewhere, copy the sources; the kernel's build \
		folder is KDIR=folder))
	$(if $(word 2,$(CURDIR))$(findstring :,$(CURDIR)),$(error kbuild cannot build in a \
		folder whose path has blanks or colons: "$(CURDIR)"))
	$(if $(word 2,$(KDIR))$(findstring :,$(KDIR)),$(error kbuild cannot use a folder \
		whose path has blanks or colons: KDIR="$(KDIR)"))
	@[ -e "$(KDIR)/Makefile" ] || { \
		echo "No kernel headers in $(KDIR)." >&2; \
		$(if $(filter file,$(origin KDIR)),,[ -d "$(KDIR)" ] || \
			echo "There is no such folder." >&2;) \
		echo "Install them, or set KDIR=folder:" >&2; \
		echo "  Debian, Ubuntu:  apt-get install linux-headers-$(or $(KERNELRELEASE),$$(uname -r))" >&2; \
		echo "  Fedora, RHEL:    dnf install kernel-devel-$(or $(KERNELRELEASE),$$(uname -r))" >&2; \
		echo "  Arch:            pacman -S linux-headers" >&2; \
		echo "\"make check\" needs none: it fetches its own kernels." >&2; \
		exit 1; }
	@[ -e "$(KDIR)/include/config/kernel.release" ] || { \
		echo "No kernel is built in $(KDIR): no include/config/kernel.release." >&2; \
		echo "Build it, or set KDIR=folder to where it is built." >&2; \
		exit 1; }
	$(if $(filter-out $(or $(of_kdir),$(release)),$(KERNELRELEASE)),$(error KERNELRELEASE \
		is $(KERNELRELEASE), but the kernel in $(KDIR) is $(of_kdir)))

# kbuild's own words are "Error 127". Debian's headers ask for a gcc of one version, by a
# longer name, so any will do here; what is asked for by CC= or LLVM= is left to kbuild.
compilers = $(wildcard $(foreach d,$(subst :, ,$(PATH)),$d/*gcc $d/*gcc-[0-9]* $d/clang*))
compiler-present: headers-present
	$(if $(or $(filter command,$(origin CC)),$(LLVM),$(compilers)),,@ \
		echo "No C compiler in PATH. Install one:" >&2; \
		echo "  Debian, Ubuntu:  apt-get install gcc" >&2; \
		echo "  Fedora, RHEL:    dnf install gcc" >&2; \
		echo "  Arch:            pacman -S gcc" >&2; \
		exit 1)

depmod-present:
	@PATH="$$PATH:/usr/sbin:/sbin"; command -v depmod >/dev/null || { \
		echo "No depmod, which tells modprobe of the modules. Install it:" >&2; \
		echo "  Debian, Ubuntu, Fedora, RHEL, Arch:  the package kmod" >&2; \
		exit 1; }

root-present:
	$(if $(word 2,$(root)),$(error kbuild cannot install below a folder whose path has \
		blanks: "$(DESTDIR)$(INSTALL_MOD_PATH)"))
	$(if $(release),,$(error no kernel in KDIR=$(KDIR): set KERNELRELEASE=release or KDIR=folder))
	$(if $(findstring /,$(release)),$(error KERNELRELEASE=$(release) is no name of a kernel))

key-present:
	$(if $(SIGN_KEY)$(SIGN_CERT),$(if $(and $(SIGN_KEY),$(SIGN_CERT)),,$(error to sign the \
		modules takes both SIGN_KEY=file and SIGN_CERT=file)))
	$(if $(SIGN_KEY),$(foreach f,$(filter-out pkcs11:%,$(SIGN_KEY)) $(SIGN_CERT),$(if \
		$(wildcard $(f)),,$(error no $(f) to sign the modules with))))
	$(if $(SIGN_KEY),$(if $(wildcard $(KDIR)/scripts/sign-file),,$(error no \
		$(KDIR)/scripts/sign-file to sign the modules with: was this kernel built \
		with CONFIG_MODULE_SIG?)))

# Debian packages, to OUT=folder or the cache.
deb:
	@scripts/deb.sh $(OUT)

demo:
	@scripts/demo.sh $(KERNEL)

demo-stuck:
	@scripts/demo-stuck.sh $(KERNEL)

check:
	@scripts/check.sh

kunit:
	@scripts/kunit.sh $(UML)

kunit-tree:
	@scripts/kunit-tree.sh $(UML)

kselftest:
	@scripts/kselftest.sh $(KERNEL)

full-check:
	@scripts/full-check.sh

selftest:
	@scripts/selftest.sh $(KERNEL)

matrix:
	@scripts/matrix.sh $(CELLS)

stress:
	@scripts/stress.sh $(KERNEL) "$(or $(SECS),60)" "$(or $(SEED),0)"

model:
	@scripts/model.sh

agree:
	@scripts/agree.sh

litmus:
	@scripts/litmus.sh

docs:
	@scripts/docs.sh $(OUT)

captured:
	@scripts/captured.sh

mutants:
	@scripts/mutants.sh

traps:
	@scripts/traps.sh

drop-in:
	@scripts/drop-in.sh

drop-in-kernel:
	@scripts/drop-in-kernel.sh

debug-check:
	@scripts/debug-check.sh

fastpath:
	@scripts/fastpath.sh $(KERNEL)

bench:
	@scripts/bench.sh $(KERNEL)

bench-possible:
	@scripts/bench-possible.sh

bench-native:
	@scripts/bench-native.sh $(KERNEL)

test-install:
	@scripts/test-installs.sh $(KERNEL)

lint:
	@scripts/lint.sh

static:
	@scripts/static.sh

help:
	@echo "Build (against KDIR=$(KDIR)):"
	@echo "  modules           pcpuref.ko, pcpuref_watch.ko, pcpuref_holders.ko (default)"
	@echo "  install           modules, depmod, and what other modules are built against:"
	@echo "                    headers and Module.symvers, in /lib/modules/RELEASE/pcpuref;"
	@echo "                    DESTDIR= or INSTALL_MOD_PATH= puts another folder before it,"
	@echo "                    SIGN_KEY= with SIGN_CERT= signs the modules"
	@echo "  uninstall         undo that (with the same variables)"
	@echo "  modules_install   of these the modules only, without depmod"
	@echo "  headers_install   of these the headers and Module.symvers only"
	@echo "  deb               Debian packages pcpuref-dkms and pcpuref-dev, in OUT=folder"
	@echo "  clean             remove what was built here"
	@echo "  distclean         also what editors and checks left"
	@echo "For another kernel than the running one: KDIR=folder or KERNELRELEASE=release."
	@echo ""
	@echo "See it (Debian 12; kernels are fetched and kept in the cache):"
	@echo "  demo              the module at work in a virtual machine"
	@echo "  demo-stuck        a leaked reference, found by dmesg alone"
	@echo "  traps             percpu_ref and pcpuref in the same trouble"
	@echo "  docs              the documentation as HTML, and a man page (OUT=folder)"
	@echo "  captured          the output that the documentation shows, printed anew"
	@echo ""
	@echo "Test it:"
	@echo "  check             kunit, and selftest on 6.12"
	@echo "  kunit             UML=up (6.12, one CPU), clang (the same) or smp (7.x, four)"
	@echo "  selftest          KERNEL=6.12, 6.1, 5.10 or 7; 6.12-rt, 6.1-rt or 7-rt;"
	@echo "                    6.1-i386 (32 bit), 6.12-arm64, clang (6.12, compiled by it)"
	@echo "  drop-in           drivers of a stock kernel, on pcpuref instead of percpu_ref"
	@echo "  fastpath          what the inline gets and puts compile to"
	@echo "  test-install      install into a folder, by dkms and as a Debian package, each with"
	@echo "                    a client that is built against it"
	@echo "  lint              checkpatch, kernel-doc, shellcheck, documentation"
	@echo "  static            sparse, clang -Wextra, clang-tidy, gcc -fanalyzer, coccicheck"
	@echo ""
	@echo "Prove it:"
	@echo "  matrix            all kernels, or CELLS=\"6.12 uml-up\", and one table of them;"
	@echo "                    CELLS=list prints their names"
	@echo "  debug-check       the tests under KASAN and KCSAN (7.x in QEMU), SECS=600 of stress"
	@echo "  stress            all at random: SECS=60 SEED=0 KERNEL= as above, kasan or kcsan"
	@echo "  model             the state machine explored, and compared with the code's (agree)"
	@echo "  agree             random sequences of operations in the model and in the code"
	@echo "  litmus            its memory ordering, by the kernel's memory model"
	@echo "  mutants           patches that break one thing each: does a test see it?"
	@echo "  kunit-tree        the KUnit suites built into a kernel, by kunit.py (UML=up or smp)"
	@echo "  kselftest         the selftests by the kernel's lib.mk and run_kselftest.sh"
	@echo "  drop-in-kernel    Linux itself on pcpuref (7.x, UML; four long builds)"
	@echo "  full-check        all that .ci/run has no time for: hours"
	@echo ""
	@echo "Measure it:"
	@echo "  bench             against the kernel's own counts, in a virtual machine"
	@echo "  bench-possible    state changes with 4, 64 and 512 possible CPUs (6.1)"
	@echo "  bench-native      the fast path on this processor, in a process"
	@echo ""
	@echo "  cache             list what is in the cache, and how large it is; drop what was"
	@echo "                    made of checkouts that are gone"
	@echo "  cache-clean       drop the cache: all of it is fetched or built anew"
	@echo "PCPUREF_REFRESH=1 looks for newer builds of the kernels, PCPUREF_CACHE=folder"
	@echo "moves the cache, NO_INSTALL=1 stops where a Debian package is missing."

.PHONY: modules modules_install headers_install install uninstall clean distclean deb \
	headers-present compiler-present depmod-present root-present key-present cache \
	cache-clean docs captured demo demo-stuck traps check kunit kunit-tree selftest \
	kselftest matrix stress debug-check model agree litmus mutants drop-in \
	drop-in-kernel fastpath bench bench-possible bench-native test-install lint \
	static full-check help
