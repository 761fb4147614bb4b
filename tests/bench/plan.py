#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The cluster planner: how long it takes (cluster_plan.c), and its predictions beside published figures (busbar predictions).

64 chips and 126 layers, the most of any model in the catalogue: a pipeline within 200 us, with groups and with replicas
within 10 ms, in the median, also where experts may be spread; 512 chips of 6 kinds within a second. Exit status 1 if not. How far predictions are off is told, not judged: the table says why.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys

AIMS_US = {'pipeline': 200, 'groups': 10000, 'replicas': 10000, 'experts': 10000, 'many': 1000000}


def main():
    parser = argparse.ArgumentParser(prog='script/bench plan')
    parser.add_argument('--quick', action='store_true')
    parser.add_argument('--json')
    args = parser.parse_args()
    busbar = os.environ['BUSBAR_BIN']
    program = pathlib.Path(busbar).parent / 'tests' / 'bench' / 'cluster_plan'
    done = subprocess.run([str(program), '5' if args.quick else '50'], capture_output=True, text=True, check=True)
    times = [json.loads(line) for line in done.stdout.splitlines()]
    missed = 0
    for part in times:
        aim = AIMS_US[part['part']]
        met = part['us_median'] <= aim
        missed += not met
        print(f'{part["part"]:9} {part["us_median"]:9.1f} us of CPU (median of {part["rounds"]}; {part["us_min"]:.1f} to '
              f'{part["us_max"]:.1f}), aim {aim} us: {"met" if met else "MISSED"}')
    print(subprocess.run([busbar, 'predictions'], capture_output=True, text=True, check=True).stdout, end='')
    if args.json:
        checked = subprocess.run([busbar, 'predictions', '--json'], capture_output=True, text=True, check=True)
        pathlib.Path(args.json).write_text(json.dumps({'times': times, **json.loads(checked.stdout)}, indent=2) + '\n',
                                           encoding='utf-8')
    return 1 if missed else 0


if __name__ == '__main__':
    sys.exit(main())
