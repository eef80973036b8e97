#!/bin/bash
# The Debian package in a Debian of its own, as root: installed, used as a service under a running
# systemd, upgraded, removed and purged. Takes some minutes, and is no part of tests/run.sh. The package
# is one that it builds, with cargo-deb, unless an argument says which; SUITE=trixie is another Debian.
# Needs: apt-get install debootstrap systemd-container
set -euo pipefail
cd "$(dirname "$0")/../.."
[ "$(id -u)" = 0 ] || { echo "tests/package/trial.sh: only root can make a root and boot it" >&2; exit 1; }
for program in debootstrap systemd-nspawn; do
    command -v "$program" >/dev/null || {
        echo "tests/package/trial.sh: no $program here; try: apt-get install debootstrap systemd-container" >&2
        exit 1
    }
done

folder="${CARGO_TARGET_DIR:-target}/package-trial"
rm -rf "$folder/root" "$folder/packages"
mkdir -p "$folder/packages"
if [ $# -gt 0 ]; then
    cp "$1" "$folder/packages/first.deb"
else
    src/package/build.sh --output "$folder/packages/first.deb"
fi

# The next version, with another /etc/default/spectate.
dpkg-deb --raw-extract "$folder/packages/first.deb" "$folder/packages/next"
sed -i 's/^Version: .*/&.1/' "$folder/packages/next/DEBIAN/control"
echo '# A line of the next version.' >> "$folder/packages/next/etc/default/spectate"
dpkg-deb --build "$folder/packages/next" "$folder/packages/next.deb" >/dev/null

suite=${SUITE:-bookworm}
if [ ! -e "$folder/$suite/etc/debian_version" ]; then
    debootstrap --variant=minbase --include=systemd-sysv,dbus,curl,openssl,bash-completion \
        "$suite" "$folder/$suite" >"$folder/debootstrap.log"
fi
cp -a "$folder/$suite" "$folder/root"
echo '127.0.0.1 localhost engine' > "$folder/root/etc/hosts"
mkdir "$folder/root/trial"
cp tests/package/inside.sh tests/package/steps.sh "$folder/packages/"*.deb "$folder/root/trial/"
cat > "$folder/root/etc/systemd/system/trial.service" <<'END'
[Unit]
After=multi-user.target
SuccessAction=exit
FailureAction=exit
FailureActionExitStatus=1

[Service]
Type=oneshot
ExecStart=/bin/bash /trial/inside.sh
StandardOutput=append:/trial/said
StandardError=append:/trial/said

[Install]
WantedBy=default.target
END
systemctl --root="$folder/root" --quiet enable trial.service

options=(--quiet --directory="$folder/root" --private-network --console=pipe --boot)
# Where systemd is not the first process of this machine, there is nobody to register with.
[ -d /run/systemd/system ] || options+=(--register=no --keep-unit)
status=0
timeout 300 systemd-nspawn "${options[@]}" </dev/null >"$folder/console" 2>&1 || status=$?
cat "$folder/root/trial/said"
[ "$status" = 0 ] || { echo "FAILED: the trial ended with $status; its root is $folder/root" >&2; exit 1; }
rm -rf "$folder/root"
