# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share: where their data is, a run of the simulator, options, progress, tables, results as a file."""
import argparse
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = pathlib.Path(os.environ.get('BUSBAR_TESTDATA') or ROOT.parent / 'shared' / 'data')


class Failed(Exception):
    """A run that cannot be used; the words say why."""


def options(name, words):
    p = argparse.ArgumentParser(prog=f'script/bench {name}', description=words)
    p.add_argument('--json', metavar='FILE')
    return p


def round_options(name, words, parts):
    """Of a benchmark that measures in rounds and has parts."""
    p = options(name, words)
    p.add_argument('--rounds', type=int, default=0)
    p.add_argument('--quick', action='store_true')
    p.add_argument('--only', action='append', choices=parts)
    p.add_argument('--keep', action='store_true')
    return p


def say(words):
    if sys.stderr.isatty():
        print(f'\r\033[K{words}', end='', file=sys.stderr, flush=True)


@contextlib.contextmanager
def work_folder(keep):
    """A fresh folder, deleted in the end, or kept and told."""
    path = tempfile.mkdtemp(prefix='busbar-bench-')
    try:
        yield path
    finally:
        if keep:
            print('kept:', path)
        else:
            shutil.rmtree(path, ignore_errors=True)


def print_rows(rows):
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    for row in rows:
        print('  '.join([row[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(row[1:], widths[1:])]))


def simulate(*args):
    """What `busbar sim --json` says; it says it too where the checker found something."""
    done = subprocess.run([os.environ['BUSBAR_BIN'], 'sim', '--json', *map(str, args)], capture_output=True, text=True,
                          check=False)
    if not done.stdout.startswith('{'):
        raise Failed(f'sim {" ".join(map(str, args))}: {done.stderr.strip() or done.returncode}')
    return json.loads(done.stdout)


def write_json(path, document):
    if path:
        pathlib.Path(path).write_text(json.dumps(document, indent=1) + '\n', encoding='utf-8')


def write_samples(name, bench, aims, **more):
    """Of a benchmark in rounds: bench.samples, by (what, target), and what they were taken on."""
    flat = [{'what': what, 'target': target, 'rounds': rounds} for (what, target), rounds in bench.samples.items()]
    write_json(bench.args.json, {'bench': name, 'rounds': bench.args.rounds, 'quick': bench.args.quick,
                                 'kernel': os.uname().release, 'cores': os.cpu_count(), **more, 'samples': flat,
                                 'aims': aims, 'bad_runs': bench.bad})


def status_of(runs):
    """The exit status: whether the checker found nothing in them."""
    return 0 if all(run['violations'] == 0 for run in runs) else 1
