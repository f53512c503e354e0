# Runs the scripts of this folder and counts their lines "passed:" and
# "FAILED:", for the check-* scripts to source.

[ "$(id -u)" = 0 ] || {
    echo "$0: must be root, to start a Postfix" >&2
    exit 2
}
output=$(mktemp)
trap 'rm -f "$output"' EXIT
passes=0
failures=0

# report TITLE COMMAND...; what it printed stays in $output.
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

# verdict WHAT COMMAND...: one more line of the report.
verdict() {
    what=$1
    shift
    { if "$@"; then echo "passed: $what"; else echo "FAILED: $what"; fi; } |
        tee "$output"
    count
}

# hits: what a "deliver" in $output measured.
hits() { sed -n 's/.* hits: \([0-9]*\) .*/\1/p' "$output"; }

summary() {
    echo "$passes passed, $failures failed"
    [ "$failures" = 0 ] && [ "$passes" -gt 0 ]
    exit
}
