# How the scripts here say what holds, and how they wait until it does.

says() { echo "ok: $*"; }

within_10_s() {
    for _ in $(seq 50); do
        "$@" && return
        sleep 0.2
    done
    return 1
}
