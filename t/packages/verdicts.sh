# Functions for the scripts that run inside "machine" to source.

builder=nobody
# The last event, as a prefix of the lines of the report.
situation=

passed() { echo "passed: $situation$*"; }
failed() { echo "FAILED: $situation$*"; }

# expect NAME COMMAND...: prints whether the command succeeds, a line of the report.
expect() {
    what=$1
    shift
    if "$@"; then passed "$what"; else failed "$what"; fi
}

# after SITUATION: sets the prefix of the following lines of the report.
after() { situation="$1: "; }

# silent COMMAND...: must succeed without output.
silent() {
    said=$("$@" 2>&1) && [ -z "$said" ] || { echo "    $*: $said"; return 1; }
}

# logged COMMAND...: prints only the last line of the suite, or all output if it fails.
logged() {
    if "$@" >/srv/scratch/log 2>&1; then
        grep '^check: ' /srv/scratch/log || :
    else
        cat /srv/scratch/log
        return 1
    fi
}

# as_builder DIRECTORY COMMAND...: runs it as an ordinary user, with the loopback
# network only.
as_builder() {
    unshare --net sh -c 'ip link set lo up && exec "$@"' sh \
        setpriv --reuid "$builder" --regid "$(id -g "$builder")" --clear-groups \
        env HOME=/nonexistent sh -c 'cd "$0" && exec "$@"' "$@"
}

postfix_is_content() {
    expect "postfix check is silent" silent postfix check
    expect "postfix set-permissions is silent" silent postfix set-permissions
}

# mail_flows: sends mail through the installed Postfix, whose daemons are in $daemons.
mail_flows() {
    {
        unshare --mount sh -ec '
            [ "$1" = "$2" ] || mount --bind "$1" "$2"
            exec /srv/source/t/postfix/sandbox system deliver maillog
            ' sh "$daemons" "$(postconf -d -h daemon_directory)" ||
            echo "FAILED: mail flows: status $?"
    } |
        sed "s/^passed: /&$situation/; s/^FAILED: /&$situation/"
}
