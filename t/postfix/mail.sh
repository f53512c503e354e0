# Functions to make and use a Postfix instance with $SCACHE as its scache, for the
# scripts of this directory to source; they run inside "sandbox". All files of the
# instance are in $scratch: configuration, queue, data, log, and a copy of the system's
# daemon directory. When the sandbox ends, the files are lost and all processes are
# killed.

here=$(dirname "$0")
scratch=/mnt/scratch
mkdir "$scratch"
config=$scratch/etc
queue=$scratch/queue
log=$scratch/mail.log
owner=postfix

passed() { echo "passed: $*"; }
failed() { echo "FAILED: $*"; }

# expect NAME COMMAND...: prints a line of the report: whether the command succeeds.
expect() {
    what=$1
    shift
    if "$@"; then passed "$what"; else failed "$what"; fi
}

equal() { [ "$1" = "$2" ] || { echo "    $1 is not $2"; return 1; }; }

# wait_until SECONDS COMMAND...: waits until the command succeeds; fails when the time
# has passed.
wait_until() {
    rounds=$(($1 * 50))
    shift
    until "$@" >/dev/null 2>&1; do
        rounds=$((rounds - 1))
        [ "$rounds" -gt 0 ] || return 1
        sleep 0.02
    done
}

# make_postfix maillog|syslog: makes the instance, which logs in this way.
make_postfix() {
    mkdir "$config" "$queue" "$scratch/data" "$scratch/sink"
    chown "$owner" "$scratch/data" "$scratch/sink"

    cp -R "$(postconf -d -h daemon_directory)" "$scratch/daemons"
    [ "$SCACHE" = system ] ||
        install -m 755 "$SCACHE" "$scratch/daemons/scache"

    case $1 in
    maillog) maillog_file=$log ;;
    syslog)
        maillog_file=
        perl "$here/syslog-collector" "$log" &
        wait_until 10 test -S /dev/log
        ;;
    esac
    cp "$here/transport" "$config/transport"
    sed -e "s|@SCRATCH@|$scratch|; s|@MAILLOG@|$maillog_file|" \
        "$here/main.cf.in" >"$config/main.cf"
    sed "s|@VERSION@|$(postconf -d -h mail_version)|" \
        "$here/master.cf.in" >"$config/master.cf"
}

# set_parameter "NAME = VALUE": sets the parameter in main.cf.
set_parameter() { postconf -c "$config" -e "$1"; }

postfix_() { postfix -c "$config" "$@" >>"$scratch/postfix.out" 2>&1; }

start_postfix() {
    postfix_ start && wait_until 10 test -S "$queue/private/scache"
}

# start_sink: starts smtp-sink on all loopback addresses. It stores all messages.
start_sink() {
    smtp-sink -u "$owner" -d "$scratch/sink/message" 0.0.0.0:2525 100 &
    sink=$!
    wait_until 10 listens 2525
}

# start_counting_sink [mails=COUNT] [idle=SECONDS] [clients=COUNT]: starts
# counting-sink instead.
start_counting_sink() {
    perl "$here/counting-sink" "$scratch/sink/counted" "$@" &
    sink=$!
    wait_until 10 listens 2525
}

# The number of connections that counting-sink has accepted.
counted() { grep -c '^connect' "$scratch/sink/counted"; }

# The number of connections that counting-sink has refused.
refused() { grep -c '^refuse' "$scratch/sink/counted"; }

listens() { grep -q ":$(printf %04X "$1") 00000000:0000 0A" /proc/net/tcp; }

# send NAME COUNT DOMAIN...: sends COUNT messages to each domain. Each has an address of
# its own: NAME with a number before or (since 3.9) after it.
send() {
    name=$1
    count=$2
    shift 2
    for domain; do
        smtp-source -s 4 -m "$count" -N -f sender@mail.example \
            -t "$name@$domain" 127.0.0.1:25 || return 1
    done
}

# The number of messages that the sink has.
arrived() { ls "$scratch/sink" | wc -l; }

# at_sink NAME: the recipients of the messages of NAME that arrived, one in each line.
at_sink() {
    find "$scratch/sink" -type f -exec cat {} + 2>/dev/null |
        sed -n "s/^X-Rcpt-Args: <\([0-9]*$1[0-9]*@[^>]*\)>.*/\1/p"
}

sink_has() { [ "$(at_sink "$1" | sort -u | wc -l)" -ge "$2" ]; }

# Succeeds if the queue is empty. Messages that were in delivery when the queue manager
# was restarted have a time stamp in the future, which would delay them for a minute: it
# is set to the present time.
queue_empty() {
    find "$queue/incoming" -type f -mmin -0 -exec touch {} + 2>/dev/null
    [ -z "$(find "$queue/incoming" "$queue/active" "$queue/deferred" \
        "$queue/maildrop" -type f)" ]
}

# delivered NAME: the log lines about deliveries of NAME.
delivered() { grep " to=<[0-9]*$1[0-9]*@.* status=" "$log"; }

log_has() { [ "$(delivered "$1" | wc -l)" -ge "$2" ]; }

# sum NAME: the sum of the numbers after NAME= in the standard input.
sum() { sed -n "s/.*$1=\([0-9]*\).*/\1/p" | awk '{ n += $1 } END { print n + 0 }'; }

statistics() { grep "/scache\[.*statistics: $1" "$log"; }

# pids NAME: the ids of the processes with that name.
pids() {
    for process in /proc/[0-9]*; do
        { read -r comm <"$process/comm"; } 2>/dev/null || continue
        [ "$comm" != "$1" ] || echo "${process#/proc/}"
    done
}

gone() { [ ! -d "/proc/$1" ]; }

# check_mail NAME COUNT [CUT-SHORT]: checks that each message was delivered once. At
# most CUT-SHORT messages may have arrived twice.
check_mail() {
    wait_until 60 sink_has "$1" "$2"
    wait_until 20 queue_empty
    wait_until 20 log_has "$1" "$2"
    expect "$1: $2 messages at the sink" \
        equal "$(at_sink "$1" | sort -u | wc -l)" "$2"
    expect "$1: at most ${3:-0} arrived twice" \
        [ "$(at_sink "$1" | sort | uniq -d | wc -l)" -le "${3:-0}" ]
    expect "$1: $2 deliveries in the log" equal \
        "$(delivered "$1" | grep -c 'status=sent')" "$2"
    expect "$1: nothing bounced or deferred" equal \
        "$(delivered "$1" | grep -v 'status=sent')" ""
    expect "$1: the queue is empty" queue_empty
}

# check_complaints [PATTERN]: checks that the log has no warnings but those that match
# PATTERN. (cleanup(8) warns about the clock of the file system because it is coarser.)
check_complaints() {
    complaints=$(grep -E ' (warning|error|fatal|panic): ' "$log" | grep -vE \
        "file system clock is|resetting file time stamps${1:+|$1}")
    expect "no warnings" equal "$(echo "$complaints" | head -n 5)" ""
}
