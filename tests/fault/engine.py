#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Engines that die, hang or talk nonsense: the client is told, what was delivered is billed, the replica comes back."""
import os
import pathlib
import shutil
import signal
import tempfile
import threading
import time

from faultlib import (FULL, SLOW, STORIES, Audit, Client, Hub, Load, SlowEngine, Tap, engines, kill9, records, settled,
                      status, tenant, wait_for)

STREAMS = 8
# llama-server is asked for its health every 2 s and may fail thrice.
REPLACED_LIMIT_S = 60


class Site:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix='bbe-', dir='/tmp')
        self.data = os.fsencode(self.folder)
        self.engine = SlowEngine()
        self.responses = []
        self.hub = Hub(data=self.folder)
        self.engine.add_to(self.hub)

    def talk(self, timeout=90.0, **kwargs):
        r = Client(self.hub.port, self.hub.key, timeout).talk(**kwargs)
        self.responses.append(r)
        return r

    def pid(self):
        """The engine's process, once there is exactly one."""
        wait_for('one engine', lambda: len(engines(self.data)) == 1, 10)
        return engines(self.data)[0]

    def replica(self, model=STORIES):
        for d in self.hub.request('GET', '/api/v1/deployments', key=self.hub.operator).json()['data']:
            if d['model'] == model:
                return d['replicas'][0]
        return None

    def ready(self, limit_s):
        return wait_for('the replica is back', lambda: self.replica()['state'] == 'ready', limit_s, 0.05)

    def streams(self, n, signal_now, **kwargs):
        """n streams and n plain requests; signal_now() at the moment when every stream that has a slot flows."""
        out, flowing, lock = [], threading.Semaphore(0), threading.Lock()

        def run(i):
            first = []

            def on_chunk(_):
                if not first:
                    first.append(1)
                    flowing.release()
            r = self.talk(stream=i % 2 == 0, max_tokens=450, seed=1000 + i, on_chunk=on_chunk,
                          prompt=f'Tell me a very long story, number {i}', **kwargs)
            with lock:
                out.append(r)
        threads = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(2 * n)]
        for t in threads:
            t.start()
        assert flowing.acquire(timeout=60)
        signal_now()
        return threads, out

    def billed_as_delivered(self, responses):
        """Records are written by the time that a client sees the end; a cut one is billed for what arrived."""
        settled(self.hub)
        found = {}
        for record in records(self.hub):
            found.setdefault(record['request'], []).append(record)
        for r in responses:
            mine = found.get(r.id, [])
            finals = [m for m in mine if 'final' in m['flags']]
            completion = sum(m['completion_tokens'] for m in mine)
            if r.status == 200:
                assert len(finals) == 1, (r, mine)
                assert r.complete or (r.kind == 'stream' and 'cut' in finals[0]['flags']), (r, finals)
                if r.kind == 'stream' and not r.complete:
                    # One token may be decoded without text yet, such as half of a character.
                    assert r.content <= completion <= r.content + 1, f'{r}: billed {completion}'
            else:
                assert not mine, f'{r} is billed: {mine}'
        t = tenant(self.hub)
        assert t['held'] == 0 and t['budget'] - t['spent'] == t['available'], t


def told(r):
    """Whole, or a clear error."""
    assert r.complete or (r.error and r.error['message'] and r.error['code']), f'not told: {r}'
    assert r.status in (200, 502, 503), r


def killed(site):
    total = cut = 0
    times = []
    for _ in range(10 if FULL else 3):
        pid = site.pid()
        threads, out = site.streams(STREAMS, lambda: os.kill(pid, signal.SIGKILL))
        start = time.monotonic()
        for t in threads:
            t.join(80)
            assert not t.is_alive(), 'a request hangs'
        site.ready(20)
        times.append(time.monotonic() - start)
        for r in out:
            told(r)
        assert site.pid() != pid
        assert site.talk(max_tokens=3).complete
        total += len(out)
        cut += sum(r.status == 200 and not r.complete for r in out)
    site.billed_as_delivered(site.responses)
    assert cut, 'no stream was cut: the fault missed'
    return f'{total} requests, {cut} streams cut, all again ready and answered after {max(times):.2f} s at most'


def stopped(site):
    pid = site.pid()
    threads, out = site.streams(STREAMS, lambda: os.kill(pid, signal.SIGSTOP))
    start = time.monotonic()
    late = site.talk(max_tokens=3, timeout=150.0)  # arrives while the engine hangs
    waited = time.monotonic() - start
    for t in threads:
        t.join(120)
        assert not t.is_alive(), 'a request hangs'
    replaced = wait_for('another engine', lambda: engines(site.data) and pid not in engines(site.data), REPLACED_LIMIT_S)
    replaced += waited
    site.ready(20)
    for r in [*out, late]:
        told(r)
        assert not r.timed_out, r
    assert site.talk(max_tokens=3).complete
    site.billed_as_delivered([*out, late])
    slowest = max(r.seconds for r in [*out, late])
    assert slowest < REPLACED_LIMIT_S, f'a client waited {slowest:.0f} s'
    return (f'replaced within {replaced:.1f} s; {len(out) + 1} requests, {sum(r.complete for r in out)} whole, the one that came '
            f'meanwhile waited {late.seconds:.1f} s: {late.status}, the slowest {slowest:.1f} s')


def queued(site):
    """Whoever waits for a slot when the engine dies has not begun: it is answered by the next engine, or gets 503."""
    pid = site.pid()
    threads, out, held = [], [], []
    flowing = threading.Semaphore(0)

    def hold(i):
        seen = []
        held.append(site.talk(stream=True, max_tokens=450, seed=i, prompt=f'Tell me a very long story, number {i}',
                  on_chunk=lambda _: seen.append(1) or (len(seen) == 1 and flowing.release())))
    for i in range(4):
        threads.append(threading.Thread(target=hold, args=(i,), daemon=True))
        threads[-1].start()
    for _ in range(4):
        assert flowing.acquire(timeout=60)
    os.kill(pid, signal.SIGSTOP)  # so that the slots stay taken
    for _ in range(8):
        threads.append(threading.Thread(target=lambda: out.append(site.talk(max_tokens=3)), daemon=True))
        threads[-1].start()
    time.sleep(0.5)
    # A process that ends may close its connections before the socket at which it listens, and who was given a slot meanwhile has
    # begun. So its socket goes first.
    for socket in pathlib.Path(site.folder, 'run').glob('stories-*.sock'):
        socket.unlink()
    os.kill(pid, signal.SIGKILL)
    for t in threads:
        t.join(80)
        assert not t.is_alive(), 'a request hangs'
    site.ready(20)
    counts = {}
    for r in out:
        counts[r.status] = counts.get(r.status, 0) + 1
    # A stream that was over before the engine stopped gave its slot to one of the eight, which then had begun.
    begun = sum(r.complete for r in held)
    assert set(counts) <= {200, 502, 503}, f'answers of the 8 that waited: {counts}; {out[0].error}'
    assert counts.get(502, 0) <= begun, f'{counts}, and {begun} slots had become free'
    return str(counts)


def gone(site):
    """The model file is gone, so that it cannot start again: requests wait or get 503, and it heals by itself."""
    file = pathlib.Path(site.folder) / 'models' / 'stories.gguf'
    away = file.with_suffix('.away')
    os.rename(file, away)
    os.kill(site.pid(), signal.SIGKILL)
    out = []
    threads = [threading.Thread(target=lambda: out.append(site.talk(max_tokens=3)), daemon=True) for _ in range(4)]
    for t in threads:
        t.start()
    wait_for('backoff', lambda: site.replica()['state'] == 'backoff', 10)
    detail = site.replica()['detail']
    assert detail, 'the replica does not say why'
    other = site.talk(model=SLOW, stream=True, max_tokens=5, seed=5)
    assert other.complete, f'another model suffers: {other}'
    time.sleep(2)
    os.rename(away, file)
    took = site.ready(40)
    for t in threads:
        t.join(80)
        assert not t.is_alive(), 'a request hangs'
    for r in out:
        told(r)
    return f'replica said "{detail}", back {took:.1f} s after, {sum(r.complete for r in out)} of 4 that waited were answered'


def nonsense(site):
    """An engine that breaks off, errs, or sends what is not JSON."""
    seed = 10 ** 5
    seen, out = [], []
    for stream, fault in ((True, 'garbage'), (True, 'error'), (True, 'cut'), (True, 'end'), (False, 'garbage'),
                          (False, 'error'), (False, 'cut')):
        seed += 1
        site.engine.faults[seed] = fault
        r = site.talk(model=SLOW, stream=stream, max_tokens=20, seed=seed)
        told(r)
        assert not r.complete and r.error, f'{fault}: {r}'
        if not stream:
            assert r.status == 502, f'{fault}: {r}'
        else:
            assert r.content == 10, f'{fault}: {r}'
        out.append(r)
        seen.append(f'{"stream" if stream else "plain"} {fault}: {r.status} {r.error["code"]}')
    site.billed_as_delivered(out)
    return ', '.join(seen)


def left(site):
    """An engine that says nothing: a client that leaves frees its slot, and is billed for nothing."""
    seed = 2 * 10 ** 5
    before = tenant(site.hub)['spent']
    site.engine.faults[seed] = 'silent'
    r = site.talk(model=SLOW, stream=True, max_tokens=20, seed=seed, timeout=0.5)
    assert r.timed_out
    settled(site.hub)
    assert tenant(site.hub)['spent'] == before


def audited(site):
    assert site.hub.stop() == 0
    assert not engines(site.data), 'an engine is left after a clean stop'
    a = Audit(os.path.join(site.folder, 'busbar.db'))
    found = a.clients(site.responses, site.engine.sent)
    assert not found, '\n'.join(f'{kind}: {text}' for kind, text in found[:20])
    return f'{len(a.meters)} records'


def orphaned(site):
    """kill -9 of the hub while its engine is stopped: the engine must not stay behind."""
    site.hub.start()
    pid = site.pid()
    os.kill(pid, signal.SIGSTOP)
    kill9(site.hub)
    took = wait_for('the stopped engine is gone', lambda: not engines(site.data), 1)
    site.hub.start()
    assert site.talk(max_tokens=3).complete
    return f'after {took:.2f} s'


def main():
    tap = Tap()
    start = time.monotonic()
    site = Site()
    tap.case('llama-server is killed in the middle of streams', killed, site)
    tap.case('requests that wait when the engine dies', queued, site)
    tap.case('engines that talk nonsense', nonsense, site)
    tap.case('a client leaves a silent engine', left, site)
    tap.case('the engine cannot start again for a while', gone, site)
    tap.case('llama-server hangs', stopped, site)
    tap.case('the audit', audited, site)
    tap.case('no engine outlives its hub, even a stopped one', orphaned, site)
    if site.hub.alive():
        site.hub.stop()
    site.engine.close()
    shutil.rmtree(site.folder, ignore_errors=True)
    tap.note(f'{len(site.responses)} requests, {time.monotonic() - start:.0f} s in all')
    tap.done()


main()
