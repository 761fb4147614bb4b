#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The form of sources and scripts, as TAP: one test a tool, which lists every file that it would change.
set -eu
cd "$(dirname "$0")/../.."

number=0
point() { # NAME STATUS OUTPUT
    number=$((number + 1))
    if [ "$2" = 0 ]; then echo "ok $number - $1"; else echo "not ok $number - $1"; fi
    [ "$2" = 0 ] || printf '%s\n' "$3" | sed 's/^/# /'
}
skipped() { # NAME REASON
    number=$((number + 1))
    echo "ok $number - $1 # SKIP $2"
}
files() { # PATTERN...: git pathspecs; what git tracks or would track, if it still exists
    git ls-files --cached --others --exclude-standard -- "$@" | sort -u | while read -r file; do
        [ ! -f "$file" ] || printf '%s\n' "$file"
    done
}

check_format() {
    local tool=clang-format output status=0
    if command -v clang-format-14 >/dev/null; then tool=clang-format-14; fi
    if [ ! -f .clang-format ]; then
        skipped clang-format 'there is no .clang-format'
    elif ! $tool --version 2>/dev/null | grep -q 'version 14\.'; then
        skipped clang-format 'versions of clang-format differ in what they print, and this is not 14'
    else
        output=$(files '*.c' '*.h' | xargs -r -n 40 -P "$(nproc)" $tool --dry-run -Werror 2>&1) || status=$?
        point clang-format $status "$(sed -n 's/^\([^:]*:[0-9]*\):.* error: .*/\1/p' <<<"$output" | sort -u)"
    fi
}

check_shell() {
    local output status=0
    if ! command -v shellcheck >/dev/null; then
        skipped shellcheck 'shellcheck is not installed'
        return
    fi
    output=$(scripts | xargs -r -n 8 -P "$(nproc)" shellcheck --external-sources 2>&1) || status=$?
    point shellcheck $status "$output"
}
scripts() { # shell scripts by their first line, and what they source
    local file first
    files script .ci tests examples '*.sh' | grep -v '^tests/fuzz/corpus/' | while read -r file; do
        IFS= read -r first <"$file" || :
        case $first in
        '#!'*sh | '#!'*sh' '*) echo "$file" ;;
        *) case $file in *.sh) echo "$file" ;; esac ;;
        esac
    done
}

check_licence() {
    local output
    output=$(files '*.c' '*.h' '*.py' '*.sh' script .ci | while read -r file; do
        head -n 5 "$file" | grep -q 'SPDX-License-Identifier: ' || echo "$file"
    done)
    point 'each source names its licence' "$([ -z "$output" ]; echo $?)" "$output"
}

if ! git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
    echo '1..0 # SKIP git, which knows the files to look at, does not know this folder'
    exit
fi
echo 1..3
check_format
check_shell
check_licence
