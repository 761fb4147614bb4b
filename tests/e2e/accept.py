#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Replicas are checked before they take requests: a right one passes; a site that serves other weights under the right name, weights
with a flipped bit, and one that is slowed to half are cordoned with a reason. How many right ones are refused, and which bits are found.
"""
import json
import os
import pathlib
import random
import signal
import subprocess
import tempfile
import threading
import time

from ref_peers import BIN, LLAMA, MODELS, Reader, llama, reference
from site_agent import Field
from workbench import FAILED, FULL, NOT_FOUND, OK, Tap, find_processes, need, replied, same, wait_for

TERMS = pathlib.Path(BIN).resolve().parent.parent / 'data' / 'acceptance.yaml'
STORIES = MODELS['stories']

# An engine that takes the weights that a file beside it names, whatever it was told to serve.
WRAPPER = '''#!/bin/sh
swap=$(cat {folder}/swap 2>/dev/null)
last=
for a do
    shift
    [ "$last" = -m ] && [ -n "$swap" ] && a=$swap
    last=$a
    set -- "$@" "$a"
done
exec {real} "$@"
'''


# ---- weights that are wrong ----

def tensors(data):
    r = Reader(data)
    r.take(8)
    n, pairs = r.number(8), r.number(8)
    for _ in range(pairs):
        r.text()
        r.skip(r.number(4))
    table = []
    for _ in range(n):
        name, dimensions = r.text(), r.number(4)
        sides = [r.number(8) for _ in range(dimensions)]
        size = 1
        for side in sides:
            size *= side
        table.append((name.decode(), size, r.number(4), r.number(8)))
    return table, (r.at + 31) // 32 * 32


# What a bit belongs to: in a block of Q8_0 the scale, a half, or one of 32 weights; in a norm a float.
BITS = {'the highest bit of a scale': (8, 0, [14]), "another bit of a scale's exponent": (8, 0, [10, 11, 12, 13]), "a scale's sign": (8, 0, [15]),
        "a bit of a scale's fraction": (8, 0, list(range(10))), "a weight's sign": (8, 2, [7]), 'another bit of a weight': (8, 2, list(range(7))),
        "the highest bit of a norm's exponent": (0, 0, [30]), "a norm's sign": (0, 0, [31]), "a bit of a norm's fraction": (0, 0, list(range(23)))}
SURE = ('the highest bit of a scale', "the highest bit of a norm's exponent", "a norm's sign")


def flipped(data, kind, rng):
    wanted, skip, bits = BITS[kind]
    table, begin = tensors(data)
    name, size, _, offset = rng.choice([t for t in table if t[2] == wanted and t[0] != 'token_embd.weight'])
    if wanted == 8:
        at = begin + offset + rng.randrange(size // 32) * 34 + (skip + rng.randrange(32) if skip else 0)
    else:
        at = begin + offset + rng.randrange(size) * 4
    bit, out = rng.choice(bits), bytearray(data)
    out[at + bit // 8] ^= 1 << bit % 8
    return bytes(out), f'{name} at {at}, bit {bit}'


# ---- the check by itself ----

def check(peer, folder, seed, quick=1, quantisation='Q8_0', slots=1, golden='golden'):
    done = subprocess.run([BIN, 'accept-check', '--model', str(STORIES), '--golden', f'{folder}/{golden}', '--terms', str(TERMS), '--endpoint',
                           f'unix:{peer.path}', '--name', 'm', '--quantisation', quantisation, '--slots', str(slots), '--context', '512', '--seed',
                           str(seed), '--quick', str(quick), '--must', '1'], capture_output=True, text=True, timeout=300, check=True)
    return json.loads(done.stdout)


PASSED, FAILED_CHECK = 2, 3


def engines_agree(folder):
    with reference(STORIES, folder) as ours:
        found = check(ours, folder, 1)
        same((found['verdict'], found['parted'], found['close']), (PASSED, 0, 0), found)
        need(found['max'] <= 2, 'the reference engine and its own answers', found)
    with llama(STORIES, folder) as peer:
        found = [check(peer, folder, seed) for seed in range(10 if FULL else 3)]
    same({f['verdict'] for f in found}, {PASSED}, found)
    return f'llama-server: mean {max(f["mean"] for f in found) / 1e6:.3f}, max {max(f["max"] for f in found) / 1e6:.2f} at most'


def bits(folder):
    """Which flipped bits are found: those that make a number another by far; others are lost in the engine's own rounding."""
    rng, data, words = random.Random(11), STORIES.read_bytes(), []
    for kind in BITS if FULL else SURE:
        caught, runs = 0, 8 if FULL else 1
        for i in range(runs):
            weights, what = flipped(data, kind, rng)
            path = pathlib.Path(folder) / 'flipped.gguf'
            path.write_bytes(weights)
            with llama(path, folder, name='flipped') as peer:
                found = check(peer, folder, i, quick=0)
            caught += found['verdict'] == FAILED_CHECK
            need(found['verdict'] == FAILED_CHECK or kind not in SURE, kind, what, found)
        words.append(f'{kind}: {caught} of {runs}')
    return '; '.join(words)


# ---- through a hub ----

def known(f, model, site='north'):
    found = [a for a in f.bench.api('GET', '/api/v1/acceptance')['data'] if a['model'] == model and a['site'] == site]
    return found[0] if found else None


def add(f, name, swap=''):
    """Deployed at the site, whose engine takes other weights if it is told to."""
    (f.folder / 'swap').write_text(str(swap))
    same(f.bench.run('model', 'add', name, str(STORIES)).returncode, OK, name)
    same(f.bench.run('deploy', name, '--site', 'north').returncode, OK, name)


def drop(f, name):
    same(f.bench.run('undeploy', name).returncode, OK, 'undeploy')
    wait_for(lambda: f.bench.deployment(name) is None, 'it is gone', 15)


def right(f):
    """It passes, and its figures are known, in the log, and shown."""
    add(f, 'right')
    f.bench.wait_ready('right')
    replica, = f.bench.deployment('right')['replicas']
    same((replica['acceptance'], replica['acceptance_reason']), ('passed', ''), replica)
    found = known(f, 'right')
    need(found['tokens'] >= 20 and found['tokens_s'] > 0 and found['tier'] == 'measured' and found['fails'] == 0, found)
    done = f.bench.run('accept', 'right', '--json')
    same(done.returncode, OK, done.stderr)
    row, = json.loads(done.stdout)['data']
    same((row['verdict'], row['passes']), ('passed', 2), row)
    receipt = json.loads(wait_for(lambda: (r := f.bench.run('receipt', 'get', row['check'])).returncode == OK and r, 'its leaf').stdout)
    facts = {x['name']: x['value'] for x in receipt['records'][-1]['facts']} if 'records' in receipt else json.dumps(receipt)
    need('golden' in facts and 'passed' in str(facts), receipt)
    replied(f.bench.chat(model='right', max_tokens=3), 200, 'an answer')
    billed = f.bench.records('default')
    same(len(billed), 1, 'who asked a replica to check it pays nothing, nor does anybody')


def refused(f, name, swap, words=''):
    """Two tries, then the site is barred for it; it never takes a request, and comes back when that is lifted and the weights are right."""
    add(f, name, swap)
    found = wait_for(lambda: (k := known(f, name)) and k['barred'] and k, 'barred', 40)
    same((found['verdict'], found['fails'], found['passes']), ('failed', 2, 0), found)
    need(words in found['reason'], found)
    d = wait_for(lambda: (x := f.bench.deployment(name))['waits_for'] and x, 'why it waits', 10)
    need('wrong or slow' in d['waits_for'] and d['replicas_ready'] == 0, d)
    (f.folder / 'swap').write_text('')
    same(f.bench.run('accept', name, '--lift').returncode, OK, 'lift')
    f.bench.wait_ready(name)
    same(known(f, name)['verdict'], 'passed', 'with the right weights')
    drop(f, name)
    return found['reason']


class Slower:
    """Stops a process for a little more than half of the time, as the clock has it: who is late himself stops it for longer."""

    def __init__(self, pid):
        self.pid, self.over, self.stopped, self.ran = pid, threading.Event(), 0.0, 0.0
        self.thread = threading.Thread(target=self.run)

    def run(self):
        try:
            while not self.over.is_set():
                start = time.monotonic()
                os.kill(self.pid, signal.SIGSTOP)
                time.sleep(max(0.004, min(1.2 * self.ran - self.stopped, 0.5)))
                os.kill(self.pid, signal.SIGCONT)
                middle = time.monotonic()
                time.sleep(0.003)
                self.stopped += middle - start
                self.ran += time.monotonic() - middle
        except ProcessLookupError:
            pass

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


def served_here(f):
    """On the hub's own machine, where what an engine waits for a processor is known, so that other work does not make it look slow."""
    same(f.bench.run('model', 'add', 'here', str(STORIES)).returncode, OK, 'add')
    same(f.bench.run('deploy', 'here').returncode, OK, 'deploy')
    f.bench.wait_ready('here')
    for _ in range(3):
        done = f.bench.run('accept', 'here', '--quick')
        same(done.returncode, OK, ('what it gives usually', done.stdout, done.stderr))


def beside_others(f):
    """While it answers somebody else, its answers are checked, and its speed is not: that would be the load's."""
    pid, = find_processes(str(f.bench.data / 'run'))
    before = known(f, 'here', 'local')
    other = threading.Thread(target=lambda: f.bench.chat(model='here', max_tokens=3))
    asked = threading.Thread(target=lambda: f.bench.run('accept', 'here', '--quick'))
    os.kill(pid, signal.SIGSTOP)  # what is sent to it stays there
    try:
        other.start()
        time.sleep(0.7)
        asked.start()
        time.sleep(0.7)
    finally:
        os.kill(pid, signal.SIGCONT)
    other.join()
    asked.join()
    row = known(f, 'here', 'local')
    need(row['check'] != before['check'], 'it was checked', row)
    same((row['verdict'], row['tokens_s'], row['batch_tokens_s']), ('passed', 0, 0), row)
    same((row['passes'], row['usual_tokens_s']), (before['passes'], before['usual_tokens_s']), row)


def slow(f):
    """At half of its speed it takes no requests, and does again when it is as fast as ever."""
    pid, = find_processes(str(f.bench.data / 'run'))
    usual = known(f, 'here', 'local')['usual_tokens_s']
    with Slower(pid):
        for tries in range(1, 7):  # what a loaded machine tells of who waited is only about right
            done = f.bench.run('accept', 'here', '--quick', '--json')
            row, = json.loads(done.stdout)['data']
            if done.returncode != OK:
                break
    same((done.returncode, row['verdict'], row['fails']), (FAILED, 'failed', 1), (done.stderr, row))
    need('slower' in row['reason'], row)
    replica, = f.bench.deployment('here')['replicas']
    same((replica['state'], replica['acceptance'], f.bench.deployment('here')['replicas_ready']), ('cordoned', 'failed', 0), replica)
    same(f.bench.run('accept', 'here', '--quick').returncode, OK, 'as fast as ever')
    replied(f.bench.chat(model='here', max_tokens=3), 200, 'an answer')
    return f'{row["tokens_s"]:.0f} tokens a second in place of {usual:.0f}, found by check {tries}'


def alarms(f):
    """Right ones that are refused, of so many checks."""
    runs, failed = 50 if FULL else 3, []
    for _ in range(runs):
        done = f.bench.run('accept', 'here', '--quick', '--json')
        row, = json.loads(done.stdout)['data']
        if done.returncode != OK or row['verdict'] != 'passed':
            failed.append(row)
    same(failed, [], 'false alarms')
    return f'0 of {runs}'


def refusals(f):
    same(f.bench.run('accept', 'nobody').returncode, NOT_FOUND, 'no such thing')
    need('not barred' in f.bench.run('accept', 'right', '--lift').stderr, 'nothing to lift')
    for body in ({}, {'target': 5}, {'target': 'right', 'quick': 1}, {'target': 'right', 'more': 1}):
        same(f.bench.request('POST', '/api/v1/acceptance', body, local=True).status, 400, body)
    key = f.bench.add_key('plain')['key']
    same(f.bench.request('GET', '/api/v1/acceptance', None, key=key).status, 403, 'not for everybody')


def main():
    t = Tap()
    with tempfile.TemporaryDirectory(prefix='bb-accept-', dir='/tmp') as name:
        folder = pathlib.Path(name)
        t.case('engines agree', engines_agree, folder)
        t.case('bits', bits, folder)
        (folder / 'llama-server').write_text(WRAPPER.format(folder=folder, real=LLAMA))
        (folder / 'llama-server').chmod(0o755)
        bad = folder / 'bad.gguf'
        bad.write_bytes(flipped(STORIES.read_bytes(), SURE[0], random.Random(3))[0])
        with Field(env={'site': {'BUSBAR_ENGINE_PATH': str(folder)}}) as f:
            f.folder = folder
            t.case('a right one', right, f)
            t.case('other calls', refusals, f)
            served_here(f)
            t.case('beside others', beside_others, f)
            t.case('half of the speed', slow, f)
            t.case('false alarms', alarms, f)
            drop(f, 'right')
            t.case('other weights', refused, f, 'wrong', MODELS['stories260K'])
            t.case('a flipped bit', refused, f, 'bit', bad)
    t.done()


if __name__ == '__main__':
    main()
