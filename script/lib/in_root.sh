#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# in_root.sh ROOT CHECKOUT DEPS COMMAND...: runs COMMAND in ROOT, with this machine's /tmp, /proc, /dev and /sys there, and the
# checkout and its .deps where they are here. The mounts are in a namespace of its own and go with it.
set -eu
if [ "${BUSBAR_IN_ROOT:-}" != "$1" ]; then
    BUSBAR_IN_ROOT=$1 exec unshare --mount --propagation private "$0" "$@"
fi
root=$1 checkout=$2 deps=$3
shift 3
for dir in /tmp /proc /dev /sys "$checkout" "$deps"; do
    [ ! -d "$dir" ] || { mkdir -p "$root$dir" && mount --rbind "$dir" "$root$dir"; }
done
for file in /etc/hosts /etc/resolv.conf; do
    [ ! -e "$file" ] || cp "$file" "$root$file" 2>/dev/null || true
done
unset BUSBAR_IN_ROOT
exec chroot "$root" "$@"
