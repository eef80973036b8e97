#!/bin/sh
# Makes the Debian package: builds the program, has it print what it alone knows of itself, and has
# cargo-deb pack it all. Arguments go to cargo-deb, such as --output.
set -eu
cd "$(dirname "$0")/../.."
command -v cargo-deb >/dev/null || {
    echo "src/package/build.sh: cargo-deb is missing; try: cargo install --locked cargo-deb" >&2
    exit 1
}
command -v dpkg-shlibdeps >/dev/null || {
    echo "src/package/build.sh: dpkg-shlibdeps is missing; try: apt-get install dpkg-dev" >&2
    exit 1
}
cargo build --release --locked
target=$(cargo metadata --format-version 1 --no-deps --locked | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
made="$target/release/made-by-src-package-build.sh"
mkdir -p "$made"
"$target/release/spectate" man | gzip -9n > "$made/spectate.1.gz"
for shell in bash zsh fish; do
    "$target/release/spectate" completions "$shell" > "$made/completions.$shell"
done
cargo tree --locked --edges normal --prefix none --no-dedupe --format '{p} {l}' \
    | grep -v '^spectate ' | LC_ALL=C sort -u > "$made/crates"
exec cargo deb --no-build --locked "$@"
