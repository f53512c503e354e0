# Functions for the check-* scripts to source: they run commands, and count the lines
# "passed:" and "FAILED:" in the output.

[ "$(id -u)" = 0 ] || {
    echo "$0: must be root" >&2
    exit 2
}
output=$(mktemp)
trap 'rm -f "$output"' EXIT
passes=0
failures=0

# report TITLE COMMAND...: runs a command that prints such lines. The output stays in
# $output.
report() {
    echo "== $1"
    shift
    "$@" >"$output" 2>&1 || echo "FAILED: $* ends with status $?" >>"$output"
    cat "$output"
    count
}

count() {
    passes=$((passes + $(grep -c '^passed:' "$output")))
    failures=$((failures + $(grep -c '^FAILED:' "$output")))
}

# verdict NAME COMMAND...: runs a command, and prints and counts such a line about it.
verdict() {
    what=$1
    shift
    { if "$@"; then echo "passed: $what"; else echo "FAILED: $what"; fi; } |
        tee "$output"
    count
}

# compare TITLE DAEMON TREE COMMAND...: runs the command in the sandbox, in TREE unless
# that is empty, first with the scache of that Postfix, to test the check itself, then
# with DAEMON. DAEMON must find about as many sessions.
compare() {
    title=$1
    daemon=$2
    tree=$3
    shift 3
    report "$title, its own scache" \
        "$here/sandbox" ${tree:+-r "$tree"} system "$@"
    expected=$(hits)
    report "$title, $daemon" "$here/sandbox" ${tree:+-r "$tree"} "$daemon" "$@"
    found=$(hits)
    verdict "$title: about as many sessions found" \
        [ "$((${found:-0} * 10))" -ge "$((${expected:-1} * 9))" ]
}

# hits: the number of sessions found, from $output.
hits() { sed -n 's/.* hits: \([0-9]*\) .*/\1/p' "$output"; }

summary() {
    echo "$passes passed, $failures failed"
    [ "$failures" = 0 ] && [ "$passes" -gt 0 ]
    exit
}
