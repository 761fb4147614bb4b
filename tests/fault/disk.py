#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A disk that fails: nothing is acknowledged that is not recorded, the hub says so, and it heals without a restart.

`disk.py --tmpfs DIR` is the part that runs in a mount namespace of its own.
"""
import concurrent.futures
import errno
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

from faultlib import (FULL, SLOW, Audit, Client, DiskFaults, Hub, Load, SlowEngine, Tap, assert_first, get_status, kill9,
                      mixed, records, settled, status, tenant, unstarted, wait_for)

SEED = int(os.environ.get('SEED', '1'))
DB = 'busbar.db'


class Disk:
    """A hub on a disk that fails on demand."""

    def __init__(self, args=()):
        self.folder = tempfile.mkdtemp(prefix='bbd-', dir='/tmp')
        self.faults = DiskFaults(self.folder)
        self.fail, self.heal, self.hits = self.faults.fail, self.faults.heal, self.faults.hits
        self.engine = SlowEngine()
        self.responses = []
        self.hub = Hub(args, data=os.path.join(self.folder, 'data'), env=self.faults.env)
        self.engine.add_to(self.hub)
        self.seed = 0

    def load(self, clients=10, pick=mixed):
        self.seed += 1
        return Load(self.hub, clients, f'{SEED}/{self.seed}', pick)

    def talk(self, **kwargs):
        r = Client(self.hub.port, self.hub.key).talk(**kwargs)
        self.responses.append(r)
        return r

    def check(self):
        """Stops the hub, audits, starts it again."""
        settled(self.hub)
        shown, t = records(self.hub), tenant(self.hub)
        assert t['held'] == 0 and t['budget'] - t['spent'] == t['available'], t
        assert self.hub.stop() == 0
        self.audit()
        self.hub.start()
        assert len(records(self.hub)) == len(shown)
        return len(shown)

    def audit(self):
        a = Audit(os.path.join(self.folder, 'data', DB))
        found = a.clients(self.responses, self.engine.sent)
        assert not found, '\n'.join(f'{kind}: {text}' for kind, text in found[:20])
        return a

    def close(self):
        self.heal()
        if self.hub.alive():
            self.hub.stop()
        self.engine.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def unready(hub):
    return get_status(hub, '/readyz') == 503


def assert_refused(r):
    """503 in OpenAI's form."""
    assert r.status == 503, r
    assert set(r.error) == {'message', 'type', 'param', 'code'} and r.error['code'] and r.error['message'], r


def window(disk, what, code, seconds):
    """A window of failure under load, with a stream that ends in it, one that spans it, and one that is left in it."""
    hub = disk.hub
    pid = hub.pid
    load = disk.load()
    began = threading.Semaphore(0)
    results = {}

    def run(name, **kwargs):
        first = []

        def on_chunk(r):
            if not first:
                first.append(r)
                began.release()
        results[name] = disk.talk(model=SLOW, stream=True, on_chunk=on_chunk, **kwargs)

    ends = int(seconds * 50)
    names = {'ends': {'max_tokens': ends, 'seed': 10 ** 6 + disk.seed},
             'spans': {'max_tokens': ends * 5, 'seed': 2 * 10 ** 6 + disk.seed},
             'left': {'max_tokens': ends * 5, 'seed': 3 * 10 ** 6 + disk.seed, 'abort_after': ends}}
    # However slow this machine is: no stream ends before the window, and the one that spans it not before its end.
    inside, after = threading.Event(), threading.Event()
    for name, gate in (('ends', inside), ('left', inside), ('spans', after)):
        disk.engine.gates[names[name]['seed']] = (ends // 2, gate)
    threads = [threading.Thread(target=run, args=(name,), kwargs=kwargs, daemon=True) for name, kwargs in names.items()]
    for t in threads:
        t.start()
    for _ in threads:
        assert began.acquire(timeout=60)
    time.sleep(0.2)
    disk.fail(what, code)
    failing = time.monotonic()
    wait_for('unready', lambda: unready(hub), 2, 0.005)
    inside.set()
    assert get_status(hub, '/healthz') == 200
    # Sure to be inside the window: it has been unready, and is never ready in it.
    for stream in (False, True):
        assert_refused(disk.talk(stream=stream))
        assert_refused(disk.talk(stream=stream, model=SLOW))
    before = [hub.request('POST', '/api/v1/tenants', {'name': f'never-{disk.seed}', 'budget': '1'}, key=hub.operator),
              hub.request('POST', '/api/v1/keys', {'name': 'never', 'tenant': 'default', 'scopes': ['inference']},
                          key=hub.operator),
              hub.request('PUT', '/api/v1/tenants/default/budget', {'budget': '7'}, key=hub.operator)]
    for reply in before:
        assert reply.status == 503 and reply.json()['error']['message'], (reply.status, reply.body)
    while time.monotonic() - failing < seconds:
        assert unready(hub) and get_status(hub, '/healthz') == 200
        time.sleep(0.05)
    hits = disk.hits()
    assert hits > 0
    threads[0].join(60)
    in_window = results['ends']
    disk.heal()
    after.set()
    ready = wait_for('ready again', lambda: not unready(hub), 5, 0.01)
    assert ready < 10, f'ready again after {ready:.1f} s'
    wait_for('an answer', lambda: disk.talk(max_tokens=3).complete, 2, 0.05)
    time.sleep(0.5)
    new = load.stop()
    disk.responses += new
    for t in threads:
        t.join(60)
        assert not t.is_alive()
    assert in_window.status == 200 and not in_window.complete and in_window.error, f'ended in the window: {in_window}'
    assert results['spans'].complete, f'spanned the window: {results["spans"]}'
    for r in new:
        assert r.aborted or r.complete or r.error, f'neither whole nor an error: {r}'
        assert r.status in (None, 200, 503), r
    assert hub.pid == pid and hub.alive()
    names = [t['name'] for t in hub.request('GET', '/api/v1/tenants', key=hub.operator).json()['data']]
    assert names == ['default'], names
    assert tenant(hub)['budget'] == 10 * 10 ** 9
    keys = [k['name'] for k in hub.request('GET', '/api/v1/keys?tenant=default', key=hub.operator).json()['data']]
    assert 'never' not in keys, keys
    n = disk.check()
    refused = sum(r.status == 503 for r in new)
    broken = sum(r.status == 200 and not r.complete and not r.aborted for r in new)
    return (f'{hits} failed calls in {seconds} s, {refused} refused, {broken} ended with an error, '
            f'{sum(r.complete for r in new)} complete, ready {ready:.2f} s after, {n} records')


def left_is_billed(disk):
    """Whoever hangs up while the disk fails is billed, once, when it is well again."""
    left = [r for r in disk.responses if r.model == SLOW and r.aborted and 3 * 10 ** 6 < r.seed < 3 * 10 ** 6 + 100]
    found = {r['request']: r for r in records(disk.hub) if 'final' in r['flags']}
    assert left
    for r in left:
        assert r.id in found, f'not billed: {r}'
        assert found[r.id]['status'] == 499 and 'aborted' in found[r.id]['flags'], found[r.id]
    return f'{len(left)} streams'


def left_record_fails(disk):
    """The commit that fails is the one with the last record of a client that hung up: it is written again, whole."""
    left = []
    for round_ in range(10 if FULL else 3):
        def fail_next(r):
            if r.content == 20:
                disk.fail('sync', errno.EIO, 1, 1)
        while True:  # the hub may learn of the fault before only now, and refuse this one
            r = disk.talk(model=SLOW, stream=True, max_tokens=400, abort_after=20, on_chunk=fail_next, seed=4 * 10 ** 6 + round_)
            if r.status != 503:
                break
        left.append(r)
        wait_for('the fault', lambda: disk.hits() >= 1, 20, 0.005)
        wait_for('ready', lambda: not unready(disk.hub), 5, 0.005)
        disk.heal()
    settled(disk.hub)
    for r in left:
        found = [m for m in records(disk.hub) if m['request'] == r.id]
        assert sum('final' in m['flags'] for m in found) == 1, (r, found)
        billed = sum(m['completion_tokens'] for m in found)
        assert r.content <= billed <= disk.engine.sent[r.seed], f'{r}: billed {billed}, sent {disk.engine.sent[r.seed]}'
    return f'{len(left)} streams'


def one_commit(disk, what, n):
    """Exactly one call fails, the n-th."""
    load = disk.load(6)
    time.sleep(0.1)
    disk.fail(what, errno.EIO, n, 1)
    wait_for('the fault', lambda: disk.hits() >= 1, 20, 0.005)
    wait_for('ready', lambda: not unready(disk.hub), 3, 0.005)
    time.sleep(0.2)
    new = load.stop()
    disk.heal()
    disk.responses += new
    for r in new:
        assert r.aborted or r.complete or r.error, f'neither whole nor an error: {r}'
    assert disk.talk(max_tokens=2).complete
    return len(new)


def single(disk, what, samples):
    requests = sum(one_commit(disk, what, n) for n in samples)
    return f'calls {list(samples)}, {requests} requests, {disk.check()} records'


def killed(disk):
    """kill -9 while the disk fails, and again right after the first failed commit."""
    for pause in (0.0, 0.3):
        load = disk.load()
        time.sleep(0.3)
        disk.fail('sync', errno.EIO)
        wait_for('the fault', lambda: disk.hits() >= 1, 5, 0.001)
        time.sleep(pause)
        kill9(disk.hub)
        disk.responses += load.stop()
        disk.heal()
        disk.audit()
        disk.hub.start()
        assert tenant(disk.hub)['held'] == 0
        assert disk.talk(max_tokens=2).complete
    return f'{disk.check()} records'


def model_added(disk):
    """An admin call of several events is done whole or not at all, wherever the disk fails."""
    hub = disk.hub
    half = []
    for n in range(1, 6):
        disk.fail('sync', errno.EIO, n, 1)
        reply = hub.request('POST', '/api/v1/models',
                            {'name': f'half-{n}', 'source': f'http://127.0.0.1:{disk.engine.port}', 'engine': 'vllm-url',
                             'price_prompt': '1', 'price_completion': '1'}, key=hub.operator)
        wait_for('ready', lambda: not unready(hub), 3, 0.005)
        disk.heal()
        last = json.loads(reply.body.splitlines()[-1])
        assert reply.status in (201, 503), (reply.status, reply.body)
        assert disk.hits() == (reply.status == 503) or n > 3, (n, disk.hits(), reply.status)
        models = {m['name']: m for m in hub.request('GET', '/api/v1/models', key=hub.operator).json()['data']}
        there = models.get(f'half-{n}')
        good = reply.status < 300 and 'error' not in last
        if there and (not good or not there['variants'] or not there.get('price')):
            half.append(f'call {n} failed, status {reply.status}: {json.dumps(there)}')
        if not there and good:
            half.append(f'call {n}: acknowledged and gone')
    assert not half, '\n'.join(half)


def first_start(disk):
    """A first start during which one commit fails; then the disk is well, and the next start serves."""
    bad = []
    for n in range(1, 100) if FULL else range(15, 100, 4):  # the tables come first
        folder = pathlib.Path(disk.folder) / f'first-{n}'
        hub = unstarted(folder, disk.faults.env)
        disk.fail('sync', errno.EIO, n, 1)
        try:
            try:
                hub.start(8)
            except RuntimeError:
                pass
            if hub.alive():
                kill9(hub)
            hits = disk.hits()
            disk.heal()
            assert_first(hub)
        except AssertionError as e:
            bad.append(f'sync {n} failed: {e}')
        finally:
            disk.heal()
            if hub.alive():
                hub.stop()
            shutil.rmtree(folder, ignore_errors=True)
        if not hits:
            break
    assert n > 5, 'the fault missed'
    assert not bad, f'{len(bad)} bad\n' + '\n'.join(bad)
    return f'up to sync {n}'


def checkpoint(disk):
    """What fails is the database file itself, which only checkpoints write: commits go on, and nothing is lost."""
    disk.fail('all', errno.EIO, 1, 0, DB)
    load = disk.load(8, lambda rng: {'max_tokens': rng.randint(1, 4), 'seed': rng.getrandbits(31)})
    try:
        wait_for('a checkpoint fails', lambda: disk.hits() > 0, 60, 0.05)
        time.sleep(0.5)
    finally:
        new = load.stop()
    disk.responses += new
    bad = [r for r in new if not r.complete]
    assert not bad, f'{len(bad)} of {len(new)}: {bad[:3]}'
    hits = disk.hits()
    disk.heal()
    return f'{len(new)} requests, {hits} failed calls, {disk.check()} records'


def outlasted():
    """A disk that takes longer over one write than a gateway elsewhere would wait: the hub's own answer waits for its record."""
    own = Disk(['--workers', '1'])
    try:
        assert own.talk(max_tokens=3).complete  # from here on its worker has a lease
        own.fail('slow', 33000, 1, 1)
        r = own.talk(max_tokens=3)
        assert r.complete, r
        assert own.hits() == 1 and r.seconds > 31, f'the fault missed: {r}'
        settled(own.hub)
        assert sum('final' in m['flags'] for m in records(own.hub) if m['request'] == r.id) == 1, records(own.hub)
        return f'after {r.seconds:.1f} s'
    finally:
        own.close()


# ---- a disk that is really full ----

def in_namespace(folder):
    """In a mount namespace of its own: a small tmpfs for the data, filled to the last byte under load."""
    subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', folder], check=True)
    engine = SlowEngine()
    hub = Hub(data=os.path.join(folder, 'data'))
    try:
        filled(folder, hub, engine)
    finally:  # whatever was wrong: nothing that it started outlives it
        if hub.alive():
            hub.kill()
        engine.close()


def filled(folder, hub, engine):
    responses = []
    engine.add_to(hub)
    load = Load(hub, 8, f'{SEED}/full')
    time.sleep(0.3)
    filler = os.path.join(folder, 'filler')
    fd = os.open(filler, os.O_WRONLY | os.O_CREAT)
    size = 1 << 20
    while size >= 1:
        try:
            os.write(fd, b'x' * size)
        except OSError:
            size //= 2
    wait_for('unready', lambda: unready(hub), 30, 0.01)
    assert get_status(hub, '/healthz') == 200
    full = time.monotonic()
    # SQLite reuses space in its log after a checkpoint, so a full disk may come and go.
    refused = 0
    while time.monotonic() - full < 1:
        refused += Client(hub.port, hub.key).talk(max_tokens=2).status == 503
    os.close(fd)
    os.unlink(filler)
    ready = wait_for('ready', lambda: not unready(hub), 5, 0.01)
    time.sleep(0.5)
    responses += load.stop()
    for r in responses:
        assert r.aborted or r.complete or r.error, f'neither whole nor an error: {r}'
    assert Client(hub.port, hub.key).talk(max_tokens=2).complete
    settled(hub)
    failures = status(hub)['commit_failures']
    assert hub.stop() == 0
    a = Audit(os.path.join(folder, 'data', DB))
    found = a.clients(responses, engine.sent)
    assert not found, found[:20]
    print(f'{failures} commits failed, {refused} requests refused meanwhile, ready {ready:.2f} s after space was made, '
          f'{sum(r.complete for r in responses)} complete, {len(a.meters)} records')


def full_disk():
    folder = tempfile.mkdtemp(prefix='bbt-', dir='/tmp')
    try:
        done = subprocess.run(['unshare', '-m', '--propagation', 'private', sys.executable, __file__, '--tmpfs', folder],
                              capture_output=True, text=True, timeout=180, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def can_mount():
    return subprocess.run(['unshare', '-m', '--propagation', 'private', 'mount', '-t', 'tmpfs', '-o', 'size=1m', 'tmpfs',
                           '/mnt'], capture_output=True, check=False).returncode == 0


def main():
    tap = Tap()
    start = time.monotonic()
    meanwhile = concurrent.futures.ThreadPoolExecutor(1).submit(outlasted)
    disk = Disk()
    rng = random.Random(SEED)
    for what, code, name in (('sync', errno.EIO, 'syncs fail with EIO'), ('write', errno.ENOSPC, 'writes fail with ENOSPC'),
                             ('torn', errno.EIO, 'writes are torn')):
        tap.case(f'a window in which {name}', window, disk, what, code, 4 if FULL else 1.5)
    tap.case('whoever hung up meanwhile is billed once', left_is_billed, disk)
    tap.case('a last record whose commit fails keeps its tokens', left_record_fails, disk)
    samples = range(1, 21) if FULL else sorted(rng.sample(range(1, 21), 3))
    tap.case('exactly one sync fails', single, disk, 'sync', samples)
    tap.case('exactly one write fails', single, disk, 'write', samples)
    tap.case('kill -9 while the disk fails', killed, disk)
    tap.case('a model is added whole or not at all', model_added, disk)
    tap.case('a first start that the disk cuts short', first_start, disk)
    if FULL:
        tap.case('checkpoints fail', checkpoint, disk)
    disk.close()
    tap.case('one write takes half a minute', meanwhile.result)
    if can_mount():
        tap.case('the disk is full', full_disk)
    else:
        tap.skip('the disk is full', 'NO MOUNT NAMESPACE HERE: unshare -m does not work')
    tap.note(f'{len(disk.responses)} requests, {sum(r.complete for r in disk.responses)} complete, '
             f'{time.monotonic() - start:.0f} s in all, seed {SEED}')
    tap.done()


if len(sys.argv) > 2 and sys.argv[1] == '--tmpfs':
    in_namespace(sys.argv[2])
else:
    main()
