# Sluice.  `make demo` and `make test` do all the set-up by themselves.

PREFIX   ?= /usr/local
B        ?= build
CC       ?= gcc
PROGRAMS  = sluiced sluice-worker sluice

PKGS      = libuv jansson libpq libcurl libcrypto
CPPFLAGS += -D_GNU_SOURCE -Iinclude $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
LDLIBS   += $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lhttp_parser -linih -lsmartcols -lm

# make V=1 shows the commands.
ifdef V
quiet =
say   = @:
else
quiet = @
say   = @echo "  "
endif

WARN = -Wall -Wextra -Wformat=2 -Werror=format-security -Wshadow -Wvla \
	-Wstrict-prototypes -Wmissing-prototypes -Wimplicit-fallthrough \
	-Wtrampolines -Wbidi-chars=any -Werror=implicit \
	-Werror=incompatible-pointer-types -Werror=int-conversion \
	-Werror=return-type -Wno-format-nonliteral
HARDEN = -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong \
	-fstack-clash-protection -fcf-protection=full \
	-ftrivial-auto-var-init=zero -fzero-call-used-regs=used-gpr
SAFE = -fno-delete-null-pointer-checks -fno-strict-overflow -fno-strict-aliasing
ifdef SANITIZE
MODE   = san
CFLAGS = -std=c11 -O1 -g $(WARN) $(SAFE) -fno-omit-frame-pointer \
	-fsanitize=address,undefined -fno-sanitize-recover=all
LDFLAGS = -fsanitize=address,undefined -pie
else
MODE   = opt
CFLAGS = -std=c11 -O2 -g $(WARN) $(SAFE) $(HARDEN)
LDFLAGS = -pie -Wl,-z,relro,-z,now,-z,noexecstack,-z,nodlopen,--as-needed
endif
CFLAGS += -fPIE -MMD -MP $(EXTRA_CFLAGS)

# Pure modules: no clock, no loop, no log, no database.  Unit tests link these
# objects and nothing else.
PURE = lib/slc lib/buf lib/utf8 lib/jscan lib/jscan_each lib/combine lib/spec lib/spec_price lib/header \
	lib/glob lib/live lib/kept \
	lib/dialect lib/dialect_table lib/dialect_value lib/dialect_date lib/dialect_list \
	lib/dialect_body lib/dialect_header lib/dialect_refusal \
	scheduler/jsonl scheduler/usage_csv scheduler/ingest \
	scheduler/multipart scheduler/live_ask scheduler/idset \
	scheduler/ledger scheduler/pace scheduler/pace_refusal \
	scheduler/estimate scheduler/seats \
	scheduler/breaker scheduler/adaptive scheduler/aimd scheduler/clock scheduler/ladder scheduler/foreign scheduler/foreign_reset scheduler/foreign_log \
	scheduler/fair scheduler/dispatch scheduler/dispatch_order \
	scheduler/dispatch_contend scheduler/dispatch_owner \
	scheduler/dispatch_books scheduler/dispatch_conf scheduler/dispatch_offer \
	scheduler/dispatch_cost scheduler/dispatch_keep \
	scheduler/route scheduler/dispatch_route \
	scheduler/dispatch_begin scheduler/dispatch_hurry \
	scheduler/dispatch_enqueue \
	scheduler/dispatch_live \
	scheduler/dispatch_seen scheduler/dispatch_refused \
	scheduler/dispatch_lane scheduler/dispatch_read \
	scheduler/dispatch_read_conf scheduler/dispatch_write_runs \
	scheduler/dispatch_write scheduler/dispatch_explain scheduler/reply \
	scheduler/admit_limits scheduler/admit_batch scheduler/who \
	worker/outcome worker/answer worker/joint worker/lists worker/health worker/cap worker/suffix \
	worker/usage worker/hook_net worker/hook_sign \
	worker/provider_line worker/provider_reply \
	cli/js cli/limits cli/prices cli/preset cli/chart cli/rule
O = $(B)/obj/$(MODE)
obj = $(patsubst %.c,$(O)/%.o,$(1))

LIB_C    = $(wildcard lib/*.c)
PURE_C   = $(wildcard $(addsuffix .c,$(PURE)))
SLUICED  = $(call obj,$(wildcard scheduler/*.c))
WORKER   = $(call obj,$(wildcard worker/*.c))
CLI      = $(call obj,$(wildcard cli/*.c)) $(O)/sql_files.o $(O)/preset_files.o
UNITS    = $(patsubst tests/unit/%.c,$(B)/unit/%,$(wildcard tests/unit/*.c))
HTTP     = $(patsubst %,$(B)/http/%,framing limits parse times answers)
HTTP_O   = $(call obj,tests/http/peer.c tests/http/serve.c tests/http/hostile.c)
LOOP     = $(patsubst tests/loop/%.c,$(B)/loop/%,$(wildcard tests/loop/*.c))
UPSTREAM = $(call obj,$(wildcard tests/upstream/*.c))
DOOR     = $(call obj,$(wildcard scheduler/admit*.c) tests/door/main.c)
SIM      = $(call obj,$(wildcard tests/sim/*.c))
SQL      = $(sort $(wildcard sql/*.sql))
PRESETS  = $(sort $(wildcard presets/*.json))

all: $(addprefix $(B)/,$(PROGRAMS))

$(B)/sluiced: $(SLUICED) $(O)/libsluice.a $(B)/.mode
$(B)/sluice-worker: $(WORKER) $(O)/libsluice.a $(B)/.mode
$(B)/sluice: $(CLI) $(O)/libsluice.a $(B)/.mode
$(B)/upstream: $(UPSTREAM) $(B)/.mode
$(B)/door: $(DOOR) $(O)/libsluice.a $(B)/.mode
$(B)/sluiced $(B)/sluice-worker $(B)/sluice $(B)/upstream $(B)/door:
	$(say) LD $@
	$(quiet)$(CC) $(LDFLAGS) -o $@ $(filter %.o %.a,$^) $(LDLIBS)

# A program is linked anew when the mode changes; its objects are kept apart.
$(B)/.mode: FORCE
	@mkdir -p $(B)
	@echo '$(MODE) $(EXTRA_CFLAGS)' | cmp -s - $@ || \
	    echo '$(MODE) $(EXTRA_CFLAGS)' >$@
FORCE:

$(O)/libsluice.a: $(call obj,$(LIB_C))
$(O)/libpure.a: $(call obj,$(PURE_C))
$(O)/%.a:
	$(quiet)rm -f $@
	$(quiet)$(AR) rcs $@ $^

$(O)/%.o: %.c
	@mkdir -p $(@D)
	$(say) CC $<
	$(quiet)$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

# The numbered files of sql/ and those of presets/ travel inside the program.
$(O)/sql_files.S: $(SQL) tools/embed
	@mkdir -p $(@D)
	$(quiet)tools/embed sql_files $(SQL) >$@
$(O)/preset_files.S: $(PRESETS) tools/embed
	@mkdir -p $(@D)
	$(quiet)tools/embed preset_files $(PRESETS) >$@
$(O)/%_files.o: $(O)/%_files.S
	$(quiet)$(CC) -c -o $@ $<

$(B)/unit/%: $(O)/tests/unit/%.o $(O)/libpure.a $(B)/.mode
	@mkdir -p $(@D)
	$(say) LD $@
	$(quiet)$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) -ljansson -lcrypto -lcunit -lm

$(B)/unit/preset: $(O)/preset_files.o
$(addprefix $(B)/unit/,dispatch fair undeclared uneven): $(O)/tests/unit/world/world.o

$(B)/sim: $(SIM) $(O)/libpure.a $(B)/.mode
	@mkdir -p $(@D)
	$(say) LD $@
	$(quiet)$(CC) $(LDFLAGS) -o $@ $(filter %.o %.a,$^) -ljansson -lm

# make sim SEEDS=1-100: the pure core in virtual time (tests/sim/sim.h).
SEEDS ?= 1-60
sim: $(B)/sim
	@$(B)/sim --seeds $(SEEDS) $(SIMFLAGS)

# Each planted bug must be found.
sim-bugs: $(B)/sim
	@tests/sim/bugs/run

deps:
	@tools/deps

# Programs with sanitizers in build/test, so that build/ stays as it is.
test: deps
	@$(MAKE) --no-print-directory -j2 B=build/test SANITIZE=1 test-programs
	@tests/run build/test
test-programs: all $(B)/upstream $(B)/door $(B)/sim $(UNITS) $(HTTP) $(LOOP)

# The official openai package obeys what we answer.  Not part of `make test`: it
# needs nodejs, npm and the npm registry.
test-sdk: deps
	@command -v npm >/dev/null || { echo 'apt-get install nodejs npm'; exit 1; }
	@$(MAKE) --no-print-directory -j2 all build/upstream
	@npm --prefix tests/sdk ci --ignore-scripts --no-audit --no-fund
	@tests/sdk/run build

# bench/README.md says what each measures.
bench: deps
	@command -v redis-server >/dev/null || tools/deps redis-server
	@$(MAKE) --no-print-directory -j2 all build/upstream build/door \
	    build/bench/curl_loop build/bench/redis_door build/unit/routes
	@find bench -maxdepth 1 -type f -executable | sort | sed 's/^/  /'
build/bench/curl_loop: bench/curl_loop.c
	@mkdir -p $(@D)
	$(CC) -O2 -Wall -Wextra -o $@ $< -lcurl
build/bench/redis_door: bench/redis_door.c
	@mkdir -p $(@D)
	$(CC) -O2 -Wall -Wextra -o $@ $<

demo: deps
	@$(MAKE) --no-print-directory -j2 all build/upstream
	@tests/demo

fmt:
	clang-format -i $$(git ls-files '*.c' '*.h' | grep -v queue.h)

install: all
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(addprefix $(B)/,$(PROGRAMS)) $(DESTDIR)$(PREFIX)/bin/

uninstall:
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/bin/,$(PROGRAMS))

clean:
	rm -rf build

# The HTTP front with a handler of the test's, and raw sockets against it.
$(B)/http/%: $(O)/tests/http/%.o $(HTTP_O) $(O)/libsluice.a $(B)/.mode
	@mkdir -p $(@D)
	$(say) LD $@
	$(quiet)$(CC) $(LDFLAGS) -o $@ $(filter %.o %.a,$^) $(LDLIBS) -lcunit

# Parts of lib/ that need a loop, by themselves.
$(B)/loop/%: $(O)/tests/loop/%.o $(O)/libsluice.a $(B)/.mode
	@mkdir -p $(@D)
	$(say) LD $@
	$(quiet)$(CC) $(LDFLAGS) -o $@ $(filter %.o %.a,$^) $(LDLIBS) -lcunit

# make fuzz SECONDS=600: each target of tests/fuzz for so long (clang-14 and
# libclang-rt-14-dev; not part of deps).
SECONDS ?= 60
FUZZ = $(patsubst tests/fuzz/%.c,build/fuzz/%,$(wildcard tests/fuzz/*.c))
fuzz: $(FUZZ)
	@for f in $(FUZZ); do echo $$f; $$f -max_total_time=$(SECONDS) \
	    -max_len=4000 >$$f.log 2>&1 || { tail -20 $$f.log; exit 1; }; done
FUZZ_http_conn = lib/http.c lib/http_answer.c lib/http_conn.c
build/fuzz/%: tests/fuzz/%.c
	@mkdir -p $(@D)
	clang -std=c11 -O1 -g -D_GNU_SOURCE -Iinclude -fsanitize=fuzzer,address,undefined \
	    -fno-sanitize-recover=all -o $@ $< $(PURE_C) $(FUZZ_$*) \
	    lib/http_parse.c lib/http_head.c -ljansson -lcrypto -lhttp_parser -lm

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)

.PHONY: all deps test test-sdk test-programs bench sim sim-bugs fuzz demo fmt install uninstall clean FORCE
.SECONDARY:
