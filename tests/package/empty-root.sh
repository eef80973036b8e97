#!/bin/bash
# The static binary where there is nothing else, as root: in a root that holds it alone, with its own
# network and as process 1, as a container would run it. No part of tests/run.sh. The binary is one that
# it builds, unless an argument says which.
set -Eeuo pipefail
cd "$(dirname "$0")/../.."
source tests/package/steps.sh
if [ -z "${SPECTATE_EMPTY_ROOT:-}" ]; then
    [ "$(id -u)" = 0 ] || { echo "tests/package/empty-root.sh: only root can change its root" >&2; exit 1; }
    binary=${1:-}
    if [ -z "$binary" ]; then
        RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --target x86_64-unknown-linux-gnu
        binary="${CARGO_TARGET_DIR:-target}/x86_64-unknown-linux-gnu/release/spectate"
    fi
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    mkdir "$folder/root" "$folder/outside"
    install -m 755 "$binary" "$folder/root/spectate"
    SPECTATE_EMPTY_ROOT="$folder" unshare --mount-proc --net --pid --fork --kill-child "$0"
    exit
fi

cd "$SPECTATE_EMPTY_ROOT/outside"
root="$SPECTATE_EMPTY_ROOT/root"
unset SPECTATE_EMPTY_ROOT
trap 'echo "FAILED at line $LINENO: $BASH_COMMAND"; tail -n 5 serve.log watch.log' ERR
ip link set lo up

gets() { curl --silent --fail --max-time 5 "$@"; }
inside() { chroot "$root" /spectate "$@"; }
serve() {
    chroot "$root" /spectate serve "$@" >serve.log 2>&1 &
    server=$!
    within_10_s grep -q '^listening on ' serve.log
}
stop() {
    kill $server
    wait $server
}
# Follows user 5 with these flags until a position has come.
watch() {
    chroot "$root" /spectate watch "$@" 5 >watch.log 2>&1 &
    within_10_s grep -q '^5  ' watch.log
    kill $!
}

[ "$(find "$root" -mindepth 1)" = "$root/spectate" ]
serve
[ "$(gets http://127.0.0.1:8080/healthz)" = ok ]
gets 'http://127.0.0.1:8080/track?id=5&lat=46.95&lon=7.44'
gets 'http://127.0.0.1:8080/positions?ids=5' | grep -q '7.44'
says "it serves with nothing in its root but itself"
stop

mkdir "$root/proc" "$root/dev"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/dev"
mknod -m 666 "$root/dev/null" c 1 3
mknod -m 666 "$root/dev/random" c 1 8
mknod -m 666 "$root/dev/urandom" c 1 9
serve --demo
within_10_s eval "gets 'http://127.0.0.1:8080/positions?ids=25' | grep -q coordinates"
gets http://127.0.0.1:8080/metrics | grep -q '^process_open_fds '
watch
inside simulate --users 10 --messages 100 --first-id 1000 >simulate.log
says "with /proc and /dev, which every container has, --demo, watch and simulate do too"

if inside lookup localhost 2>lookup.log; then false; fi
grep -q 'cannot look localhost up' lookup.log
mkdir "$root/etc"
echo '127.0.0.1 localhost' > "$root/etc/hosts"
[ "$(inside lookup localhost)" = 127.0.0.1 ]
watch --url ws://localhost:8080
says "names of hosts are those of /etc/hosts, if there is one"
stop

# A server of names that knows one.
cat > names.py <<'END'
import socket, struct
names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
names.bind(('127.0.0.1', 53))
while True:
    query, peer = names.recvfrom(512)
    end = query.index(0, 12) + 5
    answer = b''
    if query[12:end] == b'\x06engine\x07example\x03com\x00\x00\x01\x00\x01':
        answer = struct.pack('>HHHIH', 0xC00C, 1, 1, 60, 4) + bytes([127, 0, 0, 1])
    names.sendto(query[:2] + struct.pack('>HHHHH', 0x8180, 1, bool(answer), 0, 0) + query[12:end] + answer, peer)
END
python3 names.py &
names=$!
echo 'nameserver 127.0.0.1' > "$root/etc/resolv.conf"
within_10_s eval '[ "$(inside lookup engine.example.com 2>/dev/null)" = 127.0.0.1 ]'
serve --bus redis://engine.example.com:1
within_10_s grep -q 'bus down.*efused' serve.log
says "and those of the servers of names in /etc/resolv.conf, for --bus too"
stop
kill $names

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 90 -keyout "$root/key.pem" \
    -out "$root/cert.pem" -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
    -addext basicConstraints=critical,CA:FALSE 2>/dev/null
serve --tls-listen 127.0.0.1:443 --tls-cert-file cert.pem --tls-key-file key.pem
[ "$(gets --cacert "$root/cert.pem" https://localhost/healthz)" = ok ]
gets --cacert "$root/cert.pem" 'https://localhost/track?id=5&lat=1&lon=2'
if inside watch --url wss://localhost 5 2>watch.log; then false; fi
grep -q 'this system trusts no CA: install ca-certificates, or try --ca-file FILE' watch.log
watch --url wss://localhost --ca-file cert.pem
says "TLS is spoken; clients want --ca-file where the system has no authorities"
stop

umount "$root/proc"
unshare --pid --fork --mount-proc="$root/proc" chroot "$root" /spectate serve --demo >serve.log 2>&1 &
within_10_s eval "gets 'http://127.0.0.1:8080/positions?ids=25' | grep -q coordinates"
kill "$(pgrep --parent $!)"
wait $!
grep -q ' stop ' serve.log
says "as process 1 it ends at a SIGTERM with exit status 0"
