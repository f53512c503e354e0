# scache(8), the shared connection cache of Postfix. Targets, with the minutes
# that each takes, and what it needs beside cargo (Rust 1.85 or newer) and a C
# linker: R root, D debootstrap and a Debian mirror, P Postfix, N a nightly
# toolchain. t/README says more about the checks.
#
#   make                         1      the daemon
#   make demo                  0.5      see it work
#   make check                   2      the test suite
#   make check SCACHE=FILE       2  P   the suite against another scache, such as
#                                       /usr/lib/postfix/sbin/scache
#   make install                 0  R   what make has built; keeps the C program.
#                                       With DESTDIR=: for a package
#   make uninstall               0  R   puts the C program back
#   make dist                    0      a source tarball with all crates in it;
#                                       needs a clone of the repository
#   make clean                   0      removes what was built
#   make help                    0      this list
#   make bench                  10      what a request costs, next to the C daemon
#   make bench-syscalls          1      its system calls; needs strace
#   make bench-mail             20  RP  how much mail goes over each connection
#   make check-make              0      what make says to mistakes
#   make check-install           0      install and uninstall in each order
#   make map                     0      each C function and its counterpart in src
#   make check-dist              1      the tarball builds without a network
#   make check-environments     12  R   the suite with other limits, accounts, ...
#   make check-postfix           3  RP  mail in a Postfix of its own
#   make check-generations       5  RD  mail in Debian 11, 12, 13 and sid
#   make check-logtools        1.5  RD  what log analysers make of the log
#   make check-oracles         3.5  RD  the suite against newer C programs
#   make check-deb               5  RD  Debian package: built, installed, removed
#   make check-rpm             3.5  RD  RPM package: likewise
#   make check-debian-build      2  RD  built with Debian 13's compiler and crates
#   make check-targets           7  RD  compiles for every system
#   make check-architectures    15  RD  the suite on other processors
#   make check-asan              2  N   AddressSanitizer
#   make check-memcheck         10      valgrind
#   make fuzz                  2.5  N   fuzzing
#   make soak MINUTES=20        20      200 clients: no growth, nothing lost
#   make differ SCACHE=FILE    2.5  P   random requests and values, next to the C
#                                       program
#   make mutants             hours      whether a test fails
#   make record SCACHE=FILE      2  P   writes the suite's expectations anew, from
#                                       the C program
#
# What is compiled in goes by its Postfix name. The values are those of the
# Postfix that is installed, or else those of Debian's; any of them can be given
# on the command line, and another value makes a new build. docdir is where make
# install puts the list of differences from the C program.

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
docdir            := /usr/share/doc/scache-rs
mail_owner        := $(call postconf,mail_owner,postfix)
setgid_group      := $(call postconf,setgid_group,postdrop)
default_privs     := $(call postconf,default_privs,nobody)
mail_version      := $(call postconf,mail_version,3.7.11)
mail_release_date := $(call postconf,mail_release_date,20240304)

settings = config_directory queue_directory daemon_directory command_directory \
	data_directory meta_directory shlib_directory manpage_directory mail_owner \
	setgid_group default_privs mail_version mail_release_date docdir
$(foreach name,$(settings),$(if $(strip $($(name))),,$(error $(name)= must not be empty)))
# As MailVersion::parse() has it.
is_version := $(shell printf %s '$(subst ','\'',$(mail_version))' | \
	grep -Ex '[0-9]{1,9}\.[0-9]{1,9}([.-].*)?')
$(if $(is_version),,$(error mail_version=$(mail_version) is no version of Postfix, such as 3.10.2))

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

all: needs-cargo

needs-cargo:
	@command -v $(firstword $(CARGO)) >/dev/null || { \
		echo "make: no $(firstword $(CARGO)): this needs cargo and rustc, Rust 1.85 or newer" >&2; \
		exit 1; }

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

check: needs-cargo
	t/count "$(TARGET)" $(CARGO) test $(LOCKED) --no-fail-fast $(TESTS)

record: needs-cargo
	@test -n "$(SCACHE)" || { echo "make record: SCACHE= must name the C daemon" >&2; exit 1; }
	RECORD=1 $(CARGO) test $(LOCKED) --test transcripts --test options

check-environments: needs-cargo
	t/check-environments

check-targets: needs-cargo
	t/check-targets

check-architectures: needs-cargo
	t/check-architectures

check-postfix: all
	t/postfix/check-postfix "$(or $(SCACHE),$(DAEMON))"
	t/postfix/check-jail "$(or $(SCACHE),$(DAEMON))"

check-generations: oldest
	t/postfix/check-generations "$(TARGET)/scache-oldest" $(SUITES)

check-logtools: oldest
	t/postfix/check-logtools "$(TARGET)/scache-oldest"

# One that runs in all of them.
oldest: needs-cargo
	mkdir -p "$(TARGET)"
	t/postfix/build-oldest "$(TARGET)/scache-oldest"

check-oracles: needs-cargo
	t/postfix/build-oldest "$(TARGET)/oracle-tests" options transcripts daemon
	t/postfix/check-oracles "$(TARGET)/oracle-tests" $(SUITES)

check-debian-build: needs-cargo
	t/postfix/check-debian-build

check-deb:
	t/packages/check-deb

check-rpm: needs-cargo
	t/packages/check-rpm

demo: needs-cargo
	$(CARGO) test $(LOCKED) --test demo

bench: needs-cargo
	$(CARGO) bench $(LOCKED) --bench bench

bench-mail: all
	t/postfix/bench-mail "$(DAEMON)"

bench-syscalls: all
	t/bench/syscalls "$(DAEMON)"

soak: needs-cargo
	$(CARGO) test $(LOCKED) --release --test soak -- $(MINUTES)

differ: needs-cargo
	@test -n "$(SCACHE)" || { echo "make differ: SCACHE= must name the C daemon" >&2; exit 1; }
	$(CARGO) test $(LOCKED) --test differ -- $(EXCHANGES)
	$(CARGO) test $(LOCKED) --test differ_macros -- $(VALUES)

fuzz: needs-cargo
	t/fuzz/run

mutants: needs-cargo
	t/mutants/run "$(TARGET)/mutants"

check-asan: needs-cargo
	t/check-asan

check-memcheck: needs-cargo
	t/check-memcheck

dist: needs-cargo
	t/dist "$(TARGET)/dist"

check-dist: dist
	t/check-dist "$(TARGET)"/dist/*.tar.gz

# Mode, owner and stripping are the packager's to say.
INSTALL = install
INSTALL_PROGRAM = $(INSTALL) -m 755
INSTALL_DATA = $(INSTALL) -m 644

# What was built is installed; nothing is built with other values meanwhile.
install:
	@test -f "$(DAEMON)" || { echo "make install: run make first" >&2; exit 1; }
	$(INSTALL) -d "$(DESTDIR)$(daemon_directory)" "$(DESTDIR)$(manpage_directory)/man8" \
		"$(DESTDIR)$(docdir)"
	$(INSTALL_DATA) src/DIFFERENCES "$(DESTDIR)$(docdir)/DIFFERENCES"
ifeq ($(DESTDIR),)
	$(INSTALL_PROGRAM) "$(DAEMON)" "$(daemon_directory)/scache.new"
	$(INSTALL_DATA) src/scache.8 "$(manpage_directory)/man8/scache.new"
	@conf/c-program replace "$(daemon_directory)" "$(manpage_directory)"
else
	$(INSTALL_PROGRAM) "$(DAEMON)" "$(DESTDIR)$(daemon_directory)/scache"
	$(INSTALL_DATA) src/scache.8 "$(DESTDIR)$(manpage_directory)/man8/scache.8"
endif

uninstall:
ifeq ($(DESTDIR),)
	@conf/c-program restore "$(daemon_directory)" "$(manpage_directory)"
else
	rm -f "$(DESTDIR)$(daemon_directory)/scache"
	rm -f "$(DESTDIR)$(manpage_directory)/man8/scache.8"
endif
	rm -f "$(DESTDIR)$(docdir)/DIFFERENCES"
	@rmdir "$(DESTDIR)$(docdir)" 2>/dev/null || true

check-install: all
	t/check-install "$(DAEMON)"

map: needs-cargo
	@MAP=1 $(CARGO) test --quiet $(LOCKED) --test map complete -- --nocapture 2>&1 >/dev/null

clean:
	$(CARGO) clean

check-make:
	t/check-make

help:
	@sed -n '/^#/!q; s/^#$$//; s/^# //; p' "$(firstword $(MAKEFILE_LIST))"

.PHONY: all help needs-cargo check-make check-install map check-asan check-memcheck bench bench-syscalls check check-environments check-targets check-architectures check-dist differ dist fuzz mutants soak check-postfix check-generations check-oracles check-debian-build check-deb check-rpm record demo install uninstall clean bench-mail check-logtools oldest
