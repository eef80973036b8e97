#!/usr/bin/env bash
# All checks and all tests, in the order in which they fail fastest. Installs what the tests need
# beyond a Rust toolchain from Debian's packages, if it is missing and this may.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=()
/usr/bin/python3 -c 'import websockets, jwt, cryptography' 2>/dev/null \
    || packages+=(python3 python3-websockets python3-jwt python3-cryptography)
command -v chromium chromium-browser google-chrome google-chrome-stable >/dev/null \
    || packages+=(chromium)
command -v promtool >/dev/null || packages+=(prometheus)
if [ ${#packages[@]} -gt 0 ] && command -v apt-get >/dev/null; then
    as_root=""
    [ "$(id -u)" = 0 ] || as_root="sudo"
    $as_root apt-get update -qq || true
    $as_root apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null || true
fi

cargo fmt --check
cargo clippy --all-targets -- -D warnings
RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --quiet
# Most tests wait, for deadlines or for a browser: twice as many at once as cores need half the time.
export RUST_TEST_THREADS="${RUST_TEST_THREADS:-4}"
exec cargo test
