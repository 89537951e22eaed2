# What jobs share. A line "guest: ok TEXT" or "guest: FAILED TEXT" is one check.
ok() { echo "guest: ok $*"; }
failed() { echo "guest: FAILED $*"; }
check() { # text command...: the command must succeed; what it printed is shown if it does not
    text=$1
    shift
    if "$@" >/tmp/out 2>&1; then ok "$text"; else
        failed "$text (exit $?)"
        tail -n 15 /tmp/out | sed 's/^/  | /'
    fi
}

server_start() { # options...: sets $url; $as is in front of the program
    $as hawserd --listen 127.0.0.1:0 --export data=/target "$@" >/tmp/server.out 2>/tmp/server.err &
    server=$!
    for i in $(seq 100); do
        port=$(sed -n 's/^hawserd: ready on .*://p' /tmp/server.out)
        [ -n "$port" ] && break
        sleep 0.2
    done
    [ -n "$port" ] || { failed "the server does not start"; sed 's/^/  | /' /tmp/server.err; }
    url=hawser://127.0.0.1:$port/data
}

server_stop() {
    kill -TERM "$server" && wait "$server"
}

same() { # a b: rsync finds nothing to do
    rsync -aHAXnic --delete "$1/" "$2/" >/tmp/differences 2>&1 || return 1
    [ ! -s /tmp/differences ] || { cat /tmp/differences; return 1; }
}
