# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the distribution's own packages lack, unpacked into .deps/ from a newer Debian suite.
#
# apt does the downloading with all its own checks (the index is signed, the packages' hashes are in the index),
# but on a private state below .deps/: the system's package lists and its installed packages stay as they are, no
# root is needed, and `rm -rf .deps` removes it all. The mirror is the one that this machine's apt already uses.
#
# Three groups, each a list of root packages and a rule for which of their dependencies come along:
#   llhttp, yyjson  libraries that busbar is linked with. They must live with this system's libc, so nothing but
#                   packages built from the same source comes along; a program linked with them is tried.
#   engine          llama.cpp's programs, with every library they need down to their own libc and its loader.
#
# deps.lock says which package files are expected, a line each: name version suite architecture sha256. .deps/
# .state/GROUP holds the lock's lines as they were when GROUP was unpacked, so a changed lock unpacks it again.

: "${root:?}" "${deps:?}" "${me:?}" # from common.sh

groups=(llhttp yyjson engine)
lock=$root/deps.lock
recipe=1 # changes when the same packages would be unpacked differently

group_roots() {
    case $1 in
    llhttp) echo libllhttp-dev ;;
    yyjson) echo libyyjson-dev ;;
    engine) echo llama.cpp-tools llama.cpp-tools-extra libggml0-backend-rpc ;;
    esac
}
group_version_min() {
    case $1 in
    llhttp) echo 9 ;;
    yyjson) echo 0.10 ;;
    engine) echo 1:0.7 ;;
    esac
}
group_made() {
    case $1 in
    llhttp) echo "$deps/prefix/lib/pkgconfig/libllhttp.pc" ;;
    yyjson) echo "$deps/prefix/lib/pkgconfig/yyjson.pc" ;;
    engine) echo "$deps/llama/bin/llama-server" ;;
    esac
}

arch() { dpkg --print-architecture; }
lock_lines() { # GROUP: this architecture's lines; a group starts at its `# GROUP` line
    [ ! -f "$lock" ] || awk -v group="$1" -v arch="$(arch)" \
        '/^# / { in_group = $2 == group && NF == 2; next } in_group && $4 == arch' "$lock"
}
group_state() { echo "recipe $recipe"; lock_lines "$1"; }

# True if GROUP is in place: unpacked here as the lock says, or installed as the distribution's own packages.
group_ready() {
    local state=$deps/.state/$1
    if [ -f "$state" ]; then
        [ "$(cat "$state")" = "$(group_state "$1")" ] && [ -e "$(group_made "$1")" ]
    else
        group_in_system "$1"
    fi
}
group_in_system() {
    case $1 in
    llhttp) library_in_system libllhttp "$1" ;;
    yyjson) library_in_system yyjson "$1" ;;
    engine) engine_in_system ;;
    esac
}
library_in_system() { # PKG-CONFIG-NAME GROUP
    env -u PKG_CONFIG_PATH pkg-config --atleast-version="$(group_version_min "$2")" "$1" 2>/dev/null
}
engine_in_system() {
    if is_debian; then packages_in_system engine && [ -x "$(group_made engine)" ]; else have llama-server; fi
}
packages_in_system() {
    local package version
    for package in $(group_roots "$1"); do
        # shellcheck disable=SC2016
        version=$(dpkg-query -W -f '${db:Status-Status} ${Version}' "$package" 2>/dev/null) || return 1
        [ "${version% *}" = installed ] || return 1
        dpkg --compare-versions "${version#* }" ge "$(group_version_min "$1")" || return 1
    done
}
group_forget() { # what was unpacked for GROUP must not be found before the distribution's own
    rm -f "$deps/.state/$1"{,.installed} "$(group_made "$1")"
}
group_in_distribution() {
    local package version
    for package in $(group_roots "$1"); do
        version=$(apt-cache policy "$package" | awk '/Candidate:/ && $2 != "(none)" { print $2 }')
        [ -n "$version" ] && dpkg --compare-versions "$version" ge "$(group_version_min "$1")" || return 1
    done
}

# --- apt on a private state -------------------------------------------------------------------------------------

system_is() { # FIELD of os-release
    # shellcheck disable=SC1091
    (. /etc/os-release && echo "${!1:-}")
}
is_debian() { [ "$(system_is ID)" = debian ]; }
suites_newer() { # the Debian suites after this system's, oldest first: the less new, the nearer to this libc
    local suite own found=
    own=$(system_is VERSION_CODENAME)
    for suite in bookworm trixie forky sid; do
        [ -z "$found" ] || echo "$suite"
        [ "$suite" != "$own" ] || found=1
    done
    [ -n "$found" ] || printf '%s\n' trixie forky sid
}
debian_mirror() {
    if [ -n "${BUSBAR_DEBIAN_MIRROR:-}" ]; then
        echo "$BUSBAR_DEBIAN_MIRROR"
    elif is_debian; then
        # shellcheck disable=SC2016
        apt-get indextargets --format '$(SITE) $(RELEASE)' 'Identifier: Packages' |
            awk -v own="$(system_is VERSION_CODENAME)" \
                '!site && ($2 == own || $2 ~ /^(oldstable|stable|testing|unstable)$/) { site = $1 } END { print site }'
    fi
}
debian_keyring() {
    local file
    for file in /usr/share/keyrings/debian-archive-keyring.{pgp,gpg}; do
        [ ! -f "$file" ] || { echo "$file"; return; }
    done
}

# suite_open SUITE: makes apt_private work on SUITE.
# An index past its date, on a mirror that lags behind, could hide a security fix, so apt refuses it. It is signed
# all the same: it may serve for packages whose very bytes deps.lock records, and group_check sees to that.
suite_open() {
    local mirror keyring
    apt_dir=$deps/.apt/$1
    [ ! -f "$apt_dir/open" ] || return 0
    mirror=$(debian_mirror)
    keyring=$(debian_keyring)
    [ -n "$mirror" ] || die "apt's sources name no Debian mirror. Either install libllhttp >= 9 with yyjson >= 0.10" \
        "(found by pkg-config) and llama-server, or set BUSBAR_DEBIAN_MIRROR to the address of a Debian mirror"
    [ -n "$keyring" ] || die "Debian's keys are missing: install the package debian-archive-keyring"
    mkdir -p "$apt_dir"/{state/lists/partial,cache/archives/partial,parts,files}
    : >"$apt_dir/status"
    echo "deb [arch=$(arch) signed-by=$keyring] $mirror $1 main" >"$apt_dir/list"
    cat >"$apt_dir/conf" <<C
Dir::State "$apt_dir/state";
Dir::State::status "$apt_dir/status";
Dir::Cache "$apt_dir/cache";
Dir::Cache::pkgcache "pkgcache.bin";
Dir::Etc::sourcelist "$apt_dir/list";
Dir::Etc::sourceparts "$apt_dir/parts";
Dir::Etc::preferences "$apt_dir/none";
Dir::Etc::preferencesparts "$apt_dir/parts";
APT::Architectures { "$(arch)"; };
APT::Default-Release "";
APT::Sandbox::User ""; // its user may not write here
Acquire::Languages "none";
Acquire::Retries "3";
C
    if ! apt_private update; then
        echo 'Acquire::Check-Valid-Until "false";' >>"$apt_dir/conf"
        apt_private update || die "no signed index of Debian $1 from $mirror"
        touch "$apt_dir/expired"
    fi
    touch "$apt_dir/open"
}
apt_private() { apt-get -c "$apt_dir/conf" -qq "$@"; }

# closure RULE ROOT...: "name version sha256" of the roots and of the dependencies that RULE lets come along.
# `same` follows a dependency on exactly the version of the package itself: built from one source. `libs` follows
# libraries; what else a package asks for (its questions, its downloader) is for an installed system.
closure() {
    local rule=$1
    shift
    apt-cache -c "$apt_dir/conf" dumpavail | grep -E '^(Package|Version|Section|SHA256|Pre-Depends|Depends): ' |
        awk -v rule="$rule" -v roots="$*" '
        { value = substr($0, length($1) + 2) }
        $1 == "Package:" { name = $2 } # opens a record
        $1 == "Version:" { version[name] = $2 }
        $1 == "Section:" { section[name] = $2 }
        $1 == "SHA256:" { hash[name] = $2 }
        $1 ~ /Depends:/ { depends[name] = depends[name] ", " value }
        function visit(name) { if (!(name in seen)) { seen[name] = 1; queue[++last] = name } }
        END {
            n = split(roots, root, " ")
            for (i = 1; i <= n; i++) {
                if (!(root[i] in version)) exit 1
                visit(root[i])
            }
            for (next_ = 1; next_ <= last; next_++) {
                name = queue[next_]
                print name, version[name], hash[name]
                n = split(depends[name], part, /, */)
                for (i = 1; i <= n; i++) {
                    dependency = part[i]
                    sub(/[ :|].*/, "", dependency)
                    if (!(dependency in version)) continue
                    if (rule == "same" ? index(part[i], "(= " version[name] ")") : section[dependency] ~ /(^|\/)libs$/)
                        visit(dependency)
                }
            }
        }'
}

# --- fetching a group -------------------------------------------------------------------------------------------

# group_find GROUP: sets suite and list ("name version sha256" lines) to the first suite that has GROUP.
group_find() {
    local suites rule=libs first
    [ "$1" = engine ] || rule=same
    suites=$(suites_newer | xargs)
    [ -n "${update_lock:-}" ] || suites="$(lock_lines "$1" | awk 'NR == 1 { print $3 }') $suites"
    for suite in $suites; do
        suite_open "$suite"
        # shellcheck disable=SC2046
        list=$(closure "$rule" $(group_roots "$1")) || continue
        first=$(awk 'NR == 1 { print $2 }' <<<"$list")
        dpkg --compare-versions "$first" ge "$(group_version_min "$1")" && return 0
    done
    die "none of Debian's suites ($suites) has $(group_roots "$1") at version $(group_version_min "$1") for $(arch)"
}

# group_check GROUP: compares what the suite has with the lock. The same version with other bytes is refused. A
# later version is what a moving suite brings sooner or later: it is signed, so it is taken, but not in silence.
group_check() {
    local locked name version hash other moved=
    locked=$(lock_lines "$1")
    if [ -z "$locked" ]; then
        [ ! -f "$apt_dir/expired" ] || die "the mirror's index of Debian $suite is past its date"
        [ -n "${update_lock:-}" ] || warn "deps.lock records no $1 for $(arch); the newest signed one is taken"
        return
    fi
    while read -r name version hash; do
        other=$(awk -v name="$name" '$1 == name { print $2, $5 }' <<<"$locked")
        other=${other:-(not in the lock) }
        [ "$other" != "$version $hash" ] || continue
        [ "${other% *}" != "$version" ] || die "$name $version is not the file that deps.lock records (sha256 $hash)"
        moved+="  $name ${other% *} -> $version"$'\n'
    done <<<"$list"
    [ -n "$moved" ] || return 0
    moved=${moved%$'\n'}
    [ ! -f "$apt_dir/expired" ] ||
        die "the mirror's index of Debian $suite is past its date, and not what deps.lock records:"$'\n'"$moved"
    [ -n "${update_lock:-}" ] ||
        warn "Debian $suite has moved on since deps.lock was written; its newer signed packages are taken:"$'\n'"$moved"
}

group_download() {
    local names name version hash file
    rm -rf "$apt_dir/files"
    mkdir "$apt_dir/files"
    names=$(awk '{ print $1 "=" $2 }' <<<"$list")
    # shellcheck disable=SC2086
    (cd "$apt_dir/files" && apt_private download $names)
    while read -r name version hash; do
        for file in "$apt_dir/files/${name}"_*.deb; do
            echo "$hash  $file" | sha256sum --check --quiet || die "$name: the downloaded file is not the signed one"
        done
    done <<<"$list"
}

# unpack FOLDER TAR-OPTION...: every downloaded package into FOLDER.
unpack() {
    local file dir=$1
    shift
    mkdir -p "$dir"
    for file in "$apt_dir"/files/*.deb; do
        dpkg-deb --fsys-tarfile "$file" | tar -x --no-same-owner -C "$dir" --wildcards "$@"
    done
}

# A library goes to .deps/prefix. Its .pc file finds the prefix from where it lies, so the checkout may be moved.
# Where there is an archive to link with, the shared library is left out: one file less to carry beside busbar.
library_place() {
    local from=$1 lib pc
    lib=$(dirname "$(find "$from/usr/lib" -name pkgconfig -type d)")
    mkdir -p "$deps"/prefix/{include,lib/pkgconfig,share/doc}
    if compgen -G "$lib/*.a" >/dev/null; then rm -f "$lib"/*.so*; fi
    for pc in "$lib"/pkgconfig/*.pc; do
        # shellcheck disable=SC2016
        sed -i -e 's|^prefix=.*|prefix=${pcfiledir}/../..|' -e 's|^exec_prefix=.*|exec_prefix=${prefix}|' \
            -e 's|^libdir=.*|libdir=${prefix}/lib|' -e 's|^includedir=.*|includedir=${prefix}/include|' "$pc"
        # shellcheck disable=SC2016
        if compgen -G "$lib/*.so*" >/dev/null; then sed -i 's|^Libs: |&-Wl,-rpath,${libdir} |' "$pc"; fi
    done
    cp -R "$from"/usr/include/. "$deps/prefix/include/"
    find "$lib" -maxdepth 1 -name 'lib*' -exec cp -P {} "$deps/prefix/lib/" \;
    cp "$lib"/pkgconfig/*.pc "$deps/prefix/lib/pkgconfig/"
    cp -R "$from"/usr/share/doc/. "$deps/prefix/share/doc/"
}

# A library of a newer suite may want a newer libc than this system's; a program that uses it tells.
library_try() {
    local name=$1 code=$2 dir
    dir=$(mktemp -d)
    printf '%s\n' "$code" >"$dir/try.c"
    # shellcheck disable=SC2046
    (
        use_deps
        cc -o "$dir/try" "$dir/try.c" $(pkg-config --cflags --libs "$name") && "$dir/try"
    ) || die "$name from Debian $suite does not work with this system's libc"
    rm -rf "$dir"
}

place_llhttp() {
    library_place "$1"
    library_try libllhttp '#include <llhttp.h>
        int main(void) {
            llhttp_settings_t settings; llhttp_t parser;
            llhttp_settings_init(&settings); llhttp_init(&parser, HTTP_BOTH, &settings);
            return llhttp_execute(&parser, "GET / HTTP/1.1\r\n\r\n", 18) != HPE_OK;
        }'
}
place_yyjson() {
    library_place "$1"
    library_try yyjson '#include <yyjson.h>
        int main(void) {
            yyjson_doc *doc = yyjson_read("[1]", 3, 0); int bad = !doc;
            yyjson_doc_free(doc); return bad;
        }'
}

# The engine: programs in libexec/, everything they load in lib/, and in bin/ one wrapper a program that starts it
# through its own loader, so that the system's older libc is never asked. ggml looks for its backends beside the
# running executable, which is then the loader: hence the backends lie in lib/ too.
place_engine() {
    local from=$1 new=$deps/.new/llama lib tool
    lib=$(dirname "$(find "$from/usr/lib" -name 'libllama.so.0')")
    mkdir -p "$new"/{bin,lib,libexec,share/doc}
    find "$lib" -maxdepth 1 -name '*.so*' -exec mv {} "$new/lib/" \;
    mv "$lib"/ggml/backends*/*.so "$new/lib/"
    [ ! -d "$lib/llama" ] || mv "$lib/llama" "$new/lib/"
    for tool in "$from"/usr/bin/llama* "$from"/usr/libexec/*/llama/bin/*; do
        case ${tool##*/} in
        llama-* | ggml-rpc-server) ;;
        *) continue ;; # the packages carry ggml's own tests too
        esac
        if [ ! -f "$tool" ] || [ -L "$tool" ]; then continue; fi
        mv "$tool" "$new/libexec/"
        engine_wrapper >"$new/bin/${tool##*/}"
        chmod +x "$new/bin/${tool##*/}"
    done
    cp -R "$from"/usr/share/doc/. "$new/share/doc/"
    "$new/bin/llama-server" --version || die "llama-server from Debian $suite does not start"
    [ -x "$new/bin/ggml-rpc-server" ] || die "the packages of Debian $suite hold no ggml-rpc-server"
    rm -rf "$deps/llama"
    mv "$new" "$deps/llama"
}
engine_wrapper() {
    cat <<'W'
#!/bin/sh
# Starts the program of this name with the libraries and the loader that came with it.
me=$0
if [ -L "$me" ]; then me=$(readlink -f "$me"); fi
case $me in */*) dir=${me%/*}/.. ;; *) dir=.. ;; esac
for loader in "$dir"/lib/ld-linux*.so.* "$dir"/lib/ld64.so.*; do [ ! -f "$loader" ] || break; done
GGML_NO_BACKTRACE=1 # ggml would start a debugger when it aborts
export GGML_NO_BACKTRACE
exec "$loader" --inhibit-cache --library-path "$dir/lib:$dir/lib/llama" --argv0 "${me##*/}" \
    "$dir/libexec/${me##*/}" "$@"
W
}
# Where the distribution has the engine, the wrappers only say where: one of the programs is on nobody's PATH.
engine_from_system() {
    local tool path
    mkdir -p "$deps/llama/bin"
    for tool in llama-server ggml-rpc-server; do
        path=$(dpkg -L llama.cpp-tools llama.cpp-tools-extra | grep "/$tool\$" | head -n 1)
        [ -n "$path" ] || die "the distribution's packages hold no $tool"
        printf '#!/bin/sh\nGGML_NO_BACKTRACE=1 exec %s "$@"\n' "$path" >"$deps/llama/bin/$tool"
        chmod +x "$deps/llama/bin/$tool"
    done
}

group_fetch() {
    local group=$1 suite list new=$deps/.new
    group_find "$group"
    group_check "$group"
    group_download
    rm -rf "$new" "$deps/.state/$group"
    # A licence goes wherever its library goes, the rest of the documentation does not.
    unpack "$new/$group" --exclude='./etc/*' --exclude='./var/*' --exclude='*/gconv/*' \
        --exclude='./usr/share/[!d]*' --exclude='./usr/share/doc/*/[!c]*' --exclude='*/changelog*'
    "place_$group" "$new/$group"
    rm -rf "$new"
    mkdir -p "$deps/.state"
    awk -v suite="$suite" -v arch="$(arch)" '{ print $1, $2, suite, arch, $3 }' <<<"$list" \
        >"$deps/.state/$group.installed"
}

# --- the lock ---------------------------------------------------------------------------------------------------

# Writes deps.lock anew: what was unpacked replaces this architecture's lines of its group, all other lines stay.
lock_write() {
    local group
    {
        echo '# Packages that script/setup unpacks into .deps/ where the distribution has none, or too old a one.'
        echo '# name version suite architecture sha256; written by script/setup --update-lock.'
        for group in "${groups[@]}"; do
            echo "# $group"
            {
                [ ! -f "$lock" ] || awk -v group="$group" -v arch="$(arch)" \
                    -v keep="$([ -f "$deps/.state/$group.installed" ] || echo 1)" \
                    '/^# / { in_group = $2 == group && NF == 2; next } in_group && (keep || $4 != arch)' "$lock"
                [ ! -f "$deps/.state/$group.installed" ] || cat "$deps/.state/$group.installed"
            } | LC_ALL=C sort
        done
    } >"$lock.new"
    mv "$lock.new" "$lock"
}
installed_write() {
    local group
    for group in "${groups[@]}"; do
        [ ! -f "$deps/.state/$group.installed" ] || sed "s/^/$group /" "$deps/.state/$group.installed"
    done >"$deps/installed"
}

# groups_fetch GROUP...: fetches them, and writes the lock if there is none or a new one was asked for.
groups_fetch() {
    local group
    rm -rf "$deps/.apt" # of a run that was cut off: its lists are old
    [ -f "$lock" ] || update_lock=1
    for group in "$@"; do
        step "unpack $group into .deps" -- group_fetch "$group"
        [ -z "${update_lock:-}" ] || lock_write
        group_state "$group" >"$deps/.state/$group"
        installed_write
    done
    rm -rf "$deps/.apt"
}
