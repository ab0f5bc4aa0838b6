# guise: one non-recursive makefile. Targets: see `make help`.
MODE ?= release
CC ?= gcc
ifeq ($(origin CC),default)
CC := gcc
endif
PREFIX ?= /usr/local
B := build/$(MODE)

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
CFLAGS_release := -O2 -g -fno-semantic-interposition
CFLAGS_debug := -O1 -g -DGUISE_DEBUG
CFLAGS_asan := -O1 -g -DGUISE_DEBUG -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
CFLAGS_tsan := -O1 -g -fsanitize=thread
CFLAGS_ALL := -std=c11 -D_GNU_SOURCE -I. $(WARN) -fPIE -pthread -fstack-protector-strong -MMD -MP $(CFLAGS_$(MODE)) $(CFLAGS)
LDFLAGS_ALL := -pie -pthread -Wl,-z,relro,-z,now $(filter -fsanitize%,$(CFLAGS_$(MODE))) $(LDFLAGS)
LIBS := -lcapstone -lffi -lfdt -ljansson -lzstd -lz -lm -lrt

.PHONY: all
all: $(B)/guise $(B)/qemu-system-riscv64

$(B)/guise: $(B)/frontend/main.o $(LIB)
	@echo "  LINK    $@"
	@$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

$(B)/qemu-system-riscv64: $(B)/guise
	@ln -sf guise $@

$(LIB): $(LIB_OBJ)
	@rm -f $@
	@$(AR) rcs $@ $^

$(B)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC      $<"
	@$(CC) $(CFLAGS_ALL) -c -o $@ $<

.PHONY: unit
unit: $(UNIT)
$(UNIT): $(B)/%: $(B)/%.o $(TEST_LIB_OBJ) $(LIB)
	@echo "  LINK    $@"
	@$(CC) $(LDFLAGS_ALL) -o $@ $^ -lcmocka -lmpfr -lgmp $(LIBS)
.PRECIOUS: $(B)/%.o

-include $(wildcard $(B)/*/*.d $(B)/*/*/*.d)
