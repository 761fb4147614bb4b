# SPDX-License-Identifier: Apache-2.0
"""core and tlog, linked with the pure part of base, need nothing from outside but mem*, assert, the compiler's guards
and its 128-bit arithmetic.

The objects are compiled here, without sanitizers, since those bring symbols of their own.
"""

import os
import re
import subprocess
import sys
import tempfile

import tap

ALLOWED = re.compile(r"^(mem(cpy|move|set|cmp|chr)|__mem(cpy|move|set)_chk|__assert_fail|__stack_chk_fail"
                     r"|_GLOBAL_OFFSET_TABLE_|__(u?div|u?mod|udivmod|divmod|mul)ti[34])$")
# At -O1 compilers say what they cannot see to be set; the plain build's optimisation is another, and script/planted's is this one.
FLAGS = ["-std=gnu17", "-O1", "-Wall", "-Werror=maybe-uninitialized", "-g0", "-fPIC", "-D_GNU_SOURCE", '-DBUSBAR_VERSION="0"', "-fstack-protector-strong",
         "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=3"]


def sources(src):
    """The files of the closure; which files of base are pure is said in src/meson.build."""
    text = (src / "meson.build").read_text()
    pure = re.search(r"static_library\('base_pure',(.*?)include_directories", text, re.S).group(1)
    files = [src / name for name in re.findall(r"'([^']+\.c)'", pure)]
    return sorted(files + list((src / "core").glob("*.c")) + list((src / "tlog").glob("*.c")))


def symbols(nm_flag, objects):
    """Pairs (symbol, object) that `nm` lists."""
    for obj in objects:
        for line in subprocess.run(["nm", nm_flag, obj], check=True, capture_output=True, text=True).stdout.splitlines():
            yield line.split()[-1], os.path.basename(obj)


def check(root):
    src = root / "src"
    with tempfile.TemporaryDirectory() as folder:
        objects = []
        for number, source in enumerate(sources(src)):
            obj = f"{folder}/{number}-{source.parent.name}-{source.stem}.o"
            built = subprocess.run([os.environ.get("CC", "cc"), *FLAGS, f"-I{src}", "-c", source, "-o", obj],
                                   capture_output=True, text=True, check=False)
            if built.returncode != 0:
                return [f"{source.relative_to(root)} does not compile"] + built.stderr.splitlines()[:5]
            objects.append(obj)
        defined = {name for name, _ in symbols("--defined-only", objects)}
        return [f"{where} needs {name}" for name, where in symbols("-u", objects)
                if name not in defined and not ALLOWED.match(name)]


if __name__ == "__main__":
    sys.exit(tap.report([("core and tlog are pure", check(tap.root()))]))
