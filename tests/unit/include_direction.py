# SPDX-License-Identifier: Apache-2.0
"""Arrows only downwards: a folder of src/ includes itself and the folders below it (docs: the floors of src/)."""

import re
import sys

import tap

# From the top to the bottom; "" is src/main.c.
FLOORS = ["", "cli", "hub", "gateway", "site", "sim", "accept", "network", "runtime", "ref", "engine", "probe", "store", "net",
          "tlog", "core",
          "base"]
PURE = {"base/arena.h", "base/base64.h", "base/checked.h", "base/err.h", "base/errors.def", "base/heap.h", "base/le.h", "base/list.h",
        "base/map.h", "base/rng.h", "base/str.h"}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)
# Nothing but these of the standard library in the pure folders: types, limits, assert, mem*.
PURE_SYSTEM = {"assert.h", "limits.h", "stdalign.h", "stdbool.h", "stddef.h", "stdint.h", "string.h"}
SYSTEM = re.compile(r"^\s*#\s*include\s+<([^>]+)>", re.M)


def allowed(folder, header, target):
    if target == folder:
        return True
    if folder in ("core", "tlog"):
        return header in PURE
    if folder == "network":
        return target in ("core", "base")  # files become events; nothing runs here
    if folder == "runtime" and target == "net":
        return False  # deliveries go through mailboxes; no protocol here
    return FLOORS.index(target) > FLOORS.index(folder)


def arrows(src):
    for path in sorted(src.rglob("*.[ch]")):
        relative = path.relative_to(src)
        folder = relative.parts[0] if len(relative.parts) > 1 else ""
        if folder not in FLOORS:
            yield f"src/{relative}: the folder is on no floor"
            continue
        for header in INCLUDE.findall(path.read_text()):
            target = header.split("/")[0] if "/" in header else folder
            if not (src / header).exists() and not (path.parent / header).exists():
                continue  # generated, or not ours
            if target not in FLOORS or not allowed(folder, header, target):
                yield f"src/{relative} includes {header}"


def outside(src):
    pure_base = {src / name.replace(".h", ".c") for name in PURE} | {src / name for name in PURE}
    pure_base |= {src / "base/err_table.c"}
    pure_base -= {src / "base/err.c"}
    for folder in ("core", "tlog", "base"):
        for path in sorted((src / folder).glob("*.[ch]")):
            if folder == "base" and path not in pure_base:
                continue
            for header in SYSTEM.findall(path.read_text()):
                if header not in PURE_SYSTEM:
                    yield f"{path.relative_to(src.parent)} includes <{header}>"


if __name__ == "__main__":
    tree = tap.root() / "src"
    sys.exit(tap.report([("includes point downwards", list(arrows(tree))),
                         ("pure folders include no system headers but plain ones", list(outside(tree)))]))
