# Cordon: one Makefile, no recursion, a build folder per variant.
#
#   make                 programs and libraries, in build/release
#   make check           the quick tests of the release build; FULL=1 searches a guest's
#                        memory and kills the key service at each step as well
#   make check VARIANT=asan   parsers and codecs under ASan and UBSan
#   make fuzz            libFuzzer on every target, FUZZ_SECONDS each (clang)
#   make lint            clang-format, clang-tidy, cppcheck, gcc -fanalyzer, shellcheck
#   make format          lays the C sources out as lint wants them (clang-format 14)
#   make layers          what each program and module may include and link
#   make bench           tables, and build/bench/NAME.json
#   make install         DESTDIR, prefix; make uninstall

VARIANT ?= release
# make V=1 shows the commands
Q := $(if $(V),,@)
O       ?= build/$(VARIANT)
VERSION := 0.1.0

prefix      ?= /usr/local
bindir      ?= $(prefix)/bin
libexecdir  ?= $(prefix)/libexec/cordon
mandir      ?= $(prefix)/share/man
INSTALL     ?= install
FUZZ_SECONDS ?= 60

ifeq ($(VARIANT),fuzz)
CC := clang
endif
PKG_CONFIG ?= pkg-config

WERROR ?= -Werror
WARN := -Wall -Wextra -Wshadow -Wformat=2 -Wvla -Wmissing-prototypes -Wcast-qual \
	-Wconversion -Wno-sign-conversion -Wpointer-arith -Wstrict-prototypes $(WERROR)
HARD := -fstack-protector-strong -fcf-protection=full -fPIE
ifneq ($(VARIANT),fuzz)
HARD += -fstack-clash-protection
endif
OPT.release := -O2 -g -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -ftrivial-auto-var-init=zero
# The release code plus named points at which a test may stop or kill a process.
OPT.fault   := $(OPT.release) -DCORDON_FAULT_POINTS
OPT.asan    := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
	-fno-sanitize-recover=all
OPT.fuzz    := -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined \
	-fno-sanitize-recover=all
LINK.release := -pie -Wl,-z,relro,-z,now,-z,noexecstack
LINK.fault  := $(LINK.release)
LINK.asan   := -pie -fsanitize=address,undefined
LINK.fuzz   := -pie -fsanitize=address,undefined

# A keeper lives as long as its session and forks the sandbox: static, it is small,
# starts fast and has no loader to attack. Sanitizers cannot be linked that way.
STATIC.release := -static-pie
STATIC.fault   := -static-pie

CPPFLAGS += -I. -D_GNU_SOURCE -MMD -MP -DCORDON_VERSION='"$(VERSION)"' \
	-DCORDON_LIBEXECDIR='"$(libexecdir)"'
CFLAGS   += -std=gnu11 $(WARN) $(HARD) $(OPT.$(VARIANT))
POLICY_LIBS := $(shell $(PKG_CONFIG) --libs yaml-0.1 jansson libseccomp libmd 2>/dev/null)
DIGEST_LIBS := $(shell $(PKG_CONFIG) --libs libmd 2>/dev/null)
CRYPTO_LIBS := $(shell $(PKG_CONFIG) --libs libcrypto 2>/dev/null)
TLS_LIBS    := $(shell $(PKG_CONFIG) --libs libssl libcrypto jansson 2>/dev/null)
EVENT_LIBS  := $(shell $(PKG_CONFIG) --libs libevent_core libevent_openssl libssl 2>/dev/null)
SQLITE_LIBS := $(shell $(PKG_CONFIG) --libs sqlite3 2>/dev/null)
JSON_LIBS   := $(shell $(PKG_CONFIG) --libs jansson 2>/dev/null)
CMOCKA_LIBS := $(shell $(PKG_CONFIG) --libs cmocka 2>/dev/null)

# A module is its folder; PROGRAM.c beside it holds that program's main.
MODULES  := memscrub policy attest runtime
PROGRAM_SOURCES := $(wildcard $(foreach m,$(MODULES),$(m)/cordon.c $(m)/cordon-*.c))
PROGRAMS := $(addprefix $(O)/bin/,$(notdir $(PROGRAM_SOURCES:.c=)))
module_objects = $(patsubst %.c,$(O)/%.o,$(filter-out $(PROGRAM_SOURCES),$(wildcard $(1)/*.c)))
archive = $(O)/lib/libcordon-$(1).a
ARCHIVES := $(foreach m,runtime attest policy memscrub,$(call archive,$(m)))

UNIT_TESTS := $(patsubst %.c,$(O)/%,$(wildcard $(foreach m,$(MODULES),tests/$(m)/test_*.c)))
INSIDE     := $(patsubst %.c,$(O)/%,$(wildcard tests/inside/*.c))
FORENSIC   := $(patsubst %.c,$(O)/%,$(wildcard tests/forensic/*.c))
FUZZERS    := $(patsubst %.c,$(O)/%,$(wildcard tests/fuzz/fuzz_*.c))
PEERS      := $(patsubst %.c,$(O)/%,$(wildcard tests/e2e/*.c))
BENCHES    := $(patsubst %.c,$(O)/%,$(wildcard tests/bench/*.c))
# FULL=1 adds what boots a kernel of its own, or kills and starts anew for a minute.
E2E_TESTS  := $(filter-out $(if $(FULL),,tests/e2e/test_forensic tests/e2e/test_key_crash),$(wildcard tests/e2e/test_*))
MAN_PAGES  := $(wildcard $(foreach m,$(MODULES),$(m)/man/*.[1-8]))

.PHONY: all programs tests check fuzz lint format layers bench install uninstall clean FORCE
.DELETE_ON_ERROR:
.SECONDARY:

all: programs layers
programs: $(PROGRAMS)
tests: $(UNIT_TESTS) $(INSIDE) $(FORENSIC) $(PEERS) $(FUZZERS)

# Rebuilt when the flags change, not only when a source does.
$(O)/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(CC) $(CPPFLAGS) $(CFLAGS) $(LINK.$(VARIANT))' >$@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

$(O)/%.o: %.c $(O)/flags
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

define archive_rule
$(call archive,$(1)): $(call module_objects,$(1))
	@mkdir -p $$(@D) && rm -f $$@
	$$(AR) rcs $$@ $$^
endef
$(foreach m,$(MODULES),$(eval $(call archive_rule,$(m))))

$(O)/bin/cordon-policy: $(O)/policy/cordon-policy.o $(call archive,policy)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK.$(VARIANT)) $(LDFLAGS) -o $@ $^ $(POLICY_LIBS)
$(O)/bin/cordon: $(O)/runtime/cordon.o $(ARCHIVES)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK.$(VARIANT)) $(LDFLAGS) -o $@ $^ -Wl,--as-needed $(POLICY_LIBS) -ljansson
$(O)/bin/cordon-keeper: $(O)/runtime/cordon-keeper.o $(ARCHIVES)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK.$(VARIANT)) $(STATIC.$(VARIANT)) $(LDFLAGS) -o $@ $^ $(DIGEST_LIBS)
$(O)/bin/cordon-clerk: $(O)/runtime/cordon-clerk.o $(ARCHIVES)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK.$(VARIANT)) $(LDFLAGS) -o $@ $^ $(CRYPTO_LIBS)
# It brings a dlopen of its own that does nothing; ld (-w) would warn of libc's all the same.
$(O)/bin/cordon-agent: $(O)/runtime/cordon-agent.o $(ARCHIVES)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK.$(VARIANT)) $(STATIC.$(VARIANT)) -Wl,-w $(LDFLAGS) -o $@ $^ $(TLS_LIBS)
$(O)/bin/cordon-init: $(O)/runtime/cordon-init.o $(ARCHIVES)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK.$(VARIANT)) $(LDFLAGS) -o $@ $^ -Wl,--as-needed $(CRYPTO_LIBS) $(JSON_LIBS)
$(O)/bin/cordon-proxy: $(O)/runtime/cordon-proxy.o $(ARCHIVES)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK.$(VARIANT)) $(LDFLAGS) -o $@ $^
$(addprefix $(O)/bin/,cordon-audit cordon-verify): $(O)/bin/%: $(O)/attest/%.o $(foreach m,attest policy memscrub,$(call archive,$(m)))
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK.$(VARIANT)) $(LDFLAGS) -o $@ $^ -Wl,--as-needed $(CRYPTO_LIBS) $(POLICY_LIBS)
$(addprefix $(O)/bin/,cordon-key cordon-measure): $(O)/bin/%: $(O)/attest/%.o $(foreach m,attest policy memscrub,$(call archive,$(m)))
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK.$(VARIANT)) $(LDFLAGS) -o $@ $^ -Wl,--as-needed $(CRYPTO_LIBS) $(POLICY_LIBS)
$(O)/bin/cordon-keyd: $(O)/attest/cordon-keyd.o $(foreach m,attest policy memscrub,$(call archive,$(m)))
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK.$(VARIANT)) $(LDFLAGS) -o $@ $^ -Wl,--as-needed $(EVENT_LIBS) $(CRYPTO_LIBS) $(SQLITE_LIBS) $(POLICY_LIBS)
$(O)/bin/cordon-scrub: $(O)/memscrub/cordon-scrub.o $(call archive,memscrub)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK.$(VARIANT)) $(LDFLAGS) -o $@ $^

TEST_LIBS := -Wl,--as-needed $(POLICY_LIBS) $(TLS_LIBS) $(SQLITE_LIBS) $(CMOCKA_LIBS)
$(O)/tests/memscrub/test_%: $(O)/tests/memscrub/test_%.o $(call archive,memscrub)
	$(Q)$(CC) $(LINK.$(VARIANT)) $(LDFLAGS) -o $@ $^ $(CMOCKA_LIBS)
$(O)/tests/policy/test_%: $(O)/tests/policy/test_%.o $(call archive,policy)
	$(Q)$(CC) $(LINK.$(VARIANT)) $(LDFLAGS) -o $@ $^ $(TEST_LIBS)
$(O)/tests/attest/test_%: $(O)/tests/attest/test_%.o $(foreach m,attest policy memscrub,$(call archive,$(m)))
	$(Q)$(CC) $(LINK.$(VARIANT)) $(LDFLAGS) -o $@ $^ $(TEST_LIBS)
$(O)/tests/runtime/test_%: $(O)/tests/runtime/test_%.o $(ARCHIVES)
	$(Q)$(CC) $(LINK.$(VARIANT)) $(LDFLAGS) -o $@ $^ $(TEST_LIBS)

# Programs that run inside a sandbox or a guest bring everything along.
$(O)/tests/forensic/%: $(O)/tests/forensic/%.o
	$(Q)$(CC) $(LINK.$(VARIANT)) $(STATIC.$(VARIANT)) $(LDFLAGS) -o $@ $^
$(O)/tests/inside/%: $(O)/tests/inside/%.o
	$(Q)$(CC) $(LINK.$(VARIANT)) $(STATIC.$(VARIANT)) $(LDFLAGS) -o $@ $^

# What lets programs of others check ours.
$(O)/tests/e2e/%: $(O)/tests/e2e/%.o $(foreach m,attest policy memscrub,$(call archive,$(m)))
	$(Q)$(CC) $(LINK.$(VARIANT)) $(LDFLAGS) -o $@ $^ $(TEST_LIBS)

# With the fuzz variant libFuzzer drives the target; else replay.c runs stored files.
ifeq ($(VARIANT),fuzz)
$(O)/tests/fuzz/fuzz_%: $(O)/tests/fuzz/fuzz_%.o $(ARCHIVES)
	$(Q)$(CC) $(LINK.$(VARIANT)) -fsanitize=fuzzer $(LDFLAGS) -o $@ $^ $(TEST_LIBS)
else
$(O)/tests/fuzz/fuzz_%: $(O)/tests/fuzz/fuzz_%.o $(O)/tests/fuzz/replay.o $(ARCHIVES)
	$(Q)$(CC) $(LINK.$(VARIANT)) $(LDFLAGS) -o $@ $^ $(TEST_LIBS)
endif

$(O)/tests/bench/%: $(O)/tests/bench/%.o $(ARCHIVES)
	$(Q)$(CC) $(LINK.$(VARIANT)) $(LDFLAGS) -o $@ $^ $(TEST_LIBS)
# What is measured as a whole process is linked as a keeper is.
$(addprefix $(O)/tests/bench/,engine bare phases): $(O)/tests/bench/%: $(O)/tests/bench/%.o $(ARCHIVES)
	$(Q)$(CC) $(LINK.$(VARIANT)) $(STATIC.$(VARIANT)) $(LDFLAGS) -o $@ $^ $(DIGEST_LIBS)

# The crash tests drive the fault build.
check: programs tests
	$(if $(filter release,$(VARIANT)),@$(MAKE) --no-print-directory VARIANT=fault O=build/fault programs)
	@O=$(O) tests/run $(UNIT_TESTS) $(FUZZERS) $(if $(filter release,$(VARIANT)),$(E2E_TESTS))

fuzz:
	@$(MAKE) --no-print-directory VARIANT=fuzz fuzz-run
.PHONY: fuzz-run
fuzz-run: $(FUZZERS)
	@FUZZ_SECONDS=$(FUZZ_SECONDS) tests/fuzz/run $(FUZZERS)

layers: programs
	@scripts/check-layers $(O)
lint:
	@scripts/lint
format:
	$(Q)clang-format -i $(foreach m,$(MODULES),$(wildcard $(m)/*.[ch])) $(wildcard tests/*/*.[ch])
bench: programs $(BENCHES)
	@O=$(O) tests/bench/run

install: programs
	$(INSTALL) -d $(DESTDIR)$(bindir) $(DESTDIR)$(libexecdir) $(DESTDIR)$(mandir)/man1 $(DESTDIR)$(mandir)/man5 $(DESTDIR)$(mandir)/man8
	$(INSTALL) -m 755 $(O)/bin/cordon $(DESTDIR)$(bindir)/cordon
	$(INSTALL) -m 755 $(filter-out %/cordon,$(PROGRAMS)) $(DESTDIR)$(libexecdir)/
	for m in $(MAN_PAGES); do $(INSTALL) -m 644 $$m $(DESTDIR)$(mandir)/man$${m##*.}/ || exit 1; done
uninstall:
	rm -f $(DESTDIR)$(bindir)/cordon $(addprefix $(DESTDIR)$(libexecdir)/,$(filter-out cordon,$(notdir $(PROGRAMS))))
	rm -f $(foreach m,$(MAN_PAGES),$(DESTDIR)$(mandir)/man$(subst .,,$(suffix $(m)))/$(notdir $(m)))
	-rmdir $(DESTDIR)$(libexecdir) 2>/dev/null
clean:
	rm -rf build

-include $(shell find $(O) -name '*.d' 2>/dev/null)
