# SPDX-License-Identifier: Apache-2.0
"""The tree configures without its tests, as script/up does it in a new folder: no file may need what only tests define."""

import subprocess
import sys
import tempfile

import tap


def complaints(root):
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(["meson", "setup", folder, str(root), "-Dtests=false"], capture_output=True, text=True)
    return done.stdout.splitlines()[-3:] if done.returncode else []


if __name__ == "__main__":
    sys.exit(tap.report([("without tests", complaints(tap.root()))]))
