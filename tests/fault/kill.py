#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the hub under load loses nothing that a client was told, and bills nothing twice.

On one data folder, again and again: start, load, SIGKILL at a random moment, audit, start. In every other loop writes to
the database's log are slow: what is written survives a kill, so that otherwise the moment in which an answer that is
sent too early could be lost would be far too short to hit. LOOPS=N sets how often, SEED the choices. Then the audit
itself is tried on copies of the database with one planted wrong each.
"""
import os
import pathlib
import random
import shutil
import sqlite3
import tempfile
import threading
import time

from faultlib import (FULL, Audit, Client, DiskFaults, Hub, Load, SlowEngine, Tap, assert_first, end_engines, engines, kill9,
                      mixed, records, status, tenant, unstarted, wait_for)

LOOPS = int(os.environ.get('LOOPS', '100' if FULL else '3'))
SEED = int(os.environ.get('SEED', '1'))


class Run:
    def __init__(self):
        self.rng = random.Random(SEED)
        self.data = tempfile.mkdtemp(prefix='bbk-', dir='/tmp')
        self.engine = SlowEngine()
        self.responses = []
        self.restart_s = []
        self.faults = DiskFaults(self.data)
        self.hub = Hub(data=self.data, env=self.faults.env)
        self.engine.add_to(self.hub)

    def loop(self, number):
        hub = self.hub
        if number % 2 == 0:
            self.faults.fail('slow', self.rng.randint(1, 4))
        load = Load(hub, self.rng.randint(8, 16), f'{SEED}/{number}', mixed)
        time.sleep(self.rng.uniform(0.1, 1.5))
        kill9(hub)
        killed = time.monotonic()
        new = load.stop()
        self.responses += new
        gone = wait_for('engines of a killed hub are gone', lambda: not engines(os.fsencode(self.data)),
                        1 - min(0.9, time.monotonic() - killed))
        self.faults.heal()
        complaints = self.audit().complaints
        start = time.monotonic()
        hub.start()
        self.restart_s.append(time.monotonic() - start)
        t, s = tenant(hub), status(hub)
        if t['held'] != 0 or s['leases'] != 0:
            complaints.append(('held', f'after a restart, before any traffic: {t}, {s["leases"]} leases'))
        if t['budget'] - t['spent'] - t['held'] != t['available']:
            complaints.append(('balance', str(t)))
        if complaints:
            raise AssertionError('\n'.join(f'{kind}: {text}' for kind, text in complaints[:20]))
        r = Client(hub.port, hub.key).talk(max_tokens=5)
        self.responses.append(r)
        if not r.complete:
            raise AssertionError(f'no answer after the restart: {r}')
        done = [x for x in new if x.complete]
        return f'{len(new)} requests, {len(done)} complete, engines gone after {gone:.2f} s'

    def audit(self, path=None):
        a = Audit(path or os.path.join(self.data, 'busbar.db'))
        a.clients(self.responses, self.engine.sent)
        return a

    def api_agrees(self):
        """The API's records are the journal's."""
        wait_for('leases return', lambda: status(self.hub)['leases'] == 0, 25, 0.2)
        shown, spent = records(self.hub), tenant(self.hub)['spent']
        self.hub.stop()
        a = self.audit()
        assert not a.complaints, a.complaints[:20]
        ours = [(m.number, m.request, m.prompt, m.completion, m.status) for m in a.meters]
        theirs = [(r['event'], r['request'], r['prompt_tokens'], r['completion_tokens'], r['status']) for r in shown]
        assert ours == theirs, f'{len(ours)} records in the journal, {len(theirs)} in the API'
        assert sum(a.spent.values()) == spent
        return f'{len(shown)} records, spent {spent} nano-units, journal of {a.events} events'


# ---- one wrong planted in a copy; the audit must name its kind ----

def last_meter(db, a):
    """Row, offset and length of the last meter entry."""
    number = a.meters[-1].number
    first, events = db.execute('SELECT first, events FROM bb_journal WHERE first <= ? ORDER BY first DESC LIMIT 1',
                               (number,)).fetchone()
    offset = 0
    for _ in range(number - first):
        offset += 16 + int.from_bytes(events[offset:offset + 4], 'little')
    return first, number - first, events, offset, 16 + int.from_bytes(events[offset:offset + 4], 'little')


def plant_row_lost(db, _):
    db.execute('DELETE FROM bb_journal WHERE first = (SELECT MAX(first) FROM bb_journal)')


def plant_row_lost_inside(db, a):
    middle = a.meters[len(a.meters) // 2].number
    db.execute('DELETE FROM bb_journal WHERE first <= ? AND first + count > ?', (middle, middle))


def plant_record_lost(db, a):
    """Cleverly: the rest of the journal, its numbers and its leaves, closes the gap."""
    first, i, events, offset, size = last_meter(db, a)
    leaves = db.execute('SELECT leaves FROM bb_journal WHERE first = ?', (first,)).fetchone()[0]
    db.execute('UPDATE bb_journal SET count = count - 1, events = ?, leaves = ? WHERE first = ?',
               (events[:offset] + events[offset + size:], leaves[:32 * i] + leaves[32 * i + 32:], first))
    db.execute('DELETE FROM bb_journal WHERE count = 0')
    db.execute('UPDATE bb_journal SET first = -first WHERE first > ?', (first,))
    db.execute('UPDATE bb_journal SET first = -first - 1 WHERE first < 0')
    db.execute('UPDATE bb_core SET events = events - 1')


def plant_record_twice(db, a):
    first, i, events, offset, size = last_meter(db, a)
    leaves = db.execute('SELECT leaves FROM bb_journal WHERE first = ?', (first,)).fetchone()[0]
    at = db.execute('SELECT MAX(first + count) FROM bb_journal').fetchone()[0]
    db.execute('INSERT INTO bb_journal VALUES (?, 1, ?, ?)', (at, events[offset:offset + size],
                                                              leaves[32 * i:32 * i + 32]))
    db.execute('UPDATE bb_core SET events = events + 1')


def plant_leaf(db, a):
    first, i, _, _, _ = last_meter(db, a)
    leaves = bytearray(db.execute('SELECT leaves FROM bb_journal WHERE first = ?', (first,)).fetchone()[0])
    leaves[32 * i] ^= 1
    db.execute('UPDATE bb_journal SET leaves = ? WHERE first = ?', (bytes(leaves), first))


def plant_tokens(db, a):
    first, _, events, offset, _ = last_meter(db, a)
    events = bytearray(events)
    events[offset + 4 + 20 + 152 + 8] ^= 1  # completion tokens
    db.execute('UPDATE bb_journal SET events = ? WHERE first = ?', (bytes(events), first))


def plant_spent(db, _):
    db.execute('UPDATE bb_account SET debits_posted = debits_posted + 1 WHERE code = 1 AND debits_posted > 0')


def plant_log_entry(db, _):
    first, entries = db.execute('SELECT first, entries FROM bb_log ORDER BY first DESC LIMIT 1').fetchone()
    db.execute('UPDATE bb_log SET entries = ? WHERE first = ?', (entries.replace(b'"code":0', b'"code":1', 1), first))


def plant_log_lost(db, _):
    db.execute('DELETE FROM bb_log WHERE first = (SELECT MAX(first) FROM bb_log)')


PLANTED = [('a leaf of the log says something else', plant_log_entry, 'log'),
           ('leaves of the log are lost', plant_log_lost, 'log'),
           ('the last journal row is lost', plant_row_lost, 'end'),
           ('a journal row inside is lost', plant_row_lost_inside, 'chain'),
           ('a record is lost without a trace in the journal', plant_record_lost, 'lost'),
           ('... and the money does not add up', plant_record_lost, 'spent'),
           ('a record is there twice', plant_record_twice, 'twice'),
           ('... under a number used before', plant_record_twice, 'sequence'),
           ('one bit of a leaf differs', plant_leaf, 'leaf'),
           ('one bit of a record differs', plant_tokens, 'leaf'),
           ('... and its price', plant_tokens, 'price'),
           ('the ledger is off by one nano-unit', plant_spent, 'spent'),
           ('... and debits are not credits', plant_spent, 'balance')]


def planted(run, plant, kind):
    copy = os.path.join(run.data, 'planted.db')
    shutil.copy(os.path.join(run.data, 'busbar.db'), copy)
    clean = run.audit(copy)
    # The last record must be one that a client knows of.
    known = {r.id for r in run.responses if r.complete}
    while clean.meters[-1].request not in known or not clean.meters[-1].flags & 2:
        clean.meters.pop()
    db = sqlite3.connect(copy)
    try:
        plant(db, clean)
        db.commit()
    finally:
        db.close()
    found = run.audit(copy).kinds()
    os.unlink(copy)
    assert kind in found, f'not found: {found}'
    return f'found as: {", ".join(sorted(found))}'


# ---- the very first start ----

def first_start(rng):
    """Killed while it sets up a new folder: the next start serves, and the operator can get in.

    From the folder for models on: before that there is nothing that could be half done.
    """
    folder = tempfile.mkdtemp(prefix='bbf-', dir='/tmp')
    hub = unstarted(pathlib.Path(folder) / 'd')
    moment = rng.uniform(0.0, 0.06)
    starter = threading.Thread(target=lambda: swallow(hub.start), daemon=True)
    starter.start()
    models = hub.data / 'models'
    wait_for('the folder fills', lambda: hub.process and models.exists(), 10, 0)
    time.sleep(moment)
    kill9(hub)
    starter.join(10)
    try:
        assert_first(hub)
    except Exception as e:
        raise AssertionError(f'killed after {moment * 1000:.1f} ms: {e}') from e
    finally:
        if hub.process and hub.alive():
            hub.stop()
        end_engines(folder)
        shutil.rmtree(folder, ignore_errors=True)


def first_starts(rng, count):
    bad = []
    for _ in range(count):
        try:
            first_start(rng)
        except AssertionError as e:
            bad.append(str(e))
    assert not bad, f'{len(bad)} of {count}\n' + '\n'.join(bad)
    return f'{count} times'


def swallow(function):
    try:
        function()
    except Exception:  # pylint: disable=broad-except
        pass


def main():
    tap = Tap()
    start = time.monotonic()
    run = Run()
    for number in range(1, LOOPS + 1):
        if not tap.case(f'kill -9 number {number}', run.loop, number):
            break
    if tap.bad == 0:
        tap.case('after the last one the API, the journal and the ledger agree', run.api_agrees)
    done = [r for r in run.responses if r.complete]
    cut = [r for r in run.responses if r.kind == 'stream' and r.status == 200 and not r.complete and not r.aborted]
    if tap.bad == 0:
        for name, plant, kind in PLANTED:
            tap.case(f'planted: {name}', planted, run, plant, kind)
    a = run.audit() if not run.hub.alive() else None
    tap.note(f'loops {LOOPS}, requests {len(run.responses)}, complete {len(done)}, records {len(a.meters) if a else "?"}, '
             f'streams cut by a kill {len(cut)}, start takes {max(run.restart_s, default=0):.2f} s at most, '
             f'{time.monotonic() - start:.0f} s in all, seed {SEED}')
    if run.hub.alive():
        run.hub.stop()
    run.engine.close()
    end_engines(run.data)
    if tap.bad == 0 or not os.environ.get('KEEP'):
        shutil.rmtree(run.data, ignore_errors=True)
    rng = random.Random(SEED)
    tap.case('kill -9 during the very first start', first_starts, rng, 40 if FULL else 6)
    tap.done()


main()
