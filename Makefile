# mmorts: `make help` lists the targets. Everything that is built lies below $(B).

SHELL := /bin/bash
ifeq ($(origin CC),default)
CC := gcc
endif

# A sanitizer build has a directory of its own, so that switching costs no rebuild.
SANITIZE ?=
comma := ,
B ?= build$(if $(SANITIZE),/sanitize-$(subst $(comma),-,$(SANITIZE)))

# Looked up at first use and then remembered: `make deps` must work before the packages are there.
# nng and wslay ship no pkg-config file in Debian; their flags are their names.
PACKAGES := libmicrohttpd libcurl libprotobuf-c openssl hiredis libmariadb yaml-0.1 \
            jansson zlib libzstd liburing
PKG_CFLAGS = $(eval PKG_CFLAGS := $$(shell pkg-config --cflags $(PACKAGES)))$(PKG_CFLAGS)
PKG_LIBS = $(eval PKG_LIBS := $$(shell pkg-config --libs $(PACKAGES)) -lnng -lwslay -lpthread -lm)$(PKG_LIBS)

# Under a sanitizer gcc warns of conversions that are not there; the plain build has the warnings.
WARNINGS := $(if $(SANITIZE),-w,-Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Werror)
OPT      ?= -O2
HARDEN   := $(if $(SANITIZE)$(filter -O0,$(OPT)),,-D_FORTIFY_SOURCE=2) -fstack-protector-strong
CFLAGS_ALL = -std=c17 -D_GNU_SOURCE $(OPT) $(HARDEN) -g -fno-omit-frame-pointer $(WARNINGS) \
             -I. -I$(B) $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all) $(CFLAGS)
LDFLAGS_ALL = -Wl,--as-needed $(if $(SANITIZE),-fsanitize=$(SANITIZE)) $(LDFLAGS)
FUZZ_CFLAGS = -std=c17 -D_GNU_SOURCE -O1 -g -fno-omit-frame-pointer -w -I. -I$(B) \
              -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all

# --- what there is -----------------------------------------------------------------------------

SERVICES := auth world vision sync production social
# What has no main.c is not a program: its other files are still built and linked into the tests.
PROGRAMS  := $(filter $(SERVICES),$(patsubst services/%/main.c,%,$(wildcard services/*/main.c)))
TOOLS     := $(patsubst tools/%/main.c,%,$(wildcard tools/*/main.c))
# The contracts, and messages that only tests speak.
PROTOS    := $(wildcard proto/*.proto tests/support/*.proto)
COMMON_C  := $(wildcard libcommon/*/*.c)
CORES_C   := $(foreach s,$(SERVICES),$(wildcard services/$(s)/core/*.c))
SHELLS_C  := $(foreach s,$(SERVICES),$(filter-out %/main.c,$(wildcard services/$(s)/*.c)))
SUPPORT_C := $(wildcard tests/support/*.c tests/sim/sim_*.c)
tests-named = $(sort $(shell find tests -path tests/node_modules -prune -o -name '$(1)' -print 2>/dev/null))
TEST_C    := $(call tests-named,test_*.c)
PLAIN_C   := $(call tests-named,plain_*.c)
BENCH_C   := $(wildcard tests/bench/bench_*.c)
FUZZ_C    := $(wildcard tests/fuzz/fuzz_*.c)

obj   = $(patsubst %.c,$(B)/obj/%.o,$(1))
GEN_C := $(patsubst %.proto,$(B)/gen/%.pb-c.c,$(notdir $(PROTOS)))
GEN_H := $(GEN_C:.c=.h)
lib   = $(foreach name,$(1),$(B)/lib/lib$(name).a)

BINARIES  := $(foreach p,$(PROGRAMS) $(TOOLS),$(B)/bin/mmorts-$(p))
# Criterion does not work under ThreadSanitizer: there only the plain programs are tests.
TEST_BIN  := $(if $(filter thread,$(SANITIZE)),,$(TEST_C:%.c=$(B)/%)) $(PLAIN_C:%.c=$(B)/%)
BENCH_BIN := $(BENCH_C:tests/bench/%.c=$(B)/bench/%)
FUZZ_BIN  := $(FUZZ_C:tests/fuzz/%.c=$(B)/fuzz/%)
# Order matters to the linker: who uses stands before what is used.
LINK_LIBS := $(call lib,$(addsuffix _tool,$(TOOLS)) $(SERVICES) $(addsuffix _core,$(SERVICES)) mmorts proto)

# --- what one can ask for ----------------------------------------------------------------------

.PHONY: all help deps play test check format bench fuzz soak-world sim-long images test-images clean gen cflags lib tests FORCE
.SECONDARY:
.DELETE_ON_ERROR:

# Inside play and test: as many jobs as there are cores, unless make was given a -j of its own.
PARALLEL = $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc))

all: $(BINARIES) ## build the six services and the tools

help: ## list the targets
	@grep -hE '^[a-z%-]+:.*##' $(MAKEFILE_LIST) | \
	  sed -E 's/^([a-z%-]+):.*## (.*)/  make \1\t\2/; s/%/NAME/' | expand -t 20
	@echo '  Variables: SANITIZE=address,undefined|thread  CC=gcc|clang  OPT=-O2  B=<build directory>'

deps: ## install the Debian and npm packages that are missing
	@tools/install-packages.sh test

play: ## start the whole game on this machine and print its URL (PLAY="--bots 20" adds players)
	@tools/install-packages.sh play
	@$(MAKE) --no-print-directory -s $(PARALLEL) all
	@exec $(B)/bin/mmorts-launcher $(PLAY)

# The fuzzers take a compiler of their own: not where only other tests were asked for.
TEST_FUZZ = $(if $(SANITIZE),,$(if $(TEST),$(findstring fuzz,$(TEST)),fuzz))

test: ## build and run every test (TEST="unit" or TEST=path-part chooses)
	@tools/install-packages.sh test
	@$(MAKE) --no-print-directory -s $(PARALLEL) all tests $(TEST_FUZZ)
	@B=$(B) SANITIZE=$(SANITIZE) tests/run.sh $(TEST)

check: ## formatting, warnings, static analysis, include floors, banned functions
	@tools/install-packages.sh test
	@B=$(B) tests/check/run.sh

format: ## rewrite the sources in the house format
	@git ls-files '*.c' '*.h' | xargs -r clang-format -i

bench: ## run every benchmark, briefly
	@for b in $(BENCH_C:tests/bench/bench_%.c=%); do \
	  $(MAKE) --no-print-directory -s $(PARALLEL) bench-$$b || exit 1; done

bench-%: $(B)/bench/bench_% all ## run one benchmark; its figures also go to build/bench/NAME.json
	@B=$(B) $(B)/bench/bench_$* $(BENCH_ARGS)

SIM_SEEDS ?= 1-10000
sim-long: $(B)/tests/sim/plain_sim ## the simulator on many seeds (SIM_SEEDS=A-B), until one fails
	@$< --seeds $(SIM_SEEDS) --jobs $(shell nproc)

fuzz: $(FUZZ_BIN) ## build the fuzzers (clang) as build/fuzz/fuzz_*

images: ## build the container images mmorts-NAME of the six services (needs a Docker daemon)
	@for s in $(SERVICES); do \
	  docker build $(DOCKER_BUILD_ARGS) -f services/$$s/Dockerfile -t mmorts-$$s . || exit 1; done

test-images: images all ## run the images as compose/ does, replace and kill each with players in the game
	@B=$(B) tests/images/run.sh

soak-world: all $(B)/tests/integration/test_world_crash ## 120 kills of world under load (KILLS=N SEED=N)
	@MMORTS_SOAK_KILLS=$(or $(KILLS),120) MMORTS_SOAK_SEED=$(or $(SEED),1) \
	  $(B)/tests/integration/test_world_crash --filter 'world_crash/kill_9_under_load'

clean: ## remove everything that was built
	rm -rf build

# The compilers that test_determinism.c compares; how each is called stands below.
VARIANTS := gcc-O0 gcc-O2 clang-O2 sanitize
CORE_REPLAYS := $(patsubst %,$(B)/determinism/core-replay-%,$(VARIANTS) planted)

gen: $(GEN_H)
cflags:
	@echo "$(CFLAGS_ALL) $(PKG_CFLAGS)"
lib: $(LINK_LIBS)
tests: $(TEST_BIN)

# --- how it is made ----------------------------------------------------------------------------

# $(call remember,TEXT): the target's file changes only when the text does. Objects depend on such
# a file with their compiler and flags, archives on one with their members.
remember = @mkdir -p $(@D); echo '$(1)' | cmp -s - $@ || echo '$(1)' > $@

$(B)/flags: FORCE
	$(call remember,$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL))
$(B)/fuzz/flags: FORCE
	$(call remember,$(FUZZ_CFLAGS))

$(B)/gen/%.pb-c.c $(B)/gen/%.pb-c.h: proto/%.proto
	@mkdir -p $(@D)
	protoc-c --proto_path=proto --c_out=$(B)/gen $<
$(B)/gen/%.pb-c.c $(B)/gen/%.pb-c.h: tests/support/%.proto
	@mkdir -p $(@D)
	protoc-c --proto_path=tests/support --c_out=$(B)/gen $<

# The generated headers are there before anything is compiled; after that the .d files know who
# includes which. Generated code is not held to our warnings.
$(B)/obj/%.o: %.c $(B)/flags | $(GEN_H)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) $(PKG_CFLAGS) -MMD -MP -c -o $@ $<
$(B)/obj/gen/%.o: $(B)/gen/%.c $(B)/flags | $(GEN_H)
	@mkdir -p $(@D)
	$(CC) $(filter-out $(WARNINGS),$(CFLAGS_ALL)) -w -MMD -MP -c -o $@ $<

# $(call archive,NAME,OBJECTS): lib/libNAME.a, made anew also when a source came or went.
define archive
$(B)/lib/$(1).members: FORCE
	$$(call remember,$(2))
$(call lib,$(1)): $(2) $(B)/lib/$(1).members
	@rm -f $$@
	ar crs $$@ $(2)
endef
$(eval $(call archive,proto,$(GEN_C:$(B)/%.c=$(B)/obj/%.o)))
$(eval $(call archive,mmorts,$(call obj,$(COMMON_C))))
$(eval $(call archive,support,$(call obj,$(SUPPORT_C))))

# A service is three parts: its pure core, its shell as a library (tests link it), and main.c.
$(foreach s,$(SERVICES),$(eval $(call archive,$(s)_core,$(call obj,$(filter services/$(s)/%,$(CORES_C))))))
$(foreach s,$(SERVICES),$(eval $(call archive,$(s),$(call obj,$(filter services/$(s)/%,$(SHELLS_C))))))
$(foreach t,$(TOOLS),$(eval $(call archive,$(t)_tool,$(call obj,$(filter-out %/main.c,$(wildcard tools/$(t)/*.c))))))

# $(call program,NAME,SOURCE DIRECTORY,LIBRARIES)
define program
$(B)/bin/mmorts-$(1): $(B)/obj/$(2)/main.o $(call lib,$(3) mmorts proto)
	@mkdir -p $$(@D)
	$$(CC) $$(LDFLAGS_ALL) -o $$@ $$^ $$(PKG_LIBS)
endef
$(foreach s,$(PROGRAMS),$(eval $(call program,$(s),services/$(s),$(s) $(s)_core)))
# Tools stand on libcommon alone, but for one that replays what world has stored.
TOOL_LIBS_replay := world world_core
$(foreach t,$(TOOLS),$(eval $(call program,$(t),tools/$(t),$(t)_tool $(TOOL_LIBS_$(t)))))

$(B)/tests/%: $(B)/obj/tests/%.o $(call lib,support) $(LINK_LIBS)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(if $(findstring /plain_,$@),,-lcriterion -lxxhash) $(PKG_LIBS)

$(B)/bench/%: $(B)/obj/tests/bench/%.o $(call lib,support) $(LINK_LIBS)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(PKG_LIBS)

# The fuzzers' code is instrumented by clang and shares no object with the other builds.
$(B)/fuzz/obj/%.o: %.c $(B)/fuzz/flags | $(GEN_H)
	@mkdir -p $(@D)
	clang $(FUZZ_CFLAGS) $(PKG_CFLAGS) -MMD -MP -c -o $@ $<
$(B)/fuzz/obj/gen/%.o: $(B)/gen/%.c $(B)/fuzz/flags | $(GEN_H)
	@mkdir -p $(@D)
	clang $(FUZZ_CFLAGS) -MMD -MP -c -o $@ $<
$(eval $(call archive,fuzz,$(patsubst %.c,$(B)/fuzz/obj/%.o,$(SHELLS_C) $(CORES_C) $(COMMON_C) \
  $(GEN_C:$(B)/%=%))))
$(FUZZ_BIN): $(B)/fuzz/%: $(B)/fuzz/obj/tests/fuzz/%.o $(call lib,fuzz)
	clang -fsanitize=fuzzer,address,undefined -o $@ $^ $(PKG_LIBS)

# The world's simulation alone, as several compilers see it and with faults planted:
# test_determinism.c replays one journal by all of them and holds their hashes side by side.
CORE_REPLAY_C := tests/determinism/core_replay.c tools/replay/source.c tools/replay/source_dir.c \
                 services/world/stored.c services/world/pool.c libcommon/io/pb.c $(wildcard services/world/core/*.c) \
                 $(wildcard libcommon/base/*.c libcommon/hex/*.c) $(GEN_C)
VARIANT_gcc-O0   := gcc -O0
VARIANT_gcc-O2   := gcc -O2
VARIANT_clang-O2 := clang -O2
VARIANT_sanitize := gcc -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all
FAULTS_WRAP      := world_step world_system_plan world_order_give world_ecs_settle_words
variant-obj       = $(patsubst %.c,$(B)/determinism/$(1)/%.o,$(2))
$(B)/determinism/flags: FORCE
	$(call remember,$(foreach v,$(VARIANTS),$(VARIANT_$(v))) $(PKG_CFLAGS))
$(B)/determinism/members: FORCE
	$(call remember,$(CORE_REPLAY_C) $(FAULTS_WRAP))
define variant
$(B)/determinism/$(1)/%.o: %.c $(B)/determinism/flags | $(GEN_H)
	@mkdir -p $$(@D)
	$(VARIANT_$(1)) -std=c17 -D_GNU_SOURCE -w -I. -I$(B) $$(PKG_CFLAGS) -MMD -MP -c -o $$@ $$<
$(B)/determinism/core-replay-$(1): $(call variant-obj,$(1),$(CORE_REPLAY_C) tests/determinism/no_faults.c) \
  $(B)/determinism/members
	$(VARIANT_$(1)) -o $$@ $$(filter %.o,$$^) -lprotobuf-c -lzstd -lpthread
endef
$(foreach v,$(VARIANTS),$(eval $(call variant,$(v))))
$(B)/determinism/core-replay-planted: $(call variant-obj,gcc-O2,$(CORE_REPLAY_C) tests/determinism/faults.c) \
  $(B)/determinism/members
	gcc $(FAULTS_WRAP:%=-Wl,--wrap=%) -o $@ $(filter %.o,$^) -lprotobuf-c -lzstd -lpthread
# Replays of an older build would not read what the test's own world writes.
$(if $(SANITIZE),,$(B)/tests/integration/test_determinism: | $(CORE_REPLAYS))

-include $(shell find $(B)/obj $(B)/fuzz/obj $(B)/determinism -name '*.d' 2>/dev/null)
