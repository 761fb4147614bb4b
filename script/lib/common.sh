# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Shared by the scripts: where the checkout is, how progress is told, how a build folder is made.
#
# Progress goes to stderr, one line a step, so that stdout stays what the user asked for. What a step prints is
# kept from the screen and shown only if the step fails.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
deps=$root/.deps
me=script/$(basename "$0")

say() { printf '%s\n' "$*" >&2; }
warn() { printf '%s: warning: %s\n' "$me" "$*" >&2; }
die() {
    printf '%s: %s\n' "$me" "$*" >&2
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

now_ms() { local t=${EPOCHREALTIME/[.,]/}; echo $((t / 1000)); }
seconds_since() { local d=$(($(now_ms) - $1)); printf '%d.%d' $((d / 1000)) $((d % 1000 / 100)); }

# step WORDS -- COMMAND...: runs COMMAND silently; says WORDS and the seconds that took, or shows all it printed.
# Call it as a plain command, never in a condition: there the shell would ignore `set -e` inside COMMAND.
step() {
    local words=$1 log start status=0
    shift 2
    log=$(mktemp)
    start=$(now_ms)
    set +e
    (set -e && "$@") >"$log" 2>&1
    status=$?
    set -e
    if [ $status != 0 ]; then
        cat "$log" >&2
        rm -f "$log"
        die "$words: failed after $(seconds_since "$start") s (what it printed is above)"
    fi
    # A warning is no failure, but the user must see it, with the indented lines that follow it.
    awk -v start="$me: warning:" 'index($0, start) == 1 { on = 1; print; next } !/^  / { on = 0 } on' "$log" >&2
    rm -f "$log"
    say "$me: $words: $(seconds_since "$start") s"
}

# What .deps holds is found first: there is something in it only where the distribution's own is missing or too old.
use_deps() {
    export PKG_CONFIG_PATH=$deps/prefix/lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
    export PATH=$deps/llama/bin:$PATH
}

# build       what script/up starts; script/test adds the tests to it
# build-asan  with sanitizers, by clang: libFuzzer comes with it only, and it is a second compiler's opinion.
#             b_lundef: its sanitizer runtime is in the program alone, so a library's references to it stay open.
#             A report needs lines and no variables; a hundred programs are linked, and lld takes a third of the time.
# Asserts stay on in both: a broken invariant must stop the process in use too.
meson_setup() { # FOLDER MESON-OPTION...
    local dir=$1
    shift
    case $dir in
    build) meson setup "$root/$dir" "$root" --buildtype=debugoptimized -Db_lto=true -Db_ndebug=false "$@" ;;
    build-asan)
        CC=clang CC_LD=$(have ld.lld && echo lld) meson setup "$root/$dir" "$root" -Doptimization=1 -Ddebug=true \
            -Dc_args=-gline-tables-only -Db_ndebug=false \
            '-Db_sanitize=address,undefined' -Db_lundef=false -Dfuzzing=true "$@"
        ;;
    esac
}

# configure_in FOLDER [NAME=VALUE]...: makes FOLDER unless it is there; in any case with these project options.
configure_in() {
    local dir=$1 option differ=()
    shift
    # Meson writes build.dat last: without it, an earlier configuration failed or was cut off.
    if [ ! -f "$root/$dir/meson-private/build.dat" ]; then
        rm -rf "${root:?}/$dir"
        step "configure $dir" -- meson_setup "$dir" "${@/#/-D}"
        return
    fi
    for option; do
        grep -qx "${option%%=*} = ${option#*=}" "$root/$dir/meson-private/cmd_line.txt" || differ+=("-D$option")
    done
    [ ${#differ[@]} = 0 ] || step "configure $dir anew" -- meson configure "$root/$dir" "${differ[@]}"
}
compile_in() { step "compile $1" -- ninja -C "$root/$1"; } # FOLDER
