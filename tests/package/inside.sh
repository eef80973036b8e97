#!/bin/bash
# What tests/package/trial.sh runs inside the booted Debian: each step says what it holds to be true.
set -Eeuo pipefail
source /trial/steps.sh
export LC_ALL=C
trap 'echo "FAILED at line $LINENO: $BASH_COMMAND"; journalctl --no-pager --unit spectate | tail -n 30' ERR

# Waits until the server answers there.
answers() { curl --silent --show-error --fail --retry 50 --retry-delay 0 --retry-all-errors --max-time 5 "$@"; }

pid() { systemctl show --property MainPID --value spectate; }

# All that there is, but what the system itself writes as time goes by.
files() {
    find / -xdev \( -path /trial -o -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp \
        -o -path /var/tmp -o -path /var/log -o -path /var/lib/systemd/random-seed \) -prune -o -print | sort
}

install_package() {
    # As unattended-upgrades would, whom nobody can answer.
    dpkg --force-confold --install "$1" </dev/null
}

# So that what these write once is there before the list is.
systemctl daemon-reload
touch /etc/.pwd.lock /var/lib/dpkg/status-old /etc/passwd- /etc/group- /etc/shadow- /etc/gshadow-
files > /trial/before
cat /etc/passwd /etc/group /etc/shadow /etc/gshadow > /trial/before.users

install_package /trial/first.deb
[ "$(answers http://127.0.0.1:8080/healthz)" = ok ]
systemctl is-enabled --quiet spectate
says "it serves as soon as it is installed, and is enabled"

[ "$(stat -c '%U %G' "/proc/$(pid)")" = "spectate spectate" ]
[ "$(stat -c '%a %U %G' /etc/spectate /var/lib/spectate)" = "2750 root spectate
700 spectate spectate" ]
# A container may have less than the unit asks for.
most=$(awk '/^Max open files/ { print $5 }' /proc/1/limits)
[ "$(awk '/^Max open files/ { print $4 }' "/proc/$(pid)/limits")" = $((most < 100000 ? most : 100000)) ]
[ "$(awk '/^CapEff|^CapBnd/ { print $2 }' "/proc/$(pid)/status" | sort -u)" = 0000000000000400 ]
says "it runs as its own user, with the right to low ports alone, and its folders are its own"

answers 'http://127.0.0.1:8080/track?id=anna&lat=46.95&lon=7.44' >/dev/null
before=$(pid)
systemctl reload spectate
answers 'http://127.0.0.1:8080/positions?ids=anna' | grep -q '7.44'
[ "$(pid)" = "$before" ]
says "a reload with nothing to read again changes nothing"
systemctl restart spectate
answers 'http://127.0.0.1:8080/positions?ids=anna' | grep -q '7.44'
[ "$(pid)" != "$before" ]
says "a restart knows where everyone was"

for file in /usr/share/man/man1/spectate.1.gz /usr/share/bash-completion/completions/spectate \
    /usr/share/zsh/vendor-completions/_spectate /usr/share/fish/vendor_completions.d/spectate.fish; do
    [ -s "$file" ]
done
completed=$(bash -ic '
    source /usr/share/bash-completion/bash_completion
    _completion_loader spectate
    COMP_WORDS=(spectate serve --tls-) COMP_CWORD=2
    _spectate spectate --tls- serve
    echo "${COMPREPLY[*]}"' 2>/dev/null)
[ "$completed" = "--tls-listen --tls-cert-file --tls-key-file" ]
says "bash completes a flag"

certificate() {
    mkdir -p /trial/live
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days "$1" \
        -keyout /trial/live/privkey.pem -out /trial/live/fullchain.pem -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE 2>/dev/null
    chmod 600 /trial/live/*.pem
    RENEWED_LINEAGE=/trial/live /usr/lib/spectate/certbot-deploy-hook
}
served() {
    openssl s_client -connect 127.0.0.1:443 </dev/null 2>/dev/null | openssl x509 -noout -fingerprint
}
(umask 027; head -c 48 /dev/urandom | base64 -w0 > /etc/spectate/secret)
[ "$(stat -c '%a %G' /etc/spectate/secret)" = "640 spectate" ]
certificate 30
cat >> /etc/default/spectate <<'END'
SPECTATE_TLS_LISTEN=[::]:443
SPECTATE_TLS_CERT_FILE=/etc/spectate/fullchain.pem
SPECTATE_TLS_KEY_FILE=/etc/spectate/privkey.pem
SPECTATE_JWT_HS256_SECRET_FILE=/etc/spectate/secret
END
systemctl restart spectate
[ "$(answers --cacert /etc/spectate/fullchain.pem https://localhost/healthz)" = ok ]
[ "$(curl --silent --output /dev/null --write-out '%{http_code}' --insecure 'https://localhost/positions?ids=anna')" = 401 ]
before=$(pid) first=$(served)
certificate 60
within_10_s eval '[ "$(served)" != "$first" ]'
[ "$(served)" = "$(openssl x509 -noout -fingerprint -in /trial/live/fullchain.pem)" ]
[ "$(pid)" = "$before" ]
says "https on port 443 with a key that root owns, and a renewed certificate is served by the same process"

mkdir -p /etc/systemd/system/spectate.service.d
(umask 077; head -c 48 /dev/urandom | base64 -w0 > /etc/spectate.secret)
sed -i '/^SPECTATE_JWT/d' /etc/default/spectate
cat > /etc/systemd/system/spectate.service.d/secret.conf <<'END'
[Service]
LoadCredential=secret:/etc/spectate.secret
Environment=SPECTATE_JWT_HS256_SECRET_FILE=%d/secret
END
systemctl daemon-reload
systemctl restart spectate
answers --insecure https://localhost/healthz >/dev/null
[ "$(curl --silent --output /dev/null --write-out '%{http_code}' --insecure 'https://localhost/positions?ids=anna')" = 401 ]
rm -r /etc/systemd/system/spectate.service.d /etc/spectate.secret
systemctl daemon-reload
says "a secret that only root can read comes in by LoadCredential="

cp /etc/default/spectate /trial/default
echo SPECTATE_DEMO=true >> /etc/default/spectate
echo SPECTATE_LISTEN=127.0.0.1:8080 >> /etc/default/spectate
systemctl restart spectate
within_10_s eval "answers 'http://127.0.0.1:8080/positions?ids=25' | grep -q coordinates"
says "the demo runs inside the sandbox"

cp /trial/default /etc/default/spectate
echo SPECTATE_BUS=redis://engine:1 >> /etc/default/spectate
systemctl restart spectate
answers --insecure https://localhost/healthz >/dev/null
within_10_s eval "journalctl --no-pager --unit spectate --since -10s | grep -q 'bus.*efused'"
says "names of hosts are looked up inside the sandbox"

cp /trial/default /etc/default/spectate
echo SPECTATE_PING_INTERVAL=1x >> /etc/default/spectate
systemctl restart spectate || true
within_10_s systemctl is-failed --quiet spectate
[ "$(systemctl show --property ExecMainStatus --value spectate)" = 2 ]
journalctl --no-pager --unit spectate --since -10s | grep -q SPECTATE_PING_INTERVAL
says "a wrong value ends it with a line that names the variable, and it is not started again and again"

cp /trial/default /etc/default/spectate
systemctl restart spectate
answers --insecure https://localhost/healthz >/dev/null
before=$(pid)
install_package /trial/first.deb
answers --insecure https://localhost/healthz >/dev/null
[ "$(pid)" != "$before" ]
cmp /trial/default /etc/default/spectate
install_package /trial/next.deb
answers --insecure https://localhost/healthz >/dev/null
cmp /trial/default /etc/default/spectate
answers --insecure 'https://localhost/positions?ids=anna' | grep -q '7.44'
says "installed over itself and upgraded: restarted, and what was edited is kept"

systemctl stop spectate
systemctl disable --quiet spectate
install_package /trial/first.deb
[ "$(systemctl is-enabled spectate || true)" = disabled ]
says "who disabled it finds it disabled after an upgrade"
systemctl enable --quiet --now spectate

systemd-analyze security spectate --no-pager | tail -n 1

dpkg --remove spectate
[ "$(systemctl is-active spectate || true)" = inactive ]
files | comm -13 /trial/before - > /trial/left
echo "left by a removal:"
sed 's/^/    /' /trial/left
grep -qx /etc/default/spectate /trial/left
grep -qx /var/lib/spectate/state /trial/left
grep -qx /etc/spectate/secret /trial/left
if grep '^/usr/' /trial/left; then false; fi

dpkg --purge spectate
files > /trial/after
diff /trial/before /trial/after
diff /trial/before.users <(cat /etc/passwd /etc/group /etc/shadow /etc/gshadow)
systemctl daemon-reload
if systemctl cat spectate 2>/dev/null; then false; fi
says "a purge leaves nothing behind"
