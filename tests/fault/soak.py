#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A soak: under an even load of every kind of request, memory and open files of the hub stay flat, without one error.

SECONDS=N sets how long (10; 120 in full). The first third is warm-up: then buffers, caches and the database's page
cache have grown to what the load needs.
"""
import os
import pathlib
import shutil
import tempfile
import time

from faultlib import FULL, SLOW, Audit, Hub, Load, SlowEngine, Tap, mixed, records, sanitized, settled, status, tenant

SECONDS = float(os.environ.get('SECONDS', '120' if FULL else '10'))
SEED = int(os.environ.get('SEED', '1'))
CLIENTS = 8
# The page cache may still fill, up to cache_size; freed memory stays with ASan for a while.
RSS_GROWTH_KB = (256 << 10) if sanitized() else (8 << 10)
FDS_GROWTH = 4 * CLIENTS


def open_files(hub):
    return len(os.listdir(f'/proc/{hub.pid}/fd'))


def threads(hub):
    return len(os.listdir(f'/proc/{hub.pid}/task'))


def pick(rng):
    r = mixed(rng)
    if r['model'] == SLOW:
        r['max_tokens'] = min(r['max_tokens'], 30)
    return r


def main():
    tap = Tap()
    folder = tempfile.mkdtemp(prefix='bbs-', dir='/tmp')
    engine = SlowEngine(0.005)
    hub = Hub(data=folder, env={'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', '') + ':quarantine_size_mb=16'})
    engine.add_to(hub)
    idle = (hub.rss_kb(), open_files(hub), threads(hub))
    load = Load(hub, CLIENTS, SEED, pick)
    start = time.monotonic()
    samples = []
    while time.monotonic() - start < SECONDS:
        time.sleep(0.25)
        samples.append((time.monotonic() - start, hub.rss_kb(), open_files(hub), threads(hub)))
    responses = load.stop()
    took = time.monotonic() - start
    warm = [s for s in samples if s[0] > SECONDS / 3]
    half = len(warm) // 2
    early, late = warm[:half], warm[half:]
    rss = max(s[1] for s in late) - max(s[1] for s in early)
    fds = max(s[2] for s in late) - max(s[2] for s in early)
    bad = [r for r in responses if not r.complete and not r.aborted]
    tap.ok(not bad, f'no error in {len(responses)} requests', *bad[:5])
    tap.ok(rss <= RSS_GROWTH_KB, f'memory is flat: {rss:+d} kB between the halves after warm-up',
           f'idle {idle[0]}, then at most {max(s[1] for s in early)} and {max(s[1] for s in late)} kB')
    tap.ok(fds <= FDS_GROWTH, f'open files are flat: {fds:+d}',
           f'idle {idle[1]}, then at most {max(s[2] for s in early)} and {max(s[2] for s in late)}')
    tap.case('leases return when nothing happens', lambda: f'{settled(hub):.1f} s')
    after = (hub.rss_kb(), open_files(hub), threads(hub))
    tap.ok(after[1] <= idle[1] + 8, f'files are closed again: {idle[1]} before, {after[1]} after')
    # libuv keeps up to four threads for files, once they were needed.
    tap.ok(after[2] <= idle[2] + 4, f'threads: {idle[2]} before, {after[2]} after')
    t, s = tenant(hub), status(hub)
    tap.ok(t['held'] == 0 and s['commit_failures'] == 0 and t['budget'] - t['spent'] == t['available'],
           'nothing is held, no commit failed', t)
    shown = records(hub)
    rc = hub.stop()
    tap.ok(rc == 0, 'a clean end, nothing leaked where the binary can tell', f'exit status {rc}', *hub.lines[-30:] if rc else ())
    wal = (pathlib.Path(folder) / 'busbar.db-wal').exists()
    a = Audit(os.path.join(folder, 'busbar.db'))
    found = a.clients(responses, engine.sent)
    tap.ok(not found and len(shown) == len(a.meters), f'{len(shown)} records agree with what clients got', *found[:10])
    size = (pathlib.Path(folder) / 'busbar.db').stat().st_size
    tap.note(f'{len(responses)} requests, {sum(r.complete for r in responses)} complete, {took:.0f} s, '
             f'{len(responses) / took:.0f} a second, {a.events} events in {s["commits"]} commits, database {size >> 10} kB, '
             f'log {"left" if wal else "gone"}, seed {SEED}')
    engine.close()
    shutil.rmtree(folder, ignore_errors=True)
    tap.done()


main()
