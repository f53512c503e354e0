# A Postfix of its own, for the scripts of this folder to source; runs inside
# "sandbox". Nothing of it is outside $scratch: configuration, queue, data and
# log are there, and a daemon directory that is a copy of the system's with
# $SCACHE as its scache. It is gone with the sandbox, like every process.

here=$(dirname "$0")
scratch=/mnt/scratch
mkdir "$scratch"
config=$scratch/etc
queue=$scratch/queue
log=$scratch/mail.log
owner=postfix

passed() { echo "passed: $*"; }
failed() { echo "FAILED: $*"; }

# expect WHAT COMMAND...: one line of the report.
expect() {
    what=$1
    shift
    if "$@"; then passed "$what"; else failed "$what"; fi
}

equal() { [ "$1" = "$2" ] || { echo "    $1 is not $2"; return 1; }; }

# wait_until SECONDS COMMAND...: polls, and fails when the time is over.
wait_until() {
    rounds=$(($1 * 50))
    shift
    until "$@" >/dev/null 2>&1; do
        rounds=$((rounds - 1))
        [ "$rounds" -gt 0 ] || return 1
        sleep 0.02
    done
}

# make_postfix maillog|syslog
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

# set_parameter "NAME = VALUE": in main.cf.
set_parameter() { postconf -c "$config" -e "$1"; }

postfix_() { postfix -c "$config" "$@" >>"$scratch/postfix.out" 2>&1; }

start_postfix() {
    postfix_ start && wait_until 10 test -S "$queue/private/scache"
}

# start_sink: smtp-sink on all of the loopback addresses, keeping what it takes.
start_sink() {
    smtp-sink -u "$owner" -d "$scratch/sink/message" 0.0.0.0:2525 100 &
    sink=$!
    wait_until 10 listens 2525
}

# start_counting_sink [mails=COUNT] [idle=SECONDS]: another one, which counts
# connections, and ends them after so many messages or so much silence.
start_counting_sink() {
    perl "$here/counting-sink" "$scratch/sink/counted" "$@" &
    sink=$!
    wait_until 10 listens 2525
}

# How many connections it has taken.
counted() { grep -c '^connect' "$scratch/sink/counted"; }

listens() { grep -q ":$(printf %04X "$1") 00000000:0000 0A" /proc/net/tcp; }

# send NAME COUNT DOMAIN...: COUNT messages to each domain, each to an address
# of its own: a number before or (since 3.9) after NAME.
send() {
    name=$1
    count=$2
    shift 2
    for domain; do
        smtp-source -s 4 -m "$count" -N -f sender@mail.example \
            -t "$name@$domain" 127.0.0.1:25 || return 1
    done
}

# How many messages the sink has in all.
arrived() { ls "$scratch/sink" | wc -l; }

# What arrived for NAME, one recipient a line.
at_sink() {
    find "$scratch/sink" -type f -exec cat {} + 2>/dev/null |
        sed -n "s/^X-Rcpt-Args: <\([0-9]*$1[0-9]*@[^>]*\)>.*/\1/p"
}

sink_has() { [ "$(at_sink "$1" | sort -u | wc -l)" -ge "$2" ]; }

# What the queue manager found still in delivery when it started anew, it leaves
# alone for a minute: a time stamp in the future says so. Now is soon enough.
queue_empty() {
    find "$queue/incoming" -type f -mmin -0 -exec touch {} + 2>/dev/null
    [ -z "$(find "$queue/incoming" "$queue/active" "$queue/deferred" \
        "$queue/maildrop" -type f)" ]
}

# Deliveries of NAME in the log.
delivered() { grep " to=<[0-9]*$1[0-9]*@.* status=" "$log"; }

# sum NAME: the numbers after NAME= in the standard input, added up.
sum() { sed -n "s/.*$1=\([0-9]*\).*/\1/p" | awk '{ n += $1 } END { print n + 0 }'; }

statistics() { grep "/scache\[.*statistics: $1" "$log"; }

# pids NAME: the ids of the processes of that name.
pids() {
    for process in /proc/[0-9]*; do
        { read -r comm <"$process/comm"; } 2>/dev/null || continue
        [ "$comm" != "$1" ] || echo "${process#/proc/}"
    done
}

gone() { [ ! -d "/proc/$1" ]; }

# check_mail NAME COUNT [CUT-SHORT]: every message was delivered, each once, but
# for those whose delivery was cut short.
check_mail() {
    wait_until 60 sink_has "$1" "$2"
    wait_until 20 queue_empty
    expect "$1: $2 messages at the sink" \
        equal "$(at_sink "$1" | sort -u | wc -l)" "$2"
    expect "$1: none twice${3:+ but those cut short}" \
        [ "$(at_sink "$1" | sort | uniq -d | wc -l)" -le "${3:-0}" ]
    expect "$1: the log says so too" equal \
        "$(delivered "$1" | grep -c 'status=sent')" "$2"
    expect "$1: nothing bounced or deferred" equal \
        "$(delivered "$1" | grep -v 'status=sent')" ""
    expect "$1: the queue is empty" queue_empty
}

# check_complaints [PATTERN]: nothing in the log but what matches PATTERN, and
# what cleanup(8) says when the kernel's coarse clock is not its own.
check_complaints() {
    complaints=$(grep -E ' (warning|error|fatal|panic): ' "$log" | grep -vE \
        "file system clock is|resetting file time stamps${1:+|$1}")
    expect "no warnings" equal "$(echo "$complaints" | head -n 5)" ""
}
