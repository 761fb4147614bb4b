#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs each fuzz target for a bounded time, or with BUSBAR_FULL=1 for 2,000,000 executions. TAP.

A unit that breaks a target stays in BUSBAR_FUZZ_ARTIFACTS (default: the temporary directory) and is named in the output.
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

MAX_LEN = {'http_request': 4000, 'http_response': 4000, 'sse': 2048, 'json': 2048, 'event': 2300, 'rules': 2048, 'ref': 16384, 'probe': 1500}


def run(program, seeds, full, work):
    name = pathlib.Path(program).name.removeprefix('fuzz_')
    found = work / name
    found.mkdir()
    artifacts = os.environ.get('BUSBAR_FUZZ_ARTIFACTS', tempfile.gettempdir())
    bound = ['-runs=2000000'] if full else ['-max_total_time=' + os.environ.get('BUSBAR_FUZZ_SECONDS', '2')]
    args = [program, *bound, f"-seed={os.environ.get('BUSBAR_SEED', '1')}", f'-max_len={MAX_LEN.get(name, 4096)}',
            '-timeout=10', '-rss_limit_mb=2048', '-print_final_stats=1', f'-artifact_prefix={artifacts}/{name}-',
            str(found), str(seeds / name)]
    done = subprocess.run(args, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors='replace', timeout=3500)
    text = done.stdout + done.stderr
    stats = {k: int(v) for k, v in re.findall(r'stat::(\w+):\s+(\d+)', text)}
    cover = re.findall(r'cov: (\d+)', text)
    runs = stats.get('number_of_executed_units', 0)
    print(f"# {name}: {runs} executions, {stats.get('average_exec_per_sec', 0)}/s, "
          f"edges {cover[-1] if cover else '?'}, new units {stats.get('new_units_added', 0)}")
    if done.returncode != 0:
        for line in text.splitlines()[-40:]:
            print('#  ', line)
    return done.returncode == 0 and runs > 0, name


def main():
    seeds = pathlib.Path(sys.argv[1])
    programs = sys.argv[2:]
    full = os.environ.get('BUSBAR_FULL') == '1'
    print(f'1..{len(programs)}', flush=True)
    bad = 0
    with tempfile.TemporaryDirectory(prefix='bb-fuzz-') as tmp:
        for i, program in enumerate(programs, 1):
            ok, name = run(program, seeds, full, pathlib.Path(tmp))
            print(f"{'ok' if ok else 'not ok'} {i} - {name}", flush=True)
            bad += not ok
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
