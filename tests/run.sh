#!/usr/bin/env bash
# All checks and all tests, in the order in which they fail fastest. Installs what the tests need
# beyond a Rust toolchain from Debian's packages, if it is missing and this may.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! { /usr/bin/python3 -c 'import websockets, jwt, cryptography' && command -v promtool; } >/dev/null 2>&1 &&
    command -v apt-get >/dev/null; then
    as_root=""
    [ "$(id -u)" = 0 ] || as_root="sudo"
    $as_root apt-get update -qq || true
    $as_root apt-get install -y -qq python3 python3-websockets python3-jwt python3-cryptography prometheus >/dev/null || true
fi

cargo fmt --check
cargo clippy --all-targets -- -D warnings
RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --quiet
exec cargo test
