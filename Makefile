# guise: one non-recursive makefile. Targets: see `make help`.
MODE ?= release
CC ?= gcc
ifeq ($(origin CC),default)
CC := gcc
endif
PREFIX ?= /usr/local
B := build/$(MODE)
ALL_CORES := -j$(shell nproc)

PARTS := base mmu cpu translator devices netstack images frontend
SRC := $(sort $(foreach p,$(PARTS),$(wildcard $(p)/*.c $(p)/*/*.c)))
LIB_SRC := $(filter-out frontend/main.c,$(SRC))
LIB_OBJ := $(LIB_SRC:%.c=$(B)/%.o)
LIB := $(B)/libguise.a
UNIT_SRC := $(sort $(wildcard tests/unit/test_*.c tests/insn/test_*.c))
UNIT := $(UNIT_SRC:%.c=$(B)/%)
TEST_LIB_SRC := $(filter-out $(UNIT_SRC),$(wildcard tests/unit/*.c tests/insn/*.c))
TEST_LIB_OBJ := $(TEST_LIB_SRC:%.c=$(B)/%.o)

WARN := -Wall -Wextra -Wshadow -Wvla -Wundef -Wstrict-prototypes -Wmissing-prototypes -Wimplicit-fallthrough \
        -Wformat=2 -Wconversion -Wno-sign-conversion -Werror
FREETYPE := -isystem /usr/include/freetype2
CFLAGS_release := -O2 -g -fno-semantic-interposition
CFLAGS_debug := -O1 -g -DGUISE_DEBUG
CFLAGS_asan := -O1 -g -DGUISE_DEBUG -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
CFLAGS_tsan := -O1 -g -fsanitize=thread $(if $(findstring clang,$(CC)),,-Wno-tsan) # tsan knows no fences, and says so
CFLAGS_ALL := -std=c11 -D_GNU_SOURCE -I. $(FREETYPE) $(WARN) -fPIE -pthread -fstack-protector-strong -MMD -MP $(CFLAGS_$(MODE)) $(CFLAGS)
LDFLAGS_ALL := -pie -pthread -Wl,-z,relro,-z,now $(filter -fsanitize%,$(CFLAGS_$(MODE))) $(LDFLAGS)
LIBS := -lpcap -lcapstone -lffi -lfdt -ljansson -lzstd -lz -ldeflate -llzma -luring -lpng -lfreetype -lfontconfig -lm -lrt

.PHONY: all
NAMES := qemu-system-riscv64 qemu-img qemu-io # of other programs whose command lines guise takes
all: $(B)/guise $(NAMES:%=$(B)/%)
	@:

$(B)/guise: $(B)/frontend/main.o $(LIB)
	@echo "  LINK    $@"
	@$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

$(NAMES:%=$(B)/%): $(B)/guise
	@ln -sf guise $@

$(LIB): $(LIB_OBJ)
	@rm -f $@
	@$(AR) rcs $@ $^

$(B)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC      $<"
	@$(CC) $(CFLAGS_ALL) -c -o $@ $<

RANDOM := $(B)/tests/random/random
$(RANDOM): $(patsubst %.c,$(B)/%.o,$(wildcard tests/random/*.c)) $(LIB)
	@echo "  LINK    $@"
	@$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

DISK := $(B)/tests/disk/disk
$(DISK): $(patsubst %.c,$(B)/%.o,$(wildcard tests/disk/*.c)) $(LIB)
	@echo "  LINK    $@"
	@$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

JOINT := $(B)/tests/net/joint
$(JOINT): $(patsubst %.c,$(B)/%.o,$(wildcard tests/net/*.c)) $(LIB)
	@echo "  LINK    $@"
	@$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

.PHONY: unit
unit: $(UNIT) $(RANDOM) $(DISK) $(JOINT)
$(UNIT): $(B)/%: $(B)/%.o $(TEST_LIB_OBJ) $(LIB)
	@echo "  LINK    $@"
	@$(CC) $(LDFLAGS_ALL) -o $@ $^ -lcmocka -lmpfr -lgmp -lvterm $(LIBS)
.PRECIOUS: $(B)/%.o

# Programs for long runs, by hand: build/MODE/tests/long/NAME.
LONG := $(patsubst %.c,$(B)/%,$(sort $(wildcard tests/long/*.c)))
.PHONY: long
long: $(LONG)
$(LONG): $(B)/%: $(B)/%.o $(TEST_LIB_OBJ) $(LIB)
	@echo "  LINK    $@"
	@$(CC) $(LDFLAGS_ALL) -o $@ $^ -lcmocka -lmpfr -lgmp $(LIBS)

.PHONY: check-debian
check-debian: all
	@tests/packages.sh build demo debian test
	@GUISE=$(B)/guise tests/long/debian.sh

.PHONY: check-netboot
check-netboot:
	@tests/packages.sh build test demo
	@$(MAKE) --no-print-directory $(ALL_CORES) all
	@GUISE=$(B)/guise tests/long/netboot.sh

.PHONY: check-desktop
check-desktop: all
	@tests/packages.sh build demo debian test
	@GUISE=$(B)/guise tests/long/desktop.sh

.PHONY: check-installer
check-installer:
	@tests/packages.sh build test demo
	@$(MAKE) --no-print-directory $(ALL_CORES) all
	@GUISE=$(B)/guise tests/long/installer.sh

.PHONY: check-disks
check-disks:
	@tests/packages.sh build test demo
	@$(MAKE) --no-print-directory $(ALL_CORES) all $(DISK)
	@GUISE=$(B)/guise tests/disk/long.sh

# --- what a person calls -----------------------------------------------------------------------------------------

.PHONY: help
help:
	@echo "make            build build/release/guise (MODE=release|debug|asan|tsan)"
	@echo "make demo       boot Debian's riscv64 kernel (GUEST=debian: a full system; SCRIPT=\"...\": run it and end;"
	@echo "                DISPLAY_MODE=window: in a window)"
	@echo "make test       install what is missing, build, pass all tests"
	@echo "make check      the quick part of the tests: units, instructions, headers, include table"
	@echo "make check-asan, check-tsan   the same, guest programs and boots under the sanitizers"
	@echo "make check-debian   boot Debian from its disk COUNT=20 times on 1, 2 and 4 vCPUs, and once on each engine"
	@echo "make check-netboot  Debian's installer over the network, by U-Boot and EDK2; TFTP beside QEMU's"
	@echo "make check-desktop  Weston in Debian in the window, by keys and pointer, on two screens' devices"
	@echo "make check-installer  Debian's installer through the window, on an X server of its own, and the disk it makes booted"
	@echo "make check-qemu   the same random programs here and on QEMU 10: 10^7 instructions, no difference"
	@echo "make check-disks    disks lose nothing: 100,000 power cuts, 10,000 random sequences beside QEMU, 100 kills"
	@echo "make bench      compare with QEMU and with this host, side by side"
	@echo "make bench-nat  speed of the NAT engine alone, without a guest"
	@echo "make bench-term  speed of consoles in the window, without one: parsing and pictures"
	@echo "make bench-disk fio in the guest, here and on QEMU"
	@echo "make bench-net  the guest's network through NAT, here and on QEMU"
	@echo "make bench-screen   frames and text on the guest's screen in a window, here and on QEMU"
	@echo "make long       build the programs for long runs (tests/long; decode_all: every word against binutils)"
	@echo "make fuzz       run the fuzz targets (SECONDS=60 each)"
	@echo "make install    into PREFIX (default /usr/local), with the manual page and completion for bash and zsh"
	@echo "make format, tidy, compile_commands.json, clean"

.PHONY: demo
demo:
	@tests/packages.sh build demo
	@$(MAKE) --no-print-directory $(ALL_CORES) all
	@GUISE=$(B)/guise GUEST="$(GUEST)" DISPLAY_MODE="$(DISPLAY_MODE)" SCRIPT="$$SCRIPT" frontend/demo/demo.sh
export SCRIPT

.PHONY: test check check-asan check-tsan check-qemu
test:
	@tests/packages.sh build test demo
	@$(MAKE) --no-print-directory $(ALL_CORES) all unit
	@tests/run.sh $(MODE) full

check: all unit
	@tests/run.sh $(MODE) fast
check-asan check-tsan:
	@tests/packages.sh build test demo
	@$(MAKE) --no-print-directory $(ALL_CORES) MODE=$(@:check-%=%) all unit
	@tests/run.sh $(@:check-%=%) sanitizer

check-qemu:
	@tests/packages.sh build test
	@$(MAKE) --no-print-directory $(ALL_CORES) all $(RANDOM)
	@GUISE=$(B)/guise MODE=$(MODE) tests/random/qemu.sh

.PHONY: bench
bench:
	@tests/packages.sh build test demo
	@$(MAKE) --no-print-directory $(ALL_CORES) all
	@GUISE=$(B)/guise tests/bench/bench.sh $(BENCH)

# The NAT engine alone, its peer on the loopback.
NAT_SPEED := $(B)/tests/bench/nat_speed
$(NAT_SPEED): $(B)/tests/bench/nat_speed.o $(TEST_LIB_OBJ) $(LIB)
	@echo "  LINK    $@"
	@$(CC) $(LDFLAGS_ALL) -o $@ $^ -lcmocka -lmpfr -lgmp $(LIBS)
.PHONY: bench-nat
bench-nat:
	@tests/packages.sh build test
	@$(MAKE) --no-print-directory $(NAT_SPEED)
	@$(NAT_SPEED)

# The terminal alone: parsing, and frames while lines scroll.
TERM_SPEED := $(B)/tests/bench/term_speed
$(TERM_SPEED): $(B)/tests/bench/term_speed.o $(LIB)
	@echo "  LINK    $@"
	@$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)
.PHONY: bench-term
bench-term:
	@tests/packages.sh build
	@$(MAKE) --no-print-directory $(TERM_SPEED)
	@$(TERM_SPEED)

.PHONY: bench-disk
bench-disk:
	@tests/packages.sh build test demo
	@$(MAKE) --no-print-directory $(ALL_CORES) all
	@GUISE=$(B)/guise tests/bench/disk.sh

.PHONY: bench-net
bench-net:
	@tests/packages.sh build test demo bench
	@$(MAKE) --no-print-directory $(ALL_CORES) all
	@GUISE=$(B)/guise tests/bench/net.sh
	@GUISE=$(B)/guise tests/bench/net_tools.sh

.PHONY: bench-screen
bench-screen:
	@tests/packages.sh build test demo
	@$(MAKE) --no-print-directory $(ALL_CORES) all
	@GUISE=$(B)/guise tests/bench/screen.sh

FUZZ_SRC := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FUZZ_LIB_SRC := $(filter-out $(FUZZ_SRC) tests/fuzz/replay_main.c,$(wildcard tests/fuzz/*.c)) tests/unit/net_ns.c
FUZZ := $(FUZZ_SRC:tests/fuzz/%.c=build/fuzz/%)
SECONDS ?= 60
FUZZ_FLAGS := -std=c11 -D_GNU_SOURCE -I. $(FREETYPE) -O1 -g -DGUISE_DEBUG -fsanitize=fuzzer-no-link,address,undefined -pthread
FUZZ_OBJ := $(LIB_SRC:%.c=build/fuzz/obj/%.o) $(FUZZ_LIB_SRC:%.c=build/fuzz/obj/%.o)
.PHONY: fuzz fuzz-build
build/fuzz/obj/%.o: %.c
	@mkdir -p $(@D)
	@clang $(FUZZ_FLAGS) -MMD -MP -c -o $@ $<
$(FUZZ): build/fuzz/%: tests/fuzz/%.c $(FUZZ_OBJ)
	@echo "  FUZZ    $@"
	@clang $(FUZZ_FLAGS) -fsanitize=fuzzer -o $@ $^ $(LIBS)
fuzz-build: $(FUZZ)
# The same targets over their corpora, with any compiler: tests/fuzz/replay.sh.
REPLAY := $(FUZZ_SRC:%.c=$(B)/%)
.PHONY: replay
replay: $(REPLAY)
$(REPLAY): $(B)/%: $(B)/%.o $(FUZZ_LIB_SRC:%.c=$(B)/%.o) $(B)/tests/fuzz/replay_main.o $(LIB)
	@echo "  LINK    $@"
	@$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)
fuzz:
	@tests/packages.sh build fuzz
	@$(MAKE) --no-print-directory $(ALL_CORES) fuzz-build
	@tests/fuzz/run.sh $(SECONDS) $(FUZZ)

.PHONY: install
SHARE := $(DESTDIR)$(PREFIX)/share
install: all
	install -D -m 755 build/$(MODE)/guise $(DESTDIR)$(PREFIX)/bin/guise
	for n in $(NAMES); do ln -sf guise $(DESTDIR)$(PREFIX)/bin/$$n; done
	install -d $(SHARE)/man/man1 $(SHARE)/bash-completion/completions $(SHARE)/zsh/site-functions
	$(B)/guise manual >$(SHARE)/man/man1/guise.1
	$(B)/guise completion bash >$(SHARE)/bash-completion/completions/guise
	for n in $(NAMES); do ln -sf guise $(SHARE)/bash-completion/completions/$$n; done
	$(B)/guise completion zsh >$(SHARE)/zsh/site-functions/_guise

.PHONY: format tidy clean
format:
	clang-format -i $(filter-out %.def,$(wildcard $(addsuffix /*.[ch],$(PARTS) $(wildcard $(addsuffix /*,$(PARTS))) tests/unit tests/insn)))
tidy:
	clang-tidy --quiet $(SRC) -- -std=c11 -D_GNU_SOURCE -I. $(FREETYPE)
clean:
	rm -rf build

compile_commands.json: Makefile
	@{ echo '['; for f in $(SRC); do \
	  printf '{"directory":"%s","file":"%s","command":"%s %s -c %s"},\n' "$(CURDIR)" $$f "$(CC)" "-std=c11 -D_GNU_SOURCE -I. $(FREETYPE) -Wall -Wextra" $$f; \
	done | sed '$$s/,$$//'; echo ']'; } >$@

-include $(wildcard $(B)/*/*.d $(B)/*/*/*.d build/fuzz/obj/*/*.d build/fuzz/obj/*/*/*.d)
