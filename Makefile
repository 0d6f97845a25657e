# Build, install:       make && make install
# Warnings are errors:  make WERROR=1
# With assertions:      make ASSERTS=1
# References recycled:  make RECYCLE=1 (at each lookup, see src/ref.h)
# Include rules:        make check-layers
# Patches still apply:  make check-patches
# Every test:           make test, make test-long, make test-matrix
# The engine alone:     make check-engine
# Every comparison:     make bench
# Layout of the code:   make format
# Another server:       make PG_CONFIG=/path/to/pg_config

PG_CONFIG ?= pg_config

# ---- what is built -------------------------------------------------------

EXTENSION = syncmap
DATA = src/syncmap--1.0.sql

MODULE_big = syncmap
OBJS = $(patsubst %.c,%.o,$(wildcard src/*.c src/engine/*.c))

PG_CPPFLAGS = -I$(srcdir)/src
ifeq ($(ASSERTS),1)
PG_CPPFLAGS += -DUSE_ASSERT_CHECKING
else
PG_CPPFLAGS += -DNDEBUG
endif
ifeq ($(RECYCLE),1)
PG_CPPFLAGS += -DSM_RECYCLE_REFS
endif
PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter \
	-Wno-declaration-after-statement -fvisibility=hidden
ifeq ($(WERROR),1)
PG_CFLAGS += -Werror
endif

# ---- what is tested ------------------------------------------------------

# In this order: the first makes the extension, the last drops it.
REGRESS = syncmap errors values semantics types tables ranges ttl memory transactions statistics places readonly locking permanence conversions own_keys keys conflict hints corners watch readthrough columns clients privileges
REGRESS_OPTS = --encoding=UTF8 --no-locale

# ---- PGXS ----------------------------------------------------------------

# Symbols are hidden, so there is nothing in here that JIT could inline.
override with_llvm := no

PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

$(OBJS) $(OBJS:.o=.bc): $(wildcard src/*.h src/engine/*.h)

# ---- every test, with servers of their own -------------------------------

.PHONY: test test-long test-matrix
test:
	src/test/run
test-long:
	src/test/run --long
test-matrix:
	src/test/matrix

# ---- the engine alone, and the layout of the code ------------------------

.PHONY: check-engine bench format
check-engine:
	$(MAKE) -C src/test/unit check
bench:
	bench/run
format:
	clang-format -i $$(find src -name '*.[ch]')

# ---- who may include whom ------------------------------------------------
#
# The engine knows no PostgreSQL, nobody else knows the engine's insides, and
# differences between PostgreSQL's versions stand in one header.

.PHONY: check-layers
check-layers:
	@bad=0; \
	if grep -nE '^[[:space:]]*#[[:space:]]*include' src/engine/*.[ch] \
		| grep -vE 'include[[:space:]]+<(stdalign|stdatomic|stdbool|stddef|stdint|string|assert|limits|xxhash)\.h>' \
		| grep -vE 'include[[:space:]]+"[a-z_]+\.h"'; \
	then echo 'src/engine: a header that is neither the engine'"'"'s nor plain C'; bad=1; fi; \
	for header in $$(sed -nE 's/^[[:space:]]*#[[:space:]]*include[[:space:]]+"(.*)"/\1/p' src/engine/*.[ch] | sort -u); do \
		if [ ! -f "src/engine/$$header" ]; then \
			grep -n "\"$$header\"" src/engine/*.[ch]; \
			echo "src/engine: $$header is not a header of the engine"; bad=1; fi; \
	done; \
	if grep -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]+"engine/' src/*.[ch] \
		| grep -vE '"engine/(map|arena|port)\.h"'; \
	then echo 'src: only map.h, arena.h and port.h of the engine may be included'; bad=1; fi; \
	for header in $$(cd src/engine && ls *.h); do \
		case $$header in map.h|arena.h|port.h) continue;; esac; \
		if [ ! -f "src/$$header" ] && grep -nE "include[[:space:]]+\"([^\"]*/)?$$header\"" src/*.[ch]; \
		then echo "src: $$header belongs to the engine's insides"; bad=1; fi; \
	done; \
	if grep -nE 'PG_VERSION_NUM|PG_MAJORVERSION' $$(ls src/*.[ch] src/engine/*.[ch] | grep -v '^src/compat\.h$$'); \
	then echo 'versions of PostgreSQL are told apart in src/compat.h only'; bad=1; fi; \
	if [ $$bad = 0 ]; then echo 'check-layers: ok'; else exit 1; fi

# ---- changes made on purpose, by tests and benches, that must still apply ----

.PHONY: check-patches
check-patches:
	@bad=0; \
	for patch in src/test/plants/*.patch; do \
		patch --dry-run -f -s -F0 -p0 -d src/engine <$$patch || { echo "$$patch"; bad=1; }; \
	done; \
	for patch in src/test/plants/*/*.patch; do \
		patch --dry-run -f -s -F0 -p0 -d src <$$patch || { echo "$$patch"; bad=1; }; \
	done; \
	for patch in bench/experiments/*.patch; do \
		patch --dry-run -f -s -F0 -p0 <$$patch || { echo "$$patch"; bad=1; }; \
	done; \
	if [ $$bad = 0 ]; then echo 'check-patches: ok'; else exit 1; fi
