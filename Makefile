# scache(8), the shared connection cache of Postfix.
#
#   make                 build the daemon
#   make demo            see it work: no root, no Postfix needed
#   make check           the test suite: no root, no Postfix needed
#   make check SCACHE=/usr/lib/postfix/sbin/scache
#                        the same suite against another scache
#   make record SCACHE=/usr/lib/postfix/sbin/scache
#                        write its expectations anew, from the C daemon
#   make check-...       more checks: t/README lists all
#   make bench           how long sessions live and what a request costs, next to
#                        the C daemon
#   make bench-mail      how much mail goes over each connection; root, and Postfix
#   make install         (and uninstall) what make has built, with DESTDIR
#   make dist            a source tarball with all crates in it
#
# What is compiled in goes by its Postfix name. The values are those of the
# Postfix that is installed, or else those of Debian's; any of them can be given
# on the command line, and another value makes a new build.

# An ordinary user may not have it in the PATH.
postconf = $(or $(shell PATH="$$PATH:/usr/sbin" postconf -dh $(1) 2>/dev/null),$(2))

config_directory  := $(call postconf,config_directory,/etc/postfix)
queue_directory   := $(call postconf,queue_directory,/var/spool/postfix)
daemon_directory  := $(call postconf,daemon_directory,/usr/lib/postfix/sbin)
command_directory := $(call postconf,command_directory,/usr/sbin)
data_directory    := $(call postconf,data_directory,/var/lib/postfix)
meta_directory    := $(call postconf,meta_directory,/etc/postfix)
shlib_directory   := $(call postconf,shlib_directory,/usr/lib/postfix)
manpage_directory := $(call postconf,manpage_directory,/usr/share/man)
mail_owner        := $(call postconf,mail_owner,postfix)
setgid_group      := $(call postconf,setgid_group,postdrop)
default_privs     := $(call postconf,default_privs,nobody)
mail_version      := $(call postconf,mail_version,3.7.11)
mail_release_date := $(call postconf,mail_release_date,20240304)

export SCACHE_CONFIG_DIRECTORY  := $(config_directory)
export SCACHE_QUEUE_DIRECTORY   := $(queue_directory)
export SCACHE_DAEMON_DIRECTORY  := $(daemon_directory)
export SCACHE_COMMAND_DIRECTORY := $(command_directory)
export SCACHE_DATA_DIRECTORY    := $(data_directory)
export SCACHE_META_DIRECTORY    := $(meta_directory)
export SCACHE_SHLIB_DIRECTORY   := $(shlib_directory)
export SCACHE_MAIL_OWNER        := $(mail_owner)
export SCACHE_SETGID_GROUP      := $(setgid_group)
export SCACHE_DEFAULT_PRIVS     := $(default_privs)
export SCACHE_MAIL_VERSION      := $(mail_version)
export SCACHE_MAIL_RELEASE_DATE := $(mail_release_date)

CARGO  = cargo
TARGET = $(or $(CARGO_TARGET_DIR),target)
# Another architecture has a directory of its own.
DAEMON = $(TARGET)/$(addsuffix /,$(CARGO_BUILD_TARGET))release/scache
# A distribution with crates of its own removes the lock.
LOCKED = $(if $(wildcard Cargo.lock),--locked)

# The scache that the suite is run against; empty for the one built here.
SCACHE =
# What of the suite, as cargo test would have it: --test options; or all.
TESTS =
MINUTES = 1
# Of differ.
EXCHANGES = 2000
VALUES = 10000
# The Debian releases of check-generations and check-oracles; empty for all.
SUITES =
ifneq ($(SCACHE),)
export SCACHE
else
unexport SCACHE
endif

# Where it was built is not in what was built. Flags in the environment are joined
# to that there (with no blank between them, of which a path may have some), for
# they are instead of those that cargo is configured with. Else it is joined to
# those, which may be a distribution's.
us := $(shell printf '\037')
flags := $(or $(CARGO_ENCODED_RUSTFLAGS),$(subst $() ,$(us),$(strip $(RUSTFLAGS))))
source_remap = --remap-path-prefix=$(CURDIR)=/usr/src/scache
crates_remap = --remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)=/usr/src/cargo

ifneq ($(flags),)
all: export CARGO_ENCODED_RUSTFLAGS := $(flags)$(us)$(source_remap)$(us)$(crates_remap)
all:
	$(CARGO) build --release $(LOCKED)
else
# (An empty one in the environment would count as given.)
all:
	env -u CARGO_ENCODED_RUSTFLAGS -u RUSTFLAGS $(CARGO) build --release $(LOCKED) \
		--config 'build.rustflags=["$(source_remap)", "$(crates_remap)"]'
endif

check:
	t/count "$(TARGET)" $(CARGO) test $(LOCKED) --no-fail-fast $(TESTS)

record:
	@test -n "$(SCACHE)" || { echo "make record: SCACHE= must name the C daemon" >&2; exit 1; }
	RECORD=1 $(CARGO) test $(LOCKED) --test transcripts --test options

check-environments:
	t/check-environments

check-targets:
	t/check-targets

check-architectures:
	t/check-architectures

check-postfix: all
	t/postfix/check-postfix "$(or $(SCACHE),$(DAEMON))"
	t/postfix/check-jail "$(or $(SCACHE),$(DAEMON))"

check-generations: oldest
	t/postfix/check-generations "$(TARGET)/scache-oldest" $(SUITES)

check-logtools: oldest
	t/postfix/check-logtools "$(TARGET)/scache-oldest"

# One that runs in all of them.
oldest:
	mkdir -p "$(TARGET)"
	t/postfix/build-oldest "$(TARGET)/scache-oldest"

check-oracles:
	t/postfix/build-oldest "$(TARGET)/oracle-tests" options transcripts daemon
	t/postfix/check-oracles "$(TARGET)/oracle-tests" $(SUITES)

check-debian-build:
	t/postfix/check-debian-build

check-deb:
	t/packages/check-deb

check-rpm:
	t/packages/check-rpm

demo:
	$(CARGO) test $(LOCKED) --quiet --test demo

bench:
	$(CARGO) bench $(LOCKED) --quiet --bench bench

bench-mail: all
	t/postfix/bench-mail "$(DAEMON)"

bench-syscalls: all
	t/bench/syscalls "$(DAEMON)"

soak:
	$(CARGO) test $(LOCKED) --release --quiet --test soak -- $(MINUTES)

differ:
	@test -n "$(SCACHE)" || { echo "make differ: SCACHE= must name the C daemon" >&2; exit 1; }
	$(CARGO) test $(LOCKED) --quiet --test differ -- $(EXCHANGES)
	$(CARGO) test $(LOCKED) --quiet --test differ_macros -- $(VALUES)

fuzz:
	t/fuzz/run

mutants:
	t/mutants/run "$(TARGET)/mutants"

check-asan:
	t/check-asan

check-memcheck:
	t/check-memcheck

dist:
	t/dist "$(TARGET)/dist"

check-dist: dist
	t/check-dist "$(TARGET)"/dist/*.tar.gz

# Mode, owner and stripping are the packager's to say.
INSTALL = install
INSTALL_PROGRAM = $(INSTALL) -m 755
INSTALL_DATA = $(INSTALL) -m 644

# What was built is installed; nothing is built with other values meanwhile. It
# takes the place of the C program by mv, so that master(8) starts one of them; with
# SELinux's label of that place, without which it gets no descriptors from smtp(8).
install:
	@test -f "$(DAEMON)" || { echo "make install: run make first" >&2; exit 1; }
	$(INSTALL) -d "$(DESTDIR)$(daemon_directory)" "$(DESTDIR)$(manpage_directory)/man8"
	$(INSTALL_PROGRAM) "$(DAEMON)" "$(DESTDIR)$(daemon_directory)/scache.new"
	$(if $(DESTDIR),,@conf/c-program keep "$(daemon_directory)" "$(manpage_directory)")
	mv -f "$(DESTDIR)$(daemon_directory)/scache.new" "$(DESTDIR)$(daemon_directory)/scache"
	$(if $(DESTDIR),,@! command -v restorecon >/dev/null || restorecon "$(daemon_directory)/scache")
	$(INSTALL_DATA) src/scache.8 "$(DESTDIR)$(manpage_directory)/man8/scache.8"

ifeq ($(DESTDIR),)
uninstall:
	@conf/c-program restore "$(daemon_directory)" "$(manpage_directory)"
else
uninstall:
	rm -f "$(DESTDIR)$(daemon_directory)/scache"
	rm -f "$(DESTDIR)$(manpage_directory)/man8/scache.8"
endif

check-install: all
	t/check-install "$(DAEMON)"

clean:
	$(CARGO) clean

.PHONY: all check-install check-asan check-memcheck bench bench-syscalls check check-environments check-targets check-architectures check-dist differ dist fuzz mutants soak check-postfix check-generations check-oracles check-debian-build check-deb check-rpm record demo install uninstall clean bench-mail check-logtools oldest
