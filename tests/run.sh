#!/usr/bin/env bash
# All checks and all tests, in the order in which they fail fastest. Installs what the tests need
# beyond a Rust toolchain from Debian's packages, where it is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=()
modules='import websockets, jwt, cryptography'
/usr/bin/python3 -c "$modules" 2>/dev/null || python3 -c "$modules" 2>/dev/null \
    || packages+=(python3 python3-websockets python3-jwt python3-cryptography)
command -v chromium chromium-browser google-chrome google-chrome-stable >/dev/null \
    || packages+=(chromium)
command -v promtool >/dev/null || packages+=(prometheus)
command -v zbarimg >/dev/null || packages+=(zbar-tools)
PATH="$PATH:/usr/sbin" command -v nginx >/dev/null || packages+=(nginx-light)
command -v openssl >/dev/null || packages+=(openssl)
command -v curl >/dev/null || packages+=(curl)
command -v redis-server >/dev/null || packages+=(redis-server)
command -v caddy >/dev/null || packages+=(caddy)
command -v systemd-analyze >/dev/null || packages+=(systemd)
for program in mandoc zsh fish; do
    command -v "$program" >/dev/null || packages+=("$program")
done
if [ ${#packages[@]} -gt 0 ] && ! command -v apt-get >/dev/null; then
    echo "tests/run.sh: there is no apt-get here to install ${packages[*]}: tests that need them" \
        "fail if CI is set, and else say that they did not run" >&2
elif [ ${#packages[@]} -gt 0 ]; then
    as_root=""
    [ "$(id -u)" = 0 ] || as_root="sudo"
    install=(apt-get install -y -qq --no-install-recommends "${packages[@]}")
    # Lists of packages may be missing or old.
    $as_root "${install[@]}" >/dev/null 2>&1 \
        || { $as_root apt-get update -qq && $as_root "${install[@]}" >/dev/null; } \
        || { echo "tests/run.sh: cannot install ${packages[*]}" >&2; exit 1; }
fi

cargo fmt --check
cargo clippy --all-targets -- -D warnings
RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --quiet
# Most tests wait, for deadlines or for a browser: twice as many at once as cores need half the time.
export RUST_TEST_THREADS="${RUST_TEST_THREADS:-4}"
exec cargo test
