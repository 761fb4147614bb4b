# SPDX-License-Identifier: Apache-2.0
"""TAP for the checks of this folder: each takes the root of a tree, so that planted bugs can be shown to fail."""

import pathlib
import sys


def root():
    """The tree to check: the first argument, or the checkout that this file is in."""
    return pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2]).resolve()


def report(points):
    """Prints TAP for (name, list of complaints) pairs and returns the exit status."""
    points = list(points)
    print(f"1..{len(points)}")
    for number, (name, complaints) in enumerate(points, 1):
        print(f"{'not ok' if complaints else 'ok'} {number} - {name}")
        for line in complaints:
            print(f"# {line}")
    return 1 if any(complaints for _, complaints in points) else 0
