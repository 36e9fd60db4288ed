# mmorts: `make help` lists the targets. Everything that is built lies below $(B).

SHELL := /bin/bash
ifeq ($(origin CC),default)
CC := gcc
endif

SERVICES := auth world vision sync production social
TOOLS    := $(patsubst tools/%/,%,$(wildcard tools/*/))

# A sanitizer build has a directory of its own, so that switching costs no rebuild.
SANITIZE ?=
comma := ,
B ?= build$(if $(SANITIZE),/sanitize-$(subst $(comma),-,$(SANITIZE)))

PACKAGES := libmicrohttpd libcurl libprotobuf-c nng libjwt openssl hiredis libmariadb yaml-0.1 \
            libwslay jansson zlib libzstd libxxhash
# nng and wslay ship no pkg-config file in Debian; their flags are their names.
PKG_HAVE := $(filter-out nng libwslay,$(PACKAGES))
PKG_CFLAGS = $(shell pkg-config --cflags $(PKG_HAVE))
PKG_LIBS   = $(shell pkg-config --libs $(PKG_HAVE)) -lnng -lwslay -lpthread -lm

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Werror
OPT      ?= -O2
CFLAGS_ALL = -std=c17 -D_GNU_SOURCE $(OPT) -g -fno-omit-frame-pointer $(WARNINGS) -I. -I$(B) \
             $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all) $(CFLAGS)
LDFLAGS_ALL = $(if $(SANITIZE),-fsanitize=$(SANITIZE)) $(LDFLAGS)

# --- what there is -----------------------------------------------------------------------------

PROTOS   := $(wildcard proto/*.proto)
GEN_C    := $(PROTOS:proto/%.proto=$(B)/gen/%.pb-c.c)
GEN_H    := $(GEN_C:.c=.h)
COMMON_C := $(wildcard libcommon/*/*.c)
SUPPORT_C := $(wildcard tests/support/*.c)
UNIT_C   := $(shell find tests/unit -name 'test_*.c' 2>/dev/null)
PLAIN_C  := $(shell find tests/unit tests/integration -name 'plain_*.c' 2>/dev/null)
INTEG_C  := $(wildcard tests/integration/test_*.c)
BENCH_C  := $(wildcard tests/bench/bench_*.c)
FUZZ_C   := $(wildcard tests/fuzz/fuzz_*.c)

obj = $(patsubst %.c,$(B)/obj/%.o,$(1))

LIB_PROTO  := $(B)/lib/libproto.a
LIB_COMMON := $(B)/lib/libmmorts.a
LIB_SUPPORT := $(B)/lib/libsupport.a
LIB_CORES  := $(foreach s,$(SERVICES),$(B)/lib/lib$(s)_core.a)
LIB_SHELLS := $(foreach s,$(SERVICES),$(B)/lib/lib$(s).a)
BINARIES   := $(foreach s,$(SERVICES) $(TOOLS),$(B)/bin/mmorts-$(s))
# Order matters to the linker: who uses stands before what is used.
LINK_LIBS  = $(LIB_SHELLS) $(LIB_CORES) $(LIB_COMMON) $(LIB_PROTO)

UNIT_BIN  := $(UNIT_C:%.c=$(B)/%)
PLAIN_BIN := $(PLAIN_C:%.c=$(B)/%)
INTEG_BIN := $(INTEG_C:%.c=$(B)/%)
BENCH_BIN := $(BENCH_C:tests/bench/bench_%.c=$(B)/bench/bench_%)
FUZZ_BIN  := $(FUZZ_C:tests/fuzz/%.c=$(B)/fuzz/%)

.PHONY: all help deps play test check format bench clean fuzz lib tests
.SECONDARY:
.DELETE_ON_ERROR:

all: $(BINARIES) ## build the six services and the tools

help: ## list the targets
	@grep -hE '^[a-z%-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z%-]+):.*## (.*)/  make \1\t\2/' | expand -t 22
	@echo '  Variables: SANITIZE=address,undefined|thread  CC=gcc|clang  B=<build directory>'

deps: ## install the Debian and npm packages that are missing
	@tools/install-packages.sh

play: ## start the whole game on this machine and print its URL (PLAY="--bots 20" adds players)
	@tools/install-packages.sh
	@$(MAKE) --no-print-directory -s all
	@exec $(B)/bin/mmorts-launcher $(PLAY)

test: ## build and run every test
	@tools/install-packages.sh
	@$(MAKE) --no-print-directory -s all tests
	@B=$(B) SANITIZE=$(SANITIZE) tests/run.sh

check: ## formatting, warnings, static analysis, include floors, banned functions
	@B=$(B) tests/check/run.sh

format: ## rewrite the sources in the house format
	@git ls-files '*.c' '*.h' | xargs clang-format -i

bench: ## run every benchmark, briefly
	@for b in $(BENCH_C:tests/bench/bench_%.c=%); do $(MAKE) --no-print-directory -s bench-$$b || exit 1; done

bench-%: $(B)/bench/bench_% all ## run one benchmark; figures also go to build/bench/NAME.json
	@B=$(B) $(B)/bench/bench_$* $(BENCH_ARGS)

fuzz: $(FUZZ_BIN) ## build the fuzzers (clang)

clean: ## remove everything that was built
	rm -rf build

tests: $(UNIT_BIN) $(PLAIN_BIN) $(INTEG_BIN)
lib: $(LINK_LIBS)

# --- how it is made ----------------------------------------------------------------------------

# Every object depends on this file, which changes only when the compiler or its flags do.
$(B)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL)' | cmp -s - $@ || echo '$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL)' > $@
FORCE:

$(B)/gen/%.pb-c.c $(B)/gen/%.pb-c.h: proto/%.proto
	@mkdir -p $(@D)
	protoc-c --proto_path=proto --c_out=$(B)/gen $<

# Generated code is not held to our warnings.
$(B)/obj/gen/%.o: $(B)/gen/%.c $(GEN_H) $(B)/flags
	@mkdir -p $(@D)
	$(CC) $(filter-out $(WARNINGS),$(CFLAGS_ALL)) -I$(B)/gen -w -c -o $@ $<

$(B)/obj/%.o: %.c $(B)/flags | $(GEN_H)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -isystem $(B)/gen $(PKG_CFLAGS) -MMD -MP -c -o $@ $<

define archive
@mkdir -p $(@D)
@rm -f $@
ar crs $@ $(filter %.o,$^)
endef

$(LIB_PROTO): $(PROTOS:proto/%.proto=$(B)/obj/gen/%.pb-c.o)
	$(archive)
$(LIB_COMMON): $(call obj,$(COMMON_C))
	$(archive)
$(LIB_SUPPORT): $(call obj,$(SUPPORT_C))
	$(archive)

# A service is three parts: its pure core, its shell as a library (tests link it), and main.c.
define service_rules
$(B)/lib/lib$(1)_core.a: $(call obj,$(wildcard services/$(1)/core/*.c))
	$$(archive)
$(B)/lib/lib$(1).a: $(call obj,$(filter-out services/$(1)/main.c,$(wildcard services/$(1)/*.c)))
	$$(archive)
$(B)/bin/mmorts-$(1): $(B)/obj/services/$(1)/main.o $(B)/lib/lib$(1).a $(B)/lib/lib$(1)_core.a $(LIB_COMMON) $(LIB_PROTO)
	@mkdir -p $$(@D)
	$$(CC) $$(LDFLAGS_ALL) -o $$@ $$^ $$(PKG_LIBS)
endef
$(foreach s,$(SERVICES),$(eval $(call service_rules,$(s))))

define tool_rules
$(B)/bin/mmorts-$(1): $(call obj,$(wildcard tools/$(1)/*.c)) $(LIB_COMMON) $(LIB_PROTO)
	@mkdir -p $$(@D)
	$$(CC) $$(LDFLAGS_ALL) -o $$@ $$^ $$(PKG_LIBS)
endef
$(foreach t,$(TOOLS),$(eval $(call tool_rules,$(t))))

$(B)/tests/%: $(B)/obj/tests/%.o $(LIB_SUPPORT) $(LINK_LIBS)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIB_COMMON) $(if $(findstring plain_,$@),,-lcriterion) $(PKG_LIBS)

$(B)/bench/bench_%: $(B)/obj/tests/bench/bench_%.o $(LIB_SUPPORT) $(LINK_LIBS)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIB_COMMON) $(PKG_LIBS)

# Fuzzers are whole-program clang builds: instrumented cores and libraries, no objects shared.
$(B)/fuzz/%: tests/fuzz/%.c $(GEN_C)
	@mkdir -p $(@D)
	clang -std=c17 -D_GNU_SOURCE -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -w \
	  -I. -I$(B) -isystem $(B)/gen $(PKG_CFLAGS) -o $@ $< $(COMMON_C) $(GEN_C) \
	  $(foreach s,$(SERVICES),$(wildcard services/$(s)/core/*.c)) \
	  $(foreach s,$(SERVICES),$(filter-out %/main.c,$(wildcard services/$(s)/*.c))) $(PKG_LIBS)

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)
