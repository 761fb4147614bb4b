#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A million real entries in the transparency log: meter records through the hub's own writer, store and publisher (log_append.c).

What they cost to append beside the same events without the log in the same run, to publish and to verify. Then Debian's
golang-golang-x-mod-dev reads the log that is left: signature, full recompute, every tile, proofs of leaves. And one bit at a time
is another, which a check of the whole log has to find.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import harness

GOCODE = '/usr/share/gocode'  # of golang-golang-x-mod-dev
PEER = harness.ROOT / 'tests' / 'e2e' / 'log_peer' / 'main.go'


def program():
    """log_append, beside the busbar that is measured."""
    given = os.environ.get('BUSBAR_LOG_APPEND')
    return pathlib.Path(given) if given else pathlib.Path(os.environ['BUSBAR_BIN']).parent / 'tests' / 'bench' / 'log_append'


def run(leaves, flips, folder):
    """Its parts by name."""
    done = subprocess.run([str(program()), str(leaves), str(folder), str(flips)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise harness.Failed(done.stderr.strip() or f'log_append: exit status {done.returncode}')
    return {part['part']: part for part in map(json.loads, done.stdout.splitlines())}


def has_peer():
    return shutil.which('go') and os.path.isdir(GOCODE + '/src/golang.org/x/mod/sumdb')


def peer(folder):
    """What the other reader says, and how long it took."""
    binary = folder / 'log_peer'
    env = {**os.environ, 'GO111MODULE': 'off', 'GOPATH': GOCODE, 'GOCACHE': str(folder / 'go'), 'GOFLAGS': ''}
    subprocess.run(['go', 'build', '-o', str(binary), str(PEER)], env=env, check=True, capture_output=True)
    start = time.monotonic()
    done = subprocess.run([str(binary), str(folder / 'log'), (folder / 'log' / 'vkey').read_text(), str(folder / 'proofs.json')],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise harness.Failed(f'the other reader: {done.stdout.strip()}{done.stderr.strip()}')
    return f'{done.stdout.strip()}, {time.monotonic() - start:.1f} s'


def measure(leaves, flips, read_by_peer=True):
    with tempfile.TemporaryDirectory(prefix='bbll-') as name:
        folder = pathlib.Path(name)
        parts = run(leaves, flips, folder)
        for part in ('with the log', 'published', 'verified'):
            if parts[part]['leaves'] != leaves:
                raise harness.Failed(f'{part}: {parts[part]["leaves"]} of {leaves} leaves')
        return parts, peer(folder) if read_by_peer and has_peer() else None


def words(parts):
    for part in parts.values():
        what = 'flips' if part['part'].startswith('flips') else 'leaves'
        yield (f'{part["part"]}: {part["leaves"]:,} {what}, {part["seconds"]:.1f} s, {part["cpu_seconds"]:.1f} CPU s, '
               f'{part["per_cpu_second"]:,.0f} a CPU second')
    ratio = parts['with the log']['cpu_seconds'] / parts['without the log']['cpu_seconds']
    yield f'the log makes an event cost {ratio:.1f} x the CPU time of one without it, in the writer and the store'


def tap(leaves, flips, full):
    """As a test: what fails is that something does not hold, never a time. The other reader builds for long, and reads a small log in
    the sample as well (tests/e2e/log.py)."""
    print(f'1..{1 + full}')
    try:
        parts, said = measure(leaves, flips, full)
    except harness.Failed as e:
        print(f'not ok 1 - a log of {leaves} entries\n# {e}' + ('\nok 2 - another reader # SKIP there is no log' if full else ''))
        return 1
    print(f'ok 1 - a log of {leaves} entries, {flips} changed bits found')
    for line in words(parts):
        print(f'# {line}')
    if full:
        print(f'ok 2 - another reader\n# {said}' if said else
              'ok 2 - another reader # SKIP NO go or golang-golang-x-mod-dev here: NOT CHECKED by another')
    return 0


def main():
    p = harness.options('log', __doc__.split('\n', maxsplit=1)[0])
    p.add_argument('--leaves', type=int, default=0)
    p.add_argument('--flips', type=int, default=20)
    p.add_argument('--quick', action='store_true')
    p.add_argument('--tap', action='store_true', help='as a test: 20,000 leaves, all of them with BUSBAR_FULL=1')
    given = p.parse_args()
    full = os.environ.get('BUSBAR_FULL') == '1'
    quick = given.quick or (given.tap and not full)
    leaves = given.leaves or (20_000 if quick else 1_000_000)
    if given.tap:
        return tap(leaves, given.flips, full)
    try:
        parts, said = measure(leaves, given.flips)
    except harness.Failed as e:
        print(f'script/bench log: {e}', file=sys.stderr)
        return 1
    print('\n'.join(words(parts)))
    print(f'another reader: {said or "not here (go, golang-golang-x-mod-dev)"}')
    if given.json:
        pathlib.Path(given.json).write_text(json.dumps({'parts': parts, 'peer': said}, indent=1), encoding='utf-8')
    return 0


if __name__ == '__main__':
    sys.exit(main())
