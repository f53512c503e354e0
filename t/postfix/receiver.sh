# A second Postfix, for tests of TLS and of the end of connections, which smtp-sink does
# not log: it receives mail for the sink, also with STARTTLS. For scripts of this
# directory to source after mail.sh.

receiver=$scratch/receiver

# make_receiver [PARAMETER...]: makes the Postfix, with these lines in its main.cf.
make_receiver() {
    mkdir "$receiver" "$receiver/queue" "$receiver/data"
    chown "$owner" "$receiver/data"
    sed "s|@SCRATCH@|$scratch|" "$here/receiver.cf.in" >"$receiver/main.cf"
    printf '%s\n' "$@" >>"$receiver/main.cf"
    cp "$here/receiver-master.cf" "$receiver/master.cf"
    make_certificate
}

# Makes a certificate for the hosts that have names.
make_certificate() {
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=one.example \
        -addext 'subjectAltName=DNS:one.example,DNS:two.example,DNS:three.example' \
        -keyout "$receiver/key.pem" -out "$receiver/certificate.pem" \
        2>>"$scratch/openssl.out"
}

# Starts this Postfix, and the sink.
start_receiver() {
    smtp-sink -u "$owner" -d "$scratch/sink/message" 127.0.0.1:2524 100 &
    wait_until 10 listens 2524
    postfix -c "$receiver" start >>"$scratch/postfix.out" 2>&1 &&
        wait_until 10 listens 2525
}

# use_tls LEVEL: makes the first Postfix send over TLS, through tlsproxy(8).
use_tls() {
    cat >>"$config/main.cf" <<END
smtp_tls_connection_reuse = yes
smtp_tls_security_level = $1
smtp_tls_CAfile = $receiver/certificate.pem
smtp_tls_loglevel = 1
END
    cat >>"$config/master.cf" <<END
tlsmgr    unix       - - n 1000? 1 tlsmgr
tlsproxy  unix       - - n - 0 tlsproxy
END
}

# The number of connections that this Postfix has accepted, and of those that ended with
# QUIT.
connections() { grep -c ' connect from ' "$receiver/mail.log"; }
quits() { grep -c ' disconnect from .* quit=1' "$receiver/mail.log"; }
