#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What an overseer reads and what an auditor does again: the report, a recall of weights at two sites of which one is cut off, and the
journal of the hub that did all this replayed, also when a byte of it, or of what came of it, was changed.
"""
import base64
import csv
import hashlib
import http.server
import io
import json
import os
import pathlib
import shutil
import sqlite3
import struct
import tempfile
import uuid
import threading

from second_door import Door
from site_agent import CONFIG, Field, Site
from wire import Wire
from workbench import FAILED, FULL, NOT_ALLOWED, NOT_FOUND, OK, USAGE, Tap, busbar, need, same, wait_for

MODEL = pathlib.Path(os.environ['BUSBAR_BIN']).resolve().parent.parent / 'data' / 'models' / 'stories.gguf'
TENANTS = ('ash', 'birch', 'cedar')


class World(Field):
    """Beside the site north there is south, over a wire that can be cut."""

    def __init__(self, folder):
        super().__init__(args=('--snapshot-every', '10'))
        self.folder, self.wire, self.south = pathlib.Path(folder), Wire(0, 1e12), Site()
        self.south.enter(self.bench, 'south', self.wire, jurisdiction='CN')
        (self.south.data / 'site.yaml').write_text(CONFIG.format(data=self.south.data))
        self.run_south()
        self.keys, self.door = {}, Door(self.bench, 'elsewhere')
        self.door.join()
        self.door.run()

    def run_south(self):
        self.south.run()
        wait_for(lambda: self.bench.api('GET', '/api/v1/sites/south')['serves'] is not None, 'the hub knows what south can do', 20)

    def __exit__(self, *exc):
        self.door.end()
        self.south.end()
        self.wire.end()
        super().__exit__(*exc)


def add(w, name, path):
    same(w.bench.run('model', 'add', name, str(path), '--price-prompt', '1', '--price-completion', '2').returncode, OK, name)
    return w.bench.api('GET', f'/api/v1/models/{name}')['variants'][0]['sha256']


def works(w):
    """Three tenants ask and run jobs; one of them runs something where the others do not."""
    other = w.folder / 'other.gguf'
    other.write_bytes(MODEL.read_bytes() + bytes(64))
    w.digest = add(w, 'story', MODEL)
    same(add(w, 'twin', MODEL), w.digest, 'the same weights under another name')
    need(add(w, 'other', other) != w.digest, 'other weights')
    for args in (('story', '--site', 'north,south', '--replicas', '2'), ('twin',), ('other',)):
        done = w.bench.run('deploy', *args)
        same(done.returncode, OK, done.stderr)
    for name, n in (('story', 2), ('twin', 1), ('other', 1)):
        w.bench.wait_ready(name, n, 40)
    for tenant in TENANTS:
        w.bench.api('POST', '/api/v1/tenants', {'name': tenant, 'budget': '100'})
        w.keys[tenant] = w.bench.add_key('k', tenant=tenant)['key']
        for model in ('story', 'twin', 'other'):
            same(w.bench.chat(w.keys[tenant], model, max_tokens=4).status, 200, (tenant, model))
        wait_for(lambda key=w.keys[tenant]: w.door.chat(key, 'twin', max_tokens=4).status == 200, 'an answer at the other door', 10)
    jobs = [w.submit('sleep 0.2', tenant=tenant, site='north') for tenant in TENANTS]
    jobs.append(w.submit('sleep 0.2', tenant='cedar', site='south'))
    for job in jobs:
        same(w.ended(job)['state'], 'ended', job)
    for tenant in TENANTS:
        w.bench.settle(tenant)
    backup = w.folder / 'backup'
    same(w.bench.run('backup', str(backup)).returncode, OK, 'a backup')


def billed(w):
    with sqlite3.connect(w.bench.data / 'busbar.db') as db:
        names = ('requests', 'prompt', 'cached', 'completion', 'reasoning', 'chip_ms', 'energy_mj', 'carbon_ng', 'bytes')
        sums = db.execute('SELECT ' + ', '.join(f'COALESCE(SUM({n}), 0)' for n in names) + ' FROM bb_bill').fetchone()
    return dict(zip((n + ('_tokens' if n in ('prompt', 'cached', 'completion', 'reasoning') else '') for n in names), sums))


def report(w):
    """Its sums are those of the lines that tenants are billed by; it names none of them, and nothing that only one did."""
    overseer = w.bench.add_key('eye', scopes=['overseer'])['key']
    wait_for(lambda: not [j for j in w.bench.api('GET', '/api/v1/jobs')['data'] if j['state'] in ('queued', 'running')], 'all is over', 20)
    reply = w.bench.request('GET', '/api/v1/audit/report?home=CN', key=overseer)
    same(reply.status, 200, reply.body)
    found, lines = reply.json(), billed(w)
    need(lines['chip_ms'] > 0 and lines['completion_tokens'] > 0, lines)
    same({k: found['total'][k] for k in lines}, lines, 'sums')
    same({k: sum(v[k] for v in found['volumes']) for k in lines}, lines, 'sums of the cells')
    chips = {(v['chip'], v['jurisdiction']) for v in found['volumes']}
    need(('h20', 'CN') not in chips and ('other', 'other') in chips, 'what one tenant did at south is no cell of its own', chips)
    for word in (*TENANTS, *[w.bench.api('GET', f'/api/v1/tenants/{t}')['id'] for t in TENANTS], *[k[:12] for k in w.keys.values()]):
        need(word not in reply.body.decode(), word)
    month, = found['self_supply']
    same((month['chip_ms'], month['tokens']), (lines['chip_ms'], sum(v for k, v in lines.items() if k.endswith('_tokens'))), 'the month')
    same(month['home_site_chip_ms'], None, 'what one tenant had at south')
    home = w.bench.api('GET', '/api/v1/sites/north')['jurisdiction']
    for there, told in ((home, None), ('ZZ', 0)):  # north less all is south
        month, = w.bench.api('GET', f'/api/v1/audit/report?home={there}')['self_supply']
        same(month['home_site_chip_ms'], told, there)
    rows = list(csv.DictReader(io.StringIO(w.bench.request('GET', '/api/v1/audit/report/csv?home=CN', local=True).body.decode())))
    same([r['what'] for r in rows if r['section'] == 'self-supply' and r['what'] == 'home sites'], [], 'nor in CSV')
    rows = list(csv.DictReader(io.StringIO(w.bench.run('audit', 'report', '--form', 'csv').stdout)))
    same({k: sum(int(r[k]) for r in rows if r['section'] == 'volume') for k in lines}, lines, 'sums of the CSV')
    table = w.bench.run('audit', 'report')
    need(table.returncode == OK and 'volumes' in table.stdout and 'other' in table.stdout, table.stdout, table.stderr)
    for query in ('month=2026-13', 'since=yesterday', 'since=2999-01-01', 'month=2026-01&since=2026-01-01'):
        same(w.bench.request('GET', f'/api/v1/audit/report?{query}', local=True).status, 400, query)
    empty = w.bench.api('GET', '/api/v1/audit/report?month=1999-01')
    same((empty['volumes'], empty['total']['chip_ms'], empty['self_supply']), ([], 0, []), 'a month of which nothing is known')


def recall_of(w):
    found, = [r for r in w.bench.api('GET', '/api/v1/recalls')['data'] if r['digest'] == w.digest and not r['lifted']]
    return found


def blobs(site):
    return [p.name[:64] for p in (site.data / 'blobs').iterdir()]


def recalls(w):
    """The weights stop at the hub, at north, and at south once it is back; until then they are not said to be gone."""
    for body in ({'digest': w.digest}, {'digest': 'x', 'reason': 'y'}, {'digest': w.digest, 'reason': ''},
                 {'digest': '0' * 64, 'reason': 'y'}, {'digest': w.digest, 'reason': 'a\nb'}, {'digest': w.digest, 'reason': 'x' * 500}):
        same(w.bench.request('POST', '/api/v1/recalls', body, local=True).status, 400, body)
    same(w.bench.run('model', 'recall', w.digest).returncode, USAGE, 'no reason')
    same(w.bench.run('model', 'recall', w.digest, '--lift').returncode, NOT_FOUND, 'it was not recalled')
    need(w.digest in blobs(w.site) and w.digest in blobs(w.south), 'both sites have the weights')
    w.wire.cut()
    done = w.bench.run('model', 'recall', 'sha256:' + w.digest, '--reason', 'it leaks its training data')
    same(done.returncode, OK, done.stderr)
    same(w.bench.run('model', 'recall', w.digest, '--reason', 'again').returncode, FAILED, 'twice')
    for model in ('story', 'twin'):
        reply = w.bench.chat(w.keys['ash'], model, max_tokens=2)
        same((reply.status, reply.json()['error']['code']), (410, 'model_recalled'), reply.body)
        reply = w.bench.request('POST', '/api/v1/deployments', {'model': model}, local=True)
        need(reply.status in (409, 410), reply.body)
    # Who asked there just before it knew waits for a replica, as at an undeploy: another one asks.
    def knows():
        try:
            return w.door.chat(w.keys['ash'], 'twin', max_tokens=2, timeout=1.5).status == 410
        except OSError:
            return False
    wait_for(knows, 'at the other door as well', 20)
    same(w.bench.chat(w.keys['ash'], 'other', max_tokens=2).status, 200, 'other weights go on')
    wait_for(lambda: w.digest not in blobs(w.site), 'north has dropped them', 20)
    same(w.bench.deployment('twin'), None, 'nor does the hub serve them')
    found = wait_for(lambda: (r := recall_of(w))['replicas'] == 1 and r, 'one is left', 20)
    same((found['gone'], found['models']), (None, ['story', 'twin']), 'at south they may still be')
    w.bench.kill()
    w.bench.start()
    same(w.bench.chat(w.keys['ash'], 'twin', max_tokens=2).status, 410, 'after a restart')
    same(recall_of(w)['gone'], None, 'it was not forgotten')
    w.south.kill()  # its engine goes with it, its weights stay
    need(w.digest in blobs(w.south), 'they are there')
    w.wire.heal()
    w.south.run()
    found = wait_for(lambda: (r := recall_of(w))['gone'] and r, 'the last replica is gone', 30)
    wait_for(lambda: w.digest not in blobs(w.south), 'south has dropped them', 10)
    need(w.bench.api('GET', '/api/v1/audit/report')['recalls'][0]['gone'] == found['gone'], 'it is in the report')
    table = w.bench.run('model', 'recalls').stdout
    need(found['gone'] in table and 'leaks' in table, table)


def receipt(w):
    """Both that it was asked for and that it is done are in the log; whoever has a key can open it."""
    ident = recall_of(w)['id']
    path = w.folder / 'recall.json'
    path.write_bytes(w.bench.request('GET', f'/v1/receipts/{ident}', key=w.keys['birch']).body)
    facts = [{f['name']: f['value'] for f in r['facts']} for r in json.loads(path.read_text())['records']]
    same([('gone_ms' in f, f['weights'], f['reason']) for f in facts],
         [(gone, 'sha256:' + w.digest, 'it leaks its training data') for gone in (False, True)], 'facts')
    busbar(OK, 'receipt', 'verify', path, '--key', w.bench.data / 'log' / 'vkey')


def lifts(w):
    same(w.bench.run('model', 'recall', w.digest, '--lift').returncode, OK, 'lift')
    same(w.bench.chat(w.keys['ash'], 'twin', max_tokens=2).status, 503, 'what was stopped stays so')
    done = w.bench.run('deploy', 'twin')
    same(done.returncode, OK, done.stderr)
    w.bench.wait_ready('twin', 1, 30)
    same(w.bench.chat(w.keys['ash'], 'twin', max_tokens=2).status, 200, 'and can be deployed again')
    need(all(r['lifted'] for r in w.bench.api('GET', '/api/v1/recalls')['data']), 'lifted')


class Hub(http.server.BaseHTTPRequestHandler):
    """A hub that answers what the auditor must not take."""
    listing, asked = {}, 0

    def do_GET(self):  # noqa: N802
        Hub.asked += 1
        if Hub.asked > 20 and not self.path.startswith('/v1/'):
            return  # who still asks would never end
        body = (json.dumps(self.listing) if self.path.startswith('/api/') else '{}').encode()
        self.send_response(200)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        pass


def liars(w):
    """What a hub calls an id, and pages that go round, end the export, and nothing is written beside its folder."""
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ident = '01890000-0000-7000-8000-000000000000'
    row = {'request': ident, 'id': ident}
    away = '../' * 2 + 'x' * 30
    for n, (listing, words) in enumerate((({'data': [{'request': away, 'id': away}], 'next': None}, 'no id'),
                                          ({'data': [], 'next': 'a'}, 'go on'), ({'data': [row], 'next': 'a'}, 'go on'),
                                          ({'data': [row], 'next': 'a' * 300}, 'go on'))):
        Hub.listing, Hub.asked = listing, 0
        done = busbar(FAILED, 'audit', 'export', f'http://127.0.0.1:{server.server_port}', '--key', w.keys['ash'], '--out', w.folder / f'l{n}')
        need(words in done.stderr, listing, done.stderr)
        need(Hub.asked <= 4 and not list(w.folder.glob('x' * 30 + '*')), Hub.asked)
    server.shutdown()


def one_id(w):
    """Records of two tenants under one id are told each to its own; too many are an error, not fewer."""
    birch, many = w.bench.api('GET', '/api/v1/usage/records?tenant=birch')['data'][0]['request'], '01890000-0000-7000-8000-000000000001'
    ash = bytes.fromhex(w.bench.api('GET', '/api/v1/tenants/ash')['id'].replace('-', ''))
    with sqlite3.connect(w.bench.data / 'busbar.db', timeout=20) as db:
        db.execute('INSERT INTO bb_receipt (id, leaf, tenant, facts) SELECT ?, MIN(leaf), tenant, facts FROM bb_receipt WHERE tenant = ?',
                   (bytes.fromhex(birch.replace('-', '')), ash))
        db.execute('WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4097) '
                   'INSERT INTO bb_receipt (id, leaf, tenant, facts) SELECT ?, i, ?, \'\' FROM n', (bytes.fromhex(many.replace('-', '')), ash))
    for tenant, n in (('birch', 1), ('ash', 1), ('cedar', 0)):
        reply = w.bench.request('GET', f'/v1/receipts/{birch}', key=w.keys[tenant])
        same((reply.status, len(reply.json()['records']) if n else 0), (200 if n else 404, n), tenant)
    same(len(w.bench.request('GET', f'/v1/receipts/{birch}', local=True).json()['records']), 2, 'the operator')
    same(w.bench.request('GET', f'/v1/receipts/{many}', key=w.keys['ash']).status, 413, 'too many')


def exports(w):
    """A tenant takes the log and what it may open; the operator everything, also while the hub runs."""
    key = w.bench.add_key('auditor', tenant='birch', scopes=['admin', 'jobs'])['key']
    mine, all_of_it = w.folder / 'mine', w.folder / 'all'
    vkey = w.bench.data / 'log' / 'vkey'
    busbar(OK, 'audit', 'export', w.bench.address, '--key', key, '--out', mine)
    files = sorted((mine / 'receipts').iterdir())
    need(len(files) >= 5, 'four answers and a job', files)
    ident = w.bench.api('GET', '/api/v1/tenants/birch')['id']
    for path in files:
        busbar(OK, 'receipt', 'verify', path, '--key', vkey)
        for record in json.loads(path.read_text())['records']:
            same([f['value'] for f in record['facts'] if f['name'] == 'tenant'], [ident], path)
    busbar(OK, 'audit', 'verify', mine / 'log', '--key', vkey)
    busbar(FAILED, 'audit', 'export', w.bench.address, '--key', key, '--out', mine)
    eye = w.bench.add_key('none', tenant='birch', scopes=['overseer'])['key']
    busbar(NOT_ALLOWED, 'audit', 'export', w.bench.address, '--key', eye, '--out', w.folder / 'none')
    busbar(OK, 'audit', 'export', w.bench.data, '--out', all_of_it)
    busbar(OK, 'audit', 'verify', all_of_it / 'log', '--key', vkey)
    same(replay(OK, all_of_it)['result'], 'the same', 'the copy')
    busbar(NOT_FOUND, 'audit', 'export', w.folder, '--out', w.folder / 'no')
    busbar(USAGE, 'audit', 'export', w.bench.data)
    return f'{len(files)} receipts'


# ---- the journal again ----

def replay(status, folder, *more):
    return json.loads(busbar(status, 'audit', 'replay', folder, '--json', *more, timeout=300).stdout)


def clean(w):
    """What a hub did that was killed once is decided and billed the same again; from a backup on as well."""
    need(b'' != busbar(FAILED, 'audit', 'replay', w.bench.data).stderr, 'while a hub runs it says so')
    for tenant in TENANTS:
        w.bench.settle(tenant)
    same(w.bench.stop(), 0, 'the hub ends')
    before = hashlib.sha256((w.bench.data / 'busbar.db').read_bytes()).hexdigest()
    found = replay(OK, w.bench.data)
    with sqlite3.connect(w.bench.data / 'busbar.db') as db:
        events, = db.execute('SELECT MAX(first + count) FROM bb_journal').fetchone()
        leaves, = db.execute('SELECT SUM(count) FROM bb_log').fetchone()
    same((found['result'], found['first'], found['events'], found['leaves'], found['starts']), ('the same', 0, events, leaves, 2), found)
    same(hashlib.sha256((w.bench.data / 'busbar.db').read_bytes()).hexdigest(), before, 'the data')
    part = replay(OK, w.bench.data, '--from', w.folder / 'backup')
    need(part['result'] == 'the same' and 0 < part['first'] < events, part)
    told = [e for e in Copy(w).entries() if kind_of(e[3]) == DIGEST]
    same((found['states'], len(told) >= 3), (len(told), True), 'digests of the state, after each 10 events')
    need(0 < part['states'] < found['states'], 'from a backup on, whose rows are in another order in memory', part)
    same(replay(OK, w.folder / 'backup')['events'], part['first'], 'a backup by itself')
    busbar(NOT_FOUND, 'audit', 'replay', w.folder)
    busbar(FAILED, 'audit', 'replay', w.folder / 'backup', '--from', w.bench.data)
    size, root = (w.bench.data / 'log' / 'checkpoint').read_text().split('\n')[1:3]
    same((found['tree'], found['checkpoint']), (leaves, int(size)), 'leaves')
    need(int(size) < leaves or found['root'] == root, found)
    return f'{events} events, {leaves} leaves'


def log_gone(w):
    """A log that was taken away, or is another than was published, is not the same."""
    copy = Copy(w)
    with sqlite3.connect(copy.folder / 'busbar.db') as db:
        db.execute('DELETE FROM bb_log')
        db.execute('DELETE FROM bb_log_edge')
    found = replay(FAILED, copy.folder)
    same((found['result'], found['leaves']), ('no log was compared', 0), found)
    copy = Copy(w)
    same(replay(OK, copy.folder)['checkpoint'], 0, 'there is none')
    shutil.copytree(w.bench.data / 'log', copy.folder / 'log')
    path = copy.folder / 'log' / 'checkpoint'
    lines = path.read_text().split('\n')
    need(replay(OK, copy.folder)['checkpoint'] == int(lines[1]), lines)
    for change in ((1, str(int(lines[1]) - 1)), (1, str(int(lines[1]) + 1)), (2, base64.b64encode(bytes(32)).decode())):
        path.write_text('\n'.join([*lines[:change[0]], change[1], *lines[change[0] + 1:]]))
        done = busbar(FAILED, 'audit', 'replay', copy.folder, '--json')
        need('checkpoint' in done.stdout or 'not whole' in done.stderr, change, done.stdout, done.stderr)
    shutil.copy(w.folder / 'backup' / 'busbar.db', copy.folder / 'busbar.db')
    path.write_text('\n'.join(lines))
    found = replay(OK, copy.folder)
    need(found['tree'] < found['checkpoint'] == int(lines[1]), 'the log of a younger hub extends it', found)


class Copy:
    """The stopped hub's database, to be changed."""

    def __init__(self, w):
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=w.folder))
        db = sqlite3.connect(w.bench.data / 'busbar.db')  # with what is still in its write-ahead log
        db.execute('VACUUM INTO ?', (str(self.folder / 'busbar.db'),))
        db.close()

    def change(self, sql, *values):
        with sqlite3.connect(self.folder / 'busbar.db') as db:
            need(db.execute(sql, values).rowcount == 1, sql)

    def entries(self):
        """(event, first of its row, offset, bytes) of each event."""
        with sqlite3.connect(self.folder / 'busbar.db') as db:
            for first, data in db.execute('SELECT first, events FROM bb_journal ORDER BY first'):
                at, event = 0, first
                while at < len(data):
                    n = 16 + struct.unpack_from('<I', data, at)[0]
                    yield event, first, at, data[at:at + n]
                    at, event = at + n, event + 1

    def put(self, event, first, at, entry, hashed=True):
        """Another entry in place of that one, of the same length; with its hash, unless that is left."""
        with sqlite3.connect(self.folder / 'busbar.db') as db:
            data, leaves = db.execute('SELECT events, leaves FROM bb_journal WHERE first = ?', (first,)).fetchone()
            data = data[:at] + entry + data[at + len(entry):]
            if hashed:
                i = 32 * (event - first)
                leaves = leaves[:i] + hashlib.sha256(b'\0' + entry).digest() + leaves[i + 32:]
            db.execute('UPDATE bb_journal SET events = ?, leaves = ? WHERE first = ?', (data, leaves, first))


def kind_of(entry):
    return struct.unpack_from('<H', entry, 6)[0]


METER, END, RECALL, JOB_SUBMIT, DIGEST = 43, 63, 140, 61, 150


def changed_rows(w):
    """One row of what came of it is another: told is which."""
    for table, sql in (('account', 'UPDATE bb_account SET debits_posted = debits_posted + 1 WHERE rowid = (SELECT MAX(rowid) FROM bb_account)'),
                       ('bill', 'UPDATE bb_bill SET chip_ms = chip_ms + 1 WHERE rowid = (SELECT MIN(rowid) FROM bb_bill)'),
                       ('job', 'UPDATE bb_job SET pool = zeroblob(16) WHERE rowid = (SELECT MAX(rowid) FROM bb_job)'),
                       ('transfer', 'DELETE FROM bb_transfer WHERE rowid = (SELECT MAX(rowid) FROM bb_transfer)'),
                       ('recall', "INSERT INTO bb_recall (id, reason) VALUES (x'00112233445566778899aabbccddeeff', 'x')")):
        copy = Copy(w)
        copy.change(sql)
        found = replay(FAILED, copy.folder)
        need('event' not in found and found['kind'].startswith(table + ' ') and found['kept'] != found['made'], table, found)


def changed_journal(w):
    """A byte of the journal is another: told is the event, whether its hash was made anew or not."""
    copy = Copy(w)
    picked = [e for e in copy.entries() if kind_of(e[3]) in (METER, END, JOB_SUBMIT, RECALL)]
    need({kind_of(e[3]) for e in picked} == {METER, END, JOB_SUBMIT, RECALL}, 'there are such')
    step = 1 if FULL else max(1, len(picked) // 3)
    for event, first, at, entry in picked[::step]:
        for hashed in (False, True):
            copy = Copy(w)
            copy.put(event, first, at, entry[:8] + bytes([entry[8] ^ 1]) + entry[9:], hashed)  # its time, by a millisecond
            found = replay(FAILED, copy.folder)
            same(found['event'], event, found)


def changed_decision(w):
    """An event was accepted, and the journal says that it was refused, with a hash that fits; or the leaf's salt is another, so that
    it commits to another decision."""
    copy = Copy(w)
    event, first, at, entry = [e for e in copy.entries() if kind_of(e[3]) == JOB_SUBMIT][-1]
    copy.put(event, first, at, entry[:-12] + struct.pack('<iq', -2, 0))
    found = replay(FAILED, copy.folder)
    same((found['event'], found['kind'], found['kept'], found['made']), (event, 'job_submit', 'NOT_FOUND, 0', 'accepted, 0'), found)
    with sqlite3.connect(copy.folder / 'busbar.db') as db:
        leaf, count, entries = db.execute('SELECT first, count, entries FROM bb_log WHERE first > 3 LIMIT 1').fetchone()
    n = struct.unpack_from('>H', entries)[0]
    told = json.loads(entries[2:2 + n])
    copy = Copy(w)
    other = entries[2:2 + n].replace(told['decision'].encode(), told['entry'].encode())
    copy.change('UPDATE bb_log SET entries = ? WHERE first = ?', entries[:2] + other + entries[2 + n:], leaf)
    found = replay(FAILED, copy.folder)
    same((found['event'], found['what']), (told['event'], 'the commitment to what it led to'), found)
    copy = Copy(w)
    copy.change('DELETE FROM bb_log WHERE first = ?', leaf)
    same(replay(FAILED, copy.folder)['event'], told['event'], 'a leaf that is gone')
    need(count > 0, count)


def changed_state(w):
    """The hub told another digest than that of its state: told is which, before what depends on it. Its receipt is for any key."""
    event, first, at, entry = [e for e in Copy(w).entries() if kind_of(e[3]) == DIGEST][1]
    copy = Copy(w)
    copy.put(event, first, at, entry[:-13] + bytes([entry[-13] ^ 1]) + entry[-12:])  # before code and amount
    found = replay(FAILED, copy.folder)
    marked, = struct.unpack('<Q', entry[-12 - 40:-12 - 32])
    same((found['event'], found['kind'], found['what'], found['states']),
         (event, 'state_digest', f'the digest of the state before event {marked}', 1), found)
    same((found['made'], found['kept'][:-2]), (entry[-44:-12].hex(), found['made'][:-2]), found)
    ident = str(uuid.UUID(bytes=entry[-12 - 56:-12 - 40]))
    with sqlite3.connect(w.bench.data / 'busbar.db') as db:
        facts, = db.execute('SELECT facts FROM bb_receipt WHERE id = ?', (uuid.UUID(ident).bytes,)).fetchone()
    facts = dict(line.split(' ', 1) for line in (facts if isinstance(facts, str) else facts.decode()).strip().split('\n'))
    same((facts['snapshot'], facts['event'], facts['state']), (ident, str(marked), f'sha256:{found["made"]}'), facts)


def changed_between(w):
    """A row was changed while no hub ran: told is the start that took it for its own."""
    with sqlite3.connect(w.bench.data / 'busbar.db') as db:
        events, = db.execute('SELECT MAX(first + count) FROM bb_journal').fetchone()
        same(db.execute("UPDATE bb_site SET owner = 'me' WHERE name = 'north'").rowcount, 1, 'a row')
    w.bench.start()
    w.bench.stop()
    found = replay(FAILED, w.bench.data)
    same((found['event'], found['kind'], found['what']), (events, 'hub_boot', 'the commitment to its facts'), found)


def main():
    tap = Tap()
    with tempfile.TemporaryDirectory(prefix='bba-', dir='/tmp') as folder, World(folder) as w:
        for name, case in (('work of three tenants', works), ('the report', report), ('a recall with a site cut off', recalls),
                           ('its receipt', receipt), ('it is lifted', lifts), ('two tenants under one id', one_id), ('exported', exports),
                           ('hubs that lie', liars), ('replayed', clean), ('the log is gone', log_gone), ('a row is changed', changed_rows),
                           ('the journal is changed', changed_journal), ('a decision is changed', changed_decision), ('a digest of the state is changed', changed_state),
                           ('a row is changed between two runs', changed_between)):
            tap.case(name, case, w)
    tap.done()


if __name__ == '__main__':
    main()
