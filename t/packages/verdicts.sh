# What the scripts that run inside "machine" share.

builder=nobody
# What happened last, before the lines of the report that hold for it.
situation=

passed() { echo "passed: $situation$*"; }
failed() { echo "FAILED: $situation$*"; }

# expect WHAT COMMAND...: one line of the report.
expect() {
    what=$1
    shift
    if "$@"; then passed "$what"; else failed "$what"; fi
}

# after SITUATION
after() { situation="$1: "; }

# silent COMMAND...: ends well, and says nothing.
silent() {
    said=$("$@" 2>&1) && [ -z "$said" ] || { echo "    $*: $said"; return 1; }
}

# logged COMMAND...: of what it says only what the suite closes with, if all is
# well.
logged() {
    if "$@" >/srv/scratch/log 2>&1; then
        grep '^check: ' /srv/scratch/log || :
    else
        cat /srv/scratch/log
        return 1
    fi
}

# as_builder DIRECTORY COMMAND...: not as root, and with no network but the
# loopback one.
as_builder() {
    unshare --net sh -c 'ip link set lo up && exec "$@"' sh \
        setpriv --reuid "$builder" --regid "$(id -g "$builder")" --clear-groups \
        env HOME=/nonexistent sh -c 'cd "$0" && exec "$@"' "$@"
}

postfix_is_content() {
    expect "postfix check is silent" silent postfix check
    expect "postfix set-permissions is silent" silent postfix set-permissions
}

# mail_flows: through the Postfix that is installed, with its daemons in $daemons
# and not where they are otherwise.
mail_flows() {
    unshare --mount sh -ec '
        [ "$1" = "$2" ] || mount --bind "$1" "$2"
        exec /srv/source/t/postfix/sandbox system deliver maillog
        ' sh "$daemons" "$(postconf -d -h daemon_directory)" |
        sed "s/^passed: /&$situation/; s/^FAILED: /&$situation/"
}
