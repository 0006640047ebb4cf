# shellcheck shell=bash
# tests/e2e/lib.sh - for tests that run the built programs, sourced by tests/e2e/test_*.
#
#	. tests/e2e/lib.sh
#	a_sandbox_has_no_network() {
#		cordon run -- /bin/cat /proc/net/route >"$T/routes"
#		same "$(wc -l <"$T/routes")" 1
#	}
#	check a_sandbox_has_no_network
#	done_testing
#
# A test is a function named by the behaviour it holds. It runs in a subshell under
# `set -e`: every command in it is an assertion, and what it printed is shown when one
# fails. ("! CMD" is no assertion for set -e: write `fails CMD`.)
#
# O     build folder, absolute
# B     folder of the programs, for every user to reach
# T     this test program's own folder, removed at its end
# ROOT  state root of `cordon`, in T; `new_root` makes the next one

set -u
O=$(realpath -m "${O:-build/release}")
T=$(mktemp -d "${TMPDIR:-/tmp}/cordon-test.XXXXXX") || exit 3
T=$(realpath "$T")
B=$O/bin
ROOT=
n_tests=0
n_failed=0
n_roots=0
trap 'rm -rf --one-file-system "$T"' EXIT
trap 'exit 3' INT TERM HUP
chmod 711 "$T"

# ---- results ---------------------------------------------------------------------

check() { # FUNCTION [ARG...]
	local status
	n_tests=$((n_tests + 1))
	rm -f "$T/skipped"
	# Not as a condition: bash would switch set -e off inside.
	(
		set -e
		"$@"
	) >"$T/log" 2>&1 </dev/null
	status=$?
	if [ $status -eq 77 ] && [ -e "$T/skipped" ]; then
		echo "ok $n_tests - $* # SKIP $(cat "$T/skipped")"
	elif [ $status -eq 0 ]; then
		echo "ok $n_tests - $*"
	else
		n_failed=$((n_failed + 1))
		echo "not ok $n_tests - $*"
		echo "# exit status $status; it printed:"
		sed 's/^/# /' "$T/log"
	fi
}

skip() { # REASON: ends the test that calls it
	printf '%s' "$*" | tr '\n' ' ' >"$T/skipped"
	exit 77
}

skip_all() { # REASON: instead of any test
	echo "1..0 # SKIP $*"
	exit 0
}

done_testing() {
	echo "1..$n_tests"
	[ $n_failed -eq 0 ]
	exit
}

# ---- assertions ------------------------------------------------------------------

fails() { # CMD...: it ends with any status but 0
	if "$@"; then
		echo "should have failed: $*"
		return 1
	fi
}

exits() { # STATUS CMD...
	local wanted=$1 status=0
	shift
	"$@" || status=$?
	[ "$status" -eq "$wanted" ] || {
		echo "exit status $status, wanted $wanted: $*"
		return 1
	}
}

same() { # GOT WANTED
	[ "$1" = "$2" ] || {
		printf 'got:    %s\nwanted: %s\n' "$1" "$2"
		return 1
	}
}

has() { # FILE TEXT: the text occurs in the file
	grep -qF -e "$2" "$1" || {
		printf 'not in %s: %s\n' "$1" "$2"
		sed 's/^/  | /' "$1"
		return 1
	}
}

lacks() { # FILE TEXT
	fails grep -F -e "$2" "$1"
}

soon() { # SECONDS CMD...: it succeeds within that time
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || {
			echo "not in time: $*"
			return 1
		}
		sleep 0.1
	done
}

# ---- what tests need -------------------------------------------------------------

need() { # PROGRAM...: skips where one is missing
	local program
	for program in "$@"; do
		PATH=$PATH:/usr/sbin:/sbin command -v "$program" >/dev/null ||
			skip "no $program on this machine"
	done
}

need_root() {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
}

# A new, empty state root in $ROOT.
new_root() {
	n_roots=$((n_roots + 1))
	ROOT=$T/root.$n_roots
	mkdir -m 700 "$ROOT"
}

cordon() {
	"$B/cordon" --root "$ROOT" "$@"
}

# As an ordinary user with a home of its own and nothing of our environment. For root
# that is nobody; an ordinary user stays who he is.
as_user() { # CMD...
	local become=()
	[ "$(id -u)" -ne 0 ] || become=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	(cd "$T/home" && "${become[@]}" env -i HOME="$T/home" PATH=/usr/bin:/bin LANG=C.UTF-8 \
		TMPDIR="$T/home" "$@")
}

# ---- what a session may not leave behind -----------------------------------------

# Everything of cordon's that is on this machine now, one thing a line.
traces() {
	local pid name start
	for pid in /proc/[0-9]*; do
		read -r name <"$pid/comm" || continue
		[[ $name == cordon || $name == cordon-* ]] || continue
		start=$(sed 's/.*) //' "$pid/stat" | cut -d ' ' -f 20)
		echo "process $name ${pid#/proc/} started $start"
	done
	cut -d ' ' -f 3-5 /proc/self/mountinfo | sed 's/^/mount /'
	find /sys/fs/cgroup -type d -name 'cordon*' -printf 'cgroup %p\n'
	find /dev/shm /dev/mqueue -mindepth 1 -printf 'object %p\n'
	find "$T" -path '*/run/*' ! -name '*.lock' -printf 'run folder %P\n'
} 2>/dev/null

# Nothing of that is new since this file was sourced. A clerk ends when it is idle, so
# the answer may take up to LEFTOVER_SECONDS. Other sessions that start on the same
# machine meanwhile would be mistaken for ours.
no_leftovers() {
	soon "${LEFTOVER_SECONDS:-15}" nothing_new || {
		cat "$T/new"
		return 1
	}
}
nothing_new() {
	traces | sort | comm -13 "$T/before" - >"$T/new"
	[ ! -s "$T/new" ]
}

mkdir -m 700 "$T/home"
[ "$(id -u)" -ne 0 ] || chown 65534:65534 "$T/home"
# A tree that only its owner can enter: everyone gets a copy of the programs.
if [ -d "$B" ] && ! as_user test -r "$B/cordon"; then
	B=$T/bin
	cp -r "$O/bin" "$B"
	chmod -R a+rX "$B"
fi
new_root
traces | sort >"$T/before"
