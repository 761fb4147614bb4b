#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The transparency log of a running hub: published, checked by busbar and by a reader that shares no code with it.

Answers and jobs have receipts; a hub that is killed goes on with the same log; a hub that is given older data gets no
signature for another history.
"""
import base64
import hashlib
import json
import os
import pathlib
import random
import shutil
import socket
import subprocess
import tempfile

from workbench import FAILED, FULL, NOT_FOUND, OK, ROOT, USAGE, Bench, Tap, busbar, nano, need, replied, same, wait_for

PEER = ROOT / 'tests' / 'e2e' / 'log_peer' / 'main.go'
GOCODE = '/usr/share/gocode'  # of golang-golang-x-mod-dev
SEED = int(os.environ.get('BUSBAR_SEED') or 1)
ENGINES = f'{ROOT / ".deps" / "llama" / "bin"}:{os.environ["PATH"]}'
FLIPS = 2500 if FULL else 40


class Log:
    """A hub with a log, its key kept from the first day as a careful reader does."""

    def __init__(self, hub, folder):
        self.folder = pathlib.Path(folder)
        self.hub = hub
        self.dir = self.hub.data / 'log'
        self.hub.wait_ready()
        wait_for(lambda: (self.dir / 'checkpoint').exists(), 'a checkpoint')
        self.key = (self.dir / 'vkey').read_text().strip()
        self.kept = self.folder / 'kept'
        shutil.copy(self.dir / 'checkpoint', self.kept)
        self.receipt = self.folder / 'receipt.json'

    def size(self):
        return int((self.dir / 'checkpoint').read_text().split('\n')[1])

    def url(self):
        return self.hub.address

    def settled(self):
        """Waits until all that was committed is published; how many leaves."""
        def rests():
            state = self.hub.api('GET', '/api/v1/status')['log']
            return state['published'] == state['committed'] == self.size() and self.size()
        return wait_for(rests, 'a log that rests')

    def ask(self, stream=False, key=''):
        """A response's receipt: its id, from the answer's head."""
        if stream:
            s = self.hub.stream(key=key, max_tokens=8)
            s.read()
            return s.fields['busbar-receipt']
        reply = self.hub.chat(key=key, max_tokens=8)
        same(reply.status, 200, reply.body)
        return reply.fields['busbar-receipt']

    def verify(self, status=OK, where=None, *more):
        return busbar(status, 'audit', 'verify', where or self.dir, '--key', self.key, *more)


def served(log):
    """Static files, with heads that caches can work with."""
    size = log.settled()
    reply = log.hub.request('GET', '/log/checkpoint', key=None)
    same((reply.status, reply.fields['cache-control']), (200, 'no-cache'), 'the checkpoint')
    same(reply.body, (log.dir / 'checkpoint').read_bytes(), 'the checkpoint')
    same(reply.body.decode().split('\n')[0], log.key.split('+')[0], 'its origin')
    width = f'.p/{size % 256}' if size < 256 else ''
    for path in (f'tile/0/000{width}', f'tile/entries/000{width}'):
        reply = log.hub.request('GET', f'/log/{path}', key=None)
        need(reply.status == 200 and 'immutable' in reply.fields['cache-control'], path, reply.status)
        same(reply.body, (log.dir / path).read_bytes(), path)
    metrics = log.hub.request('GET', '/metrics', local=True).body.decode()
    need(f'busbar_log_leaves{{state="published"}} {size}\n' in metrics and 'busbar_log_refused 0\n' in metrics, metrics)
    for path in ('tile/0/999', 'tile/0/000.p/300', 'tile/0/', 'tile/8/000', 'tile/0/..%2f..%2fvkey', 'tile/../vkey',
                 'key', '../signer/key', 'tile/0/000/', 'tile//0/000'):
        replied(log.hub.request('GET', f'/log/{path}', key=None), 404, path)


def verified(log):
    for _ in range(3):
        log.ask()
    log.settled()
    for where in (log.dir, log.url(), log.url() + '/log/'):
        found = json.loads(log.verify(OK, where, '--checkpoint', log.kept, '--keep', log.kept, '--json').stdout)
        same((found['result'], found['leaves'], found['signature'], found['kept']),
             ('holds', log.size(), 'holds', 'is extended'), where)
    same(log.kept.read_bytes(), (log.dir / 'checkpoint').read_bytes(), 'what was kept')
    need('not checked' in busbar(OK, 'audit', 'verify', '--data', log.hub.data).stdout, 'no key, no signature')
    busbar(NOT_FOUND, 'audit', 'verify', log.folder)
    busbar(USAGE, 'audit', 'verify', log.dir, '--key', 'x+y+z')
    other = log.key.split('+')[0] + '+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW'
    busbar(USAGE, 'audit', 'verify', log.dir, '--key', other)  # the id is not that key's
    busbar(FAILED, 'audit', 'verify', log.dir, '--key', 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW')


def engine_version(hub):
    """As the engine that runs tells it, which is the build that its program prints."""
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(hub.data / 'run' / 'stories-0.sock'))
        s.sendall(b'GET /props HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
        head, _, body = b''.join(iter(lambda: s.recv(65536), b'')).partition(b'\r\n\r\n')
    need(b' 200 ' in head, head)
    told = json.loads(body)['build_info']
    done = subprocess.run([shutil.which('llama-server', path=ENGINES), '--version'], capture_output=True, text=True,
                          check=True)
    build, commit = told.removeprefix('b').split('-', 1)
    need(build in done.stdout + done.stderr and commit in done.stdout + done.stderr, told, done)
    return told


def receipts(log):
    """Each way to answer has one; it tells what was billed and by whom it was answered."""
    for stream in (False, True):
        ident = log.ask(stream)
        reply = log.hub.request('GET', f'/v1/receipts/{ident}')
        same(reply.status, 200, reply.body)
        log.receipt.write_bytes(reply.body)
        facts = [{f['name']: f['value'] for f in r['facts']} for r in reply.json()['records']]
        same([f['final'] for f in facts], ['0'] * (len(facts) - 1) + ['1'], 'one is final, the last')
        billed = log.hub.billed(ident)
        for name in ('prompt_tokens', 'completion_tokens'):
            same(sum(int(f[name]) for f in facts), billed[name], name)
        same(sum(int(f['cost_nano']) for f in facts), billed['cost'], 'cost')
        variant = log.hub.api('GET', '/api/v1/models/stories')['variants'][0]
        same((facts[-1]['model'], facts[-1]['site'], facts[-1]['response']), ('stories', 'local', ident), 'whose it is')
        same(facts[-1]['chip'], log.hub.api('GET', '/api/v1/pools')['data'][0]['chip'], 'on what')
        need(variant['sha256'] == facts[-1]['weights'].split(':')[1], variant, facts[-1])
        same((facts[-1]['quantisation'], facts[-1]['engine']), (variant['quantisation'], 'llama-server'), 'what ran')
        same(facts[-1]['engine_version'], engine_version(log.hub), 'its version')
        told = busbar(OK, 'receipt', 'verify', log.receipt, '--key', log.key, BUSBAR_HUB='http://127.0.0.1:9').stdout
        need(ident in told and 'It holds' in told and facts[-1]['engine_version'] in told, told)
    out = log.folder / 'again.json'
    log.hub.cli('receipt', 'get', ident, '--out', str(out))
    busbar(OK, 'receipt', 'verify', out, '--key', log.dir / 'vkey')
    busbar(USAGE, 'receipt', 'verify', out)


def others(log):
    """A receipt is its tenant's; for all others it does not exist."""
    log.hub.api('POST', '/api/v1/tenants', {'name': 'other', 'budget': '5'})
    other = log.hub.add_key('o', tenant='other')['key']
    ident = log.ask()
    for path in (ident, '00000000-0000-7000-8000-000000000000', 'x', ident + '0'):
        replied(log.hub.request('GET', f'/v1/receipts/{path}', key=other), 404, path)
    replied(log.hub.request('GET', f'/v1/receipts/{ident}', key=None), 401, 'without a key')
    replied(log.hub.request('GET', f'/v1/receipts/{ident}'), 200, 'its own')


def job(log):
    """The end of a job, and its last figures."""
    ident = log.hub.api('POST', '/api/v1/jobs', {'argv': ['true'], 'tenant': 'default'})['id']
    wait_for(lambda: log.hub.api('GET', f'/api/v1/jobs/{ident}')['state'] == 'ended', 'the job ends')

    def told():
        reply = log.hub.request('GET', f'/v1/receipts/{ident}', local=True)
        if reply.status != 200:
            return None
        found = [{f['name']: f['value'] for f in r['facts']} for r in reply.json()['records']]
        return any('chip_ms' in f for f in found) and any('ending' in f for f in found) and (reply, found)
    reply, facts = wait_for(told, 'its end and its figures')
    log.receipt.write_bytes(reply.body)
    end = next(f for f in facts if 'ending' in f)
    same((end['job'], end['ending'], end['status'], end['site']), (ident, 'exited', '0', 'local'), end)
    version = subprocess.run([log.hub.bin, '--version'], capture_output=True, text=True, check=True).stdout.split()[-1]
    for record in facts:
        same((record['engine'], record['engine_version']), ('local', version), record)
    used = next(f for f in facts if 'chip_ms' in f)
    need(int(used['chip_ms']) >= 0, facts)
    same((used['bytes_in'], used['bytes_out'], used['data_cost_nano'], used['currency']), ('0', '0', '0', '840'), used)
    same(int(used['cost_nano']), nano(log.hub.api('GET', f'/api/v1/jobs/{ident}')['epochs'][0]['cost']), 'what it cost')
    busbar(OK, 'receipt', 'verify', log.receipt, '--key', log.key)


def changed_receipt(log):
    """Each flip of a bit in a receipt is found, wherever it is: in what is proved, in words about it, in the form."""
    rng = random.Random(SEED)
    text = log.receipt.read_bytes()
    files = []
    folder = log.folder / 'changed'
    folder.mkdir()
    for i in range(FLIPS):
        changed = bytearray(text)
        changed[rng.randrange(len(text))] ^= 1 << rng.randrange(8)
        files.append(folder / f'{i}.json')
        files[-1].write_bytes(changed)
    for at in range(0, FLIPS, 500):
        done = subprocess.run([os.environ['BUSBAR_BIN'], 'receipt', 'verify', *map(str, files[at:at + 500]), '--key', log.key, '--json'],
                              capture_output=True, check=False, text=True)
        told = [json.loads(line)['result'] for line in done.stdout.splitlines()]
        same((done.returncode, len(told)), (FAILED, len(files[at:at + 500])), 'each is told')
        for file, result in zip(files[at:], told):
            same(result, 'does not hold', file.read_bytes())
    strict_receipt(log)
    return f'{FLIPS} flips, all found'


def strict_receipt(log):
    """Nothing may stand in it that is not checked; a fact may be closed."""
    whole = json.loads(log.receipt.read_text())
    path = log.folder / 'changed.json'

    def judged(status, change):
        now = json.loads(json.dumps(whole))
        change(now)
        path.write_text(json.dumps(now))
        busbar(status, 'receipt', 'verify', path, '--key', log.key)

    def close(now, name='site', **more):
        """As the documentation has it."""
        for record in now['records']:
            for i, fact in enumerate(record['facts']):
                if fact['name'] != name:
                    continue
                label, salt = f"fact/{fact['name']}".encode(), base64.b64decode(fact['salt'])
                commitment = hashlib.sha256(salt + label + b'\0' + fact['value'].encode()).digest()
                record['facts'][i] = {'name': name, 'commitment': base64.b64encode(commitment).decode(), **more}
    judged(OK, lambda now: None)
    judged(OK, close)
    judged(FAILED, lambda now: close(now, more='x'))
    judged(FAILED, lambda now: close(now, 'job'))  # of what it is, is what it has to show
    judged(FAILED, lambda now: now.update(note='paid in full'))
    judged(FAILED, lambda now: now.update(id='00000000-0000-7000-8000-000000000000'))
    judged(FAILED, lambda now: now.update(key='PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW'))
    judged(FAILED, lambda now: now.pop('key'))
    judged(FAILED, lambda now: now['records'][0].update(more=1))
    judged(FAILED, lambda now: now['records'][0]['facts'].append({'name': 'cost_nano', 'value': '0', 'salt': 'x'}))
    judged(FAILED, lambda now: now['records'][0]['facts'][0].update(comment='x'))


def peer(log):
    """Debian's golang-golang-x-mod-dev reads it: signature, full recompute, every tile, the receipt's proof."""
    binary = log.folder / 'log_peer'
    env = {**os.environ, 'GO111MODULE': 'off', 'GOPATH': GOCODE, 'GOCACHE': str(log.folder / 'go'), 'GOFLAGS': ''}
    subprocess.run(['go', 'build', '-o', str(binary), str(PEER)], env=env, check=True, capture_output=True)
    log.settled()
    copy = log.folder / 'copy'
    shutil.copytree(log.dir, copy)
    done = subprocess.run([str(binary), str(copy), log.key, str(log.receipt)], capture_output=True, text=True, check=False)
    same(done.returncode, 0, done.stdout + done.stderr)
    tile = next((copy / 'tile' / 'entries').glob(f'**/{log.size() % 256 or "*"}'))
    data = bytearray(tile.read_bytes())
    data[len(data) // 2] ^= 4
    tile.write_bytes(data)
    bad = subprocess.run([str(binary), str(copy), log.key], capture_output=True, text=True, check=False)
    same(bad.returncode, 1, 'it sees a change')
    log.verify(FAILED, copy)
    return done.stdout.strip()


def killed(log):
    """kill -9 in the midst: the same log goes on, and what was signed stays its beginning."""
    for _ in range(2):
        ident = log.ask()
        log.hub.kill()
        log.hub.start()
        log.hub.wait_ready()
        replied(log.hub.request('GET', f'/v1/receipts/{ident}'), 200, 'an answer from before has its receipt')
        log.settled()
        log.verify(OK, log.dir, '--checkpoint', log.kept, '--keep', log.kept)
    shutil.rmtree(log.dir / 'tile')
    log.hub.stop()
    log.hub.start()
    log.settled()
    log.verify(OK, log.dir, '--checkpoint', log.kept)


def signer(log):
    """Whoever holds its socket: it signs nothing but an extension of what it signed."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    keys = log.folder / 'signer'
    shutil.copytree(log.hub.data / 'signer', keys)
    shifted = os.dup(theirs.fileno())
    process = subprocess.Popen(['bash', '-c', f'exec "$0" signer --dir "$1" 3<&{shifted}', os.environ['BUSBAR_BIN'], str(keys)],
                               pass_fds=[shifted])
    os.close(shifted)
    theirs.close()
    ours.settimeout(20)

    def say(text):
        ours.send(text.encode())
        return ours.recv(65536).decode()
    answer = say('hello\n').split('\n')
    same((answer[0], answer[1]), ('ok', log.key), 'who it is')
    same(answer[2:5], (log.dir / 'checkpoint').read_text().split('\n')[:3], 'its head')
    origin, size, root = answer[2:5]
    same(say(f'sign\n\n{origin}\n{size}\n{root}\n').split('\n')[0], 'ok', 'the same again')
    forged = 'A' * 43 + '='
    for text in (f'{origin}\n{size}\n{forged}\n', f'{origin}\n{int(size) + 1}\n{forged}\n', f'{origin}\n1\n{forged}\n',
                 f'x\n{size}\n{root}\n', f'{origin}\n{size}\n{root}\nmore\n', ''):
        need(say(f'sign\n\n{text}').startswith('no\n'), text)
    ours.close()
    same(process.wait(20), 0, 'it ends with its socket')
    same((keys / 'head').read_text(), f'{origin}\n{size}\n{root}\n', 'its head')
    whole = (log.hub.data / 'signer' / 'key').read_bytes()
    log.hub.stop()
    (log.hub.data / 'signer' / 'key').write_bytes(whole[:-3])
    log.hub.start()
    wait_for(lambda: any('log_refused' in line and 'key is damaged' in line for line in log.hub.lines), 'it says why')
    log.hub.stop()
    (log.hub.data / 'signer' / 'key').write_bytes(whole)
    log.hub.lines.clear()
    log.hub.start()
    log.hub.wait_ready()
    log.settled()


def older_data(log):
    """Data from a backup, and then another history: no signature, and it is said."""
    hub = log.hub
    hub.stop()
    shutil.copy(hub.data / 'busbar.db', log.folder / 'older.db')
    hub.start()
    hub.wait_ready()
    for _ in range(3):
        log.ask()
    size = log.settled()
    witness(log)
    hub.stop()
    before = (log.dir / 'checkpoint').read_bytes()
    for name in ('busbar.db-wal', 'busbar.db-shm'):
        (hub.data / name).unlink(missing_ok=True)
    shutil.copy(log.folder / 'older.db', hub.data / 'busbar.db')
    shutil.rmtree(log.dir)  # the published log as well, so that only the signer knows
    hub.start()
    wait_for(lambda: any('log_refused' in line for line in hub.lines), 'the signer refuses', 20)
    need(not (log.dir / 'checkpoint').exists(), 'a checkpoint of a log that forks')
    need(hub.api('GET', '/api/v1/status')['log']['refused'], 'status tells')
    replied(hub.request('GET', '/log/checkpoint', key=None), 404, 'nothing is served')
    replied(hub.chat(max_tokens=1), 200, 'the hub works on')
    return f'{size} leaves were signed: {before.decode().splitlines()[1]}'


def witness(log, status=OK, where=None):
    return busbar(status, 'witness', where or log.url(), '--key', log.key, '--dir', log.folder / 'witness')


def witnessed(log):
    """It signs what extends what it saw, and its checkpoint is one that a reader may go on from."""
    first = log.settled()
    need(f'{first} leaves' in witness(log).stdout, 'it tells what it signed')
    log.ask()
    size = log.settled()
    witness(log, OK, log.dir)
    lines = (log.folder / 'witness' / 'checkpoint').read_text().splitlines()
    same((lines[1], len(lines), lines[5].split()[1]), (str(size), 6, (log.folder / 'witness' / 'vkey').read_text().split('+')[0]),
         'a checkpoint with two signatures')
    log.verify(OK, log.dir, '--checkpoint', log.folder / 'witness' / 'checkpoint')
    mine = (log.folder / 'witness' / 'vkey').read_text().strip()
    other = 'remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2'  # of the public network
    for key, status in ((mine, 0), (other, 1)) if (log.folder / 'log_peer').exists() else ():
        done = subprocess.run([str(log.folder / 'log_peer'), str(log.folder / 'witness'), log.key, '-witness', key],
                              capture_output=True, text=True, check=False)
        same(done.returncode, status, done.stdout + done.stderr)
    busbar(USAGE, 'witness', log.dir)
    other = log.folder / 'elsewhere'
    other.mkdir()
    (other / 'checkpoint').write_text((log.dir / 'checkpoint').read_text().replace(f'\n{size}\n', f'\n{size + 1}\n'))
    busbar(FAILED, 'witness', other, '--key', log.key, '--dir', log.folder / 'witness')  # not signed


def split_view(log):
    """An operator who takes the signer's memory away makes it sign another history: who saw the first one finds it."""
    hub = log.hub
    seen = int((log.folder / 'witness' / 'head').read_text().splitlines()[1])
    hub.stop()
    (hub.data / 'signer' / 'head').unlink()
    hub.start()
    hub.wait_ready()
    wait_for(lambda: (log.dir / 'checkpoint').exists(), 'a checkpoint of the other history')
    if log.settled() < seen:
        need('older' in witness(log, FAILED).stderr, 'fewer leaves than were seen')
    while log.settled() <= seen:
        log.ask()
    log.verify(OK)  # by itself nothing is wrong with it
    log.verify(FAILED, log.dir, '--checkpoint', log.folder / 'witness' / 'checkpoint')
    need('SPLIT VIEW' in witness(log, FAILED).stderr, 'a split view')
    size = log.size()
    sides = [(log.folder / 'witness' / f'split-{size}-{n}').read_text() for n in (1, 2)]
    same([s.splitlines()[0] for s in sides], [log.key.split('+')[0]] * 2, 'both are of this log')
    same((log.folder / 'witness' / 'head').read_text().splitlines()[1], str(seen), 'what it saw stays')


def main():
    tap = Tap()
    with tempfile.TemporaryDirectory(prefix='bbl-', dir='/tmp') as folder, Bench() as hub:
        log = Log(hub, folder)
        for name, case in (('served as static files', served), ('audit verify, by folder and URL', verified),
                           ('receipts of answers', receipts), ("a receipt is its tenant's", others),
                           ('the receipt of a job', job), ('one bit of a receipt', changed_receipt)):
            tap.case(name, case, log)
        if shutil.which('go') and os.path.isdir(GOCODE + '/src/golang.org/x/mod/sumdb'):
            tap.case('a reader that shares no code', peer, log)
        else:
            tap.skip('a reader that shares no code', 'NO go or golang-golang-x-mod-dev here: NOT CHECKED by another')
        for name, case in (('killed', killed), ('the signer signs no fork', signer), ('a witness', witnessed),
                           ('older data', older_data), ('a witness finds a split view', split_view)):
            tap.case(name, case, log)
    tap.done()


if __name__ == '__main__':
    main()
