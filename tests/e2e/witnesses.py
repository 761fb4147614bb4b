#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Witnesses of the transparency log: two operators witness each other, by the protocol that other networks' witnesses have.

One that is away is told and the log goes on without it; one that was shown another history cosigns nothing, and neither do
readers take such a log who ask for the witness's cosignature.
"""
import base64
import contextlib
import hashlib
import http.server
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading
import urllib.error
import urllib.request

from workbench import FAILED, OK, USAGE, Bench, Tap, busbar, need, same, wait_for

DASH = '\u2014 '


class Witness:
    """`busbar witness --listen`, of one log."""

    def __init__(self, folder, key):
        self.dir, self.log_key, self.listen = pathlib.Path(folder), key, '127.0.0.1:0'
        self.lines = []
        self.start()
        self.key = (self.dir / 'vkey').read_text().strip()

    def start(self):
        self.process = subprocess.Popen([os.environ['BUSBAR_BIN'], 'witness', '--key', self.log_key, '--dir', str(self.dir),
                                         '--listen', self.listen], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        first = self.process.stdout.readline()
        need(first.startswith('address'), first)
        self.url = first.split()[1]
        self.listen = self.url[len('http://'):]
        threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True).start()

    def _read(self, stream):
        for line in stream:
            self.lines.append(line)

    def stop(self):
        self.process.terminate()
        same(self.process.wait(20), 0, 'the witness ends')

    def head(self):
        return (self.dir / 'head').read_text().splitlines()

    def ask(self, body, path='/add-checkpoint', method='POST'):
        """Status, type and text of the answer."""
        request = urllib.request.Request(self.url + path, data=body.encode() if body is not None else None, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as reply:
                return reply.status, reply.headers['Content-Type'], reply.read().decode()
        except urllib.error.HTTPError as reply:
            return reply.code, reply.headers['Content-Type'], reply.read().decode()


class Operator:
    def __init__(self, folder, name, signer=None):
        self.data = pathlib.Path(folder) / name
        self.n = 0
        if signer:  # the key of another log, without what it signed
            (self.data / 'signer').mkdir(parents=True, mode=0o700)
            shutil.copy(signer / 'key', self.data / 'signer' / 'key')
        self.hub = Bench(['--no-model'], data=self.data)
        self.log = self.data / 'log'
        wait_for(lambda: (self.log / 'checkpoint').exists(), 'a checkpoint')
        self.key = (self.log / 'vkey').read_text().strip()

    def require(self, *witnesses):
        """Starts the hub again with these."""
        if self.hub.alive():
            self.hub.stop()
        self.hub.args = ['--no-model']
        if self.data.name == 'a':
            for w in witnesses:
                self.hub.args += ['--witness', f'{w.key}={w.url}']
        elif witnesses:  # the same, as its hub.yaml says it
            path = self.data / 'hub.yaml'
            path.write_text('witnesses:\n' + ''.join(f'  - {{vkey: {w.key}, url: "{w.url}"}}\n' for w in witnesses))
            self.hub.args += ['--config', str(path)]
        self.hub.start()

    def add(self):
        """Something for the log."""
        self.n += 1
        self.hub.api('POST', '/api/v1/keys', {'name': f'k{self.n}', 'tenant': 'default'})

    def grow(self, size):
        """So many leaves at least."""
        while (now := self.published()) < size:
            for _ in range(size - now):
                self.add()

    def checkpoint(self):
        return (self.log / 'checkpoint').read_text()

    def size(self):
        return int(self.checkpoint().split('\n')[1])

    def state(self):
        return self.hub.api('GET', '/api/v1/status')['log']

    def published(self):
        def rests():
            state = self.state()
            return state['published'] == state['committed'] == self.size() and self.size()
        return wait_for(rests, 'all is published')

    def cosigned(self, witness, limit_s=15):
        def there():
            size = self.published()
            return size if DASH + witness.key.split('+')[0] in self.checkpoint() and size == self.published() else None
        return wait_for(there, 'a cosignature under the newest checkpoint', limit_s)

    def verify(self, status, *more):
        return busbar(status, 'audit', 'verify', self.log, '--key', self.key, *more)


def each_other(net):
    for operator, witness in ((net.a, net.of_a), (net.b, net.of_b)):
        operator.require(witness)
        operator.add()
        size = operator.cosigned(witness)
        told = operator.state()['witnesses'][0]
        same((told['name'], told['leaves'], told['behind_since'], told['error']),
             (witness.key.split('+')[0], size, None, ''), 'what status tells')
        same(witness.head()[:2], operator.checkpoint().split('\n')[:2], 'what the witness saw')
        same(operator.hub.request('GET', '/log/checkpoint', key=None).body.decode(), operator.checkpoint(), 'it is served')
    found = json.loads(net.a.verify(OK, '--witness', net.of_a.key, '--json').stdout)
    same((found['result'], found['cosigned']), ('holds', 1), found)
    busbar(OK, 'audit', 'verify', net.a.hub.address, '--key', net.a.key, '--witness', net.of_a.dir / 'vkey')
    need('witness ' in net.a.hub.cli('status') and 'BEHIND' not in net.a.hub.cli('status'), 'status')
    metrics = net.a.hub.request('GET', '/metrics', local=True).body.decode()
    need(f'busbar_witness_leaves{{witness="{net.of_a.key.split("+")[0]}",behind="0"}} {net.a.size()}\n' in metrics, metrics)


def quorum(net):
    ours, other = net.of_a.key, net.of_b.key
    net.a.verify(OK, '--witness', ours, '--witness', other, '--quorum', '1')
    need('1 of 2' in net.a.verify(FAILED, '--witness', ours, '--witness', other).stderr, 'how many there are')
    net.a.verify(FAILED, '--witness', other)
    net.a.verify(USAGE, '--witness', ours, '--quorum', '2')
    net.a.verify(USAGE, '--witness', ours, '--quorum', '0')
    net.a.verify(USAGE, '--quorum', '1')
    net.a.verify(USAGE, '--witness', ours, '--witness', ours)
    net.a.verify(USAGE, '--witness', net.a.key)  # of a log
    busbar(USAGE, 'audit', 'verify', net.a.log, '--witness', ours)  # and no key of the log
    for bad in (net.a.key + '=http://127.0.0.1:1', ours, ours + '=ftp://x', ours + '='):
        done = subprocess.run([os.environ['BUSBAR_BIN'], 'up', '--data', str(net.folder / 'none'), '--no-model', '--witness', bad],
                              capture_output=True, text=True, check=False, timeout=60)
        need(done.returncode == FAILED and '--witness' in done.stderr, bad, done)


def receipt(net):
    """A job's receipt, with the checkpoint's cosignature in it."""
    hub = net.a.hub
    ident = hub.api('POST', '/api/v1/jobs', {'argv': ['true'], 'tenant': 'default'})['id']
    wait_for(lambda: hub.api('GET', f'/api/v1/jobs/{ident}')['state'] == 'ended', 'the job ends', 30)
    net.a.cosigned(net.of_a)
    out = net.folder / 'receipt.json'

    def whole():
        hub.cli('receipt', 'get', ident, '--out', str(out))
        return DASH + net.of_a.key.split('+')[0] in json.loads(out.read_text())['checkpoint']
    wait_for(whole, 'a receipt with a cosignature')
    done = busbar(OK, 'receipt', 'verify', out, '--key', net.a.key, '--witness', net.of_a.key)
    need('cosigned by 1 of 1' in done.stdout, done.stdout)
    busbar(FAILED, 'receipt', 'verify', out, '--key', net.a.key, '--witness', net.of_b.key)
    text = json.loads(out.read_text())
    lines = text['checkpoint'].split('\n')
    for i, char in ((60, 'x'), (-1, 'x')):  # one character of the cosignature
        changed = lines[-2][:i] + ('y' if lines[-2][i] == char else char) + lines[-2][i + 1 or len(lines[-2]):]
        out.write_text(json.dumps({**text, 'checkpoint': '\n'.join(lines[:-2] + [changed, ''])}))
        busbar(FAILED, 'receipt', 'verify', out, '--key', net.a.key, '--witness', net.of_a.key)


def protocol(net):
    """What C2SP tlog-witness says of each request."""
    w, note = net.of_a, net.a.checkpoint()
    size = net.a.size()
    text = note.split('\n\n')[0] + '\n'
    status, kind, answer = w.ask(f'old 0\n\n{note}')
    same((status, kind, answer), (409, 'text/x.tlog.size', f'{size}\n'), 'the size that it cosigned last')
    status, kind, answer = w.ask(f'old {size}\n\n{note}')
    same((status, answer[:2], answer.count('\n')), (200, DASH, 1), answer)
    body = base64.b64decode(answer.split(' ')[2])
    same((body[:4].hex(), len(body)), (w.key.split('+')[1], 4 + 8 + 64), 'a key, a time, a signature')
    hash_line = base64.b64encode(bytes(32)).decode() + '\n'
    unsigned = text + '\n' + DASH + text.split('\n')[0] + ' ' + base64.b64encode(bytes(68)).decode() + '\n'
    for want, body in ((400, f'old {size + 1}\n\n{note}'), (400, f'old 0{size}\n\n{note}'), (400, note), (400, ''), (400, 'old 0\n'),
                       (400, 'old 0\n' + 64 * hash_line + '\n' + note), (422, f'old {size}\n{hash_line}\n{note}'),
                       (403, f'old {size}\n\n{unsigned}'), (404, f'old {size}\n\n{net.b.checkpoint()}')):
        status, _, answer = w.ask(body)
        same(status, want, answer)
        need(DASH not in answer, 'a signature')
    same(w.ask(None, method='GET')[0], 405, 'GET')
    same(w.ask(None, '/x', method='GET')[0], 404, 'another path')
    same(w.ask('old 0\n\n' + 'x' * 70000)[0], 413, 'too long')
    same(w.ask(None, '/vkey', method='GET')[2].strip(), w.key, 'its key')
    need(DASH + w.key.split('+')[0] in w.ask(None, '/checkpoint', method='GET')[2], 'what it cosigned')
    need(not list(w.dir.glob('split-*')) and not any('SPLIT' in line for line in w.lines), 'a wrong proof of the same tree is no split view')
    # Whatever else is under it: nothing of that is kept. What was cosigned is signed again and not written again.
    written = {p.name: p.stat().st_mtime_ns for p in w.dir.iterdir()}
    for n in range(3):
        same(w.ask(f'old {size}\n\n{note}{DASH}nobody/{n} {base64.b64encode(bytes(68)).decode()}\n')[0], 200, 'a line of somebody')
    same({p.name: p.stat().st_mtime_ns for p in w.dir.iterdir()}, written, 'files')
    need('nobody' not in (w.dir / 'seen').read_text(), 'their lines')
    same(w.head()[1], str(size), 'nothing of this moved it')
    busbar(USAGE, 'witness', '--key', net.a.key, '--dir', w.dir)
    busbar(USAGE, 'witness', net.a.log, '--key', net.a.key, '--dir', w.dir, '--listen', '127.0.0.1:0')
    busbar(USAGE, 'witness', '--key', net.a.key, '--dir', net.folder / 'wx', '--listen', 'nowhere')
    done = busbar(FAILED, 'witness', net.a.log, '--key', net.a.key, '--dir', w.dir)
    need('another witness' in done.stderr, done.stderr)
    # Of a larger tree with a wrong proof one pair is kept, however often it comes.
    net.of_a.stop()
    for _ in range(2):
        net.a.add()
        later = net.a.published()
    w.start()
    w.ask(f'old {size}\n{hash_line}\n{net.a.checkpoint()}{DASH}nobody {base64.b64encode(bytes(68)).decode()}\n')
    same(later > size, True, 'it has grown')
    pair = [(w.dir / f'unproven-{n}').read_text() for n in (1, 2)]
    same([p.split('\n')[1] for p in pair], [str(size), str(later)], 'both sides')
    need('nobody' not in pair[1] and not list(w.dir.glob('split-*')), pair)
    net.a.cosigned(w, 40)


def away(net):
    """It is told who is behind and since when; the log goes on; then it catches up."""
    net.of_a.stop()
    net.a.add()
    size = net.a.published()
    told = wait_for(lambda: (t := net.a.state()['witnesses'][0])['behind_since'] and t['error'] and t, 'it is behind')
    need(told['leaves'] < size and DASH + net.of_a.key.split('+')[0] not in net.a.checkpoint(), told)
    need('BEHIND since 20' in net.a.hub.cli('status'), 'status')
    need(any('witness_behind' in line for line in net.a.hub.lines), 'the log tells')
    net.a.verify(OK)
    net.a.verify(FAILED, '--witness', net.of_a.key)
    net.a.add()
    later = net.a.published()
    need(later > size, 'the log goes on')
    net.of_a.start()
    same(net.a.cosigned(net.of_a, 40), later, 'the same checkpoint has its cosignature now')
    same(net.a.state()['witnesses'][0]['behind_since'], None, 'it keeps up')
    net.a.verify(OK, '--witness', net.of_a.key)


class Liar(http.server.BaseHTTPRequestHandler):
    """Something at a witness's address that is none; `how` is of the server."""
    protocol_version = 'HTTP/1.1'

    def do_POST(self):  # noqa: N802
        how, body = self.server.how, self.rfile.read(int(self.headers['Content-Length'])).decode()
        line = f'{DASH}{self.server.name} ' + base64.b64encode(self.server.id + bytes(7) + b'\1' + bytes(64)).decode() + '\n'
        log_line = body[body.rindex(DASH):]
        status, answer = {'forges': (200, line), 'repeats': (200, log_line), 'babbles': (200, 'x' * 70000), 'is wrong': (500, '\x1b[31mno\u00fc' * 50),
                          'grows': (409, '999999999\n'), 'goes back': (409, '0\n'), 'conflicts': (409, 'x\n'),
                          'hangs': (200, '')}[how]
        if how == 'hangs':
            self.server.over.wait(60)
        with contextlib.suppress(OSError):  # the hub has hung up
            self.send_response(status)
            self.send_header('Content-Length', str(len(answer.encode())))
            self.end_headers()
            self.wfile.write(answer.encode())

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        pass


def start_liar(how):
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Liar)
    server.daemon_threads = True
    server.how, server.over = how, threading.Event()
    key = bytes([4]) + os.urandom(32)
    server.name = f'liar/{how.replace(" ", "-")}'
    server.id = hashlib.sha256(server.name.encode() + b'\n' + key).digest()[:4]
    server.key = f'{server.name}+{server.id.hex()}+{base64.b64encode(key).decode()}'
    server.url = f'http://127.0.0.1:{server.server_port}/some/prefix'
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def liars(net):
    """Whatever a witness answers, only what holds is put under the checkpoint, and nobody waits for it."""
    them = [start_liar(how) for how in ('forges', 'repeats', 'babbles', 'is wrong', 'grows', 'goes back', 'conflicts', 'hangs')]
    net.a.require(net.of_a, *them)
    net.a.add()
    net.a.cosigned(net.of_a, 40)
    same(net.a.checkpoint().count(DASH), 2, 'the signatures of the log and its witness')

    def told():
        state = net.a.state()['witnesses']
        return all(w['behind_since'] for w in state[1:]) and sum(bool(w['error']) for w in state[1:]) >= len(them) - 1 and state
    state = wait_for(told, 'each is told', 30)
    same((state[0]['behind_since'], [w['leaves'] for w in state[1:]]), (None, [0] * len(them)), state)
    busy = net.a.published()
    net.a.add()
    need(net.a.cosigned(net.of_a, 30) > busy, 'it goes on')
    same(net.a.checkpoint().count(DASH), 2, 'the signatures of the log and its witness')
    net.a.verify(OK, '--witness', net.of_a.key)
    net.a.hub.stop()  # also while one hangs
    for server in them:
        server.over.set()
        server.shutdown()
    net.a.require(net.of_a)


def split_view(net):
    """An operator with the key of a log shows another history under its name."""
    fork = net.fork = Operator(net.folder, 'f', net.a.data / 'signer')
    same(fork.key, net.a.key, 'one log, as its key has it')
    fork.require(net.of_a)
    net.a.cosigned(net.of_a, 30)  # also its own last start
    seen = net.of_a.head()
    fork.grow(int(seen[1]))
    fork.verify(OK)  # by itself nothing is wrong with it
    told = wait_for(lambda: (t := fork.state()['witnesses'][0])['error'] and t, 'the witness refuses', 30)
    need(told['behind_since'], told)
    fork.verify(FAILED, '--witness', net.of_a.key)
    same(net.of_a.head(), seen, 'what it saw stays')
    # Of one size and two roots: whoever has both lines can show it to anybody.
    size = fork.published()
    net.a.grow(size)
    same((net.a.cosigned(net.of_a), int(net.of_a.head()[1])), (size, size), 'both have as many leaves')
    same(net.of_a.ask(f'old {size}\n\n{fork.checkpoint()}')[0], 409, 'another root of the same size')
    wait_for(lambda: any('SPLIT VIEW' in line for line in net.of_a.lines), 'it is told')
    sides = [(net.of_a.dir / f'split-{size}-{n}').read_text() for n in (1, 2)]
    same(len({s.split('\n')[2] for s in sides}), 2, 'two roots')
    same({tuple(s.split('\n')[:2]) for s in sides}, {(net.a.key.split('+')[0], str(size))}, 'of one size, by one key')
    net.a.add()
    net.a.cosigned(net.of_a)  # who did nothing wrong is cosigned on
    net.a.verify(OK, '--witness', net.of_a.key)


class Net:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.fork = None
        self.a, self.b = Operator(folder, 'a'), Operator(folder, 'b')
        self.of_a = Witness(self.folder / 'wa', self.a.key)  # at B's, in practice
        self.of_b = Witness(self.folder / 'wb', self.b.key)

    def stop(self):
        for operator in (self.a, self.b, self.fork):
            if operator:
                operator.hub.stop()
        for witness in (self.of_a, self.of_b):
            witness.stop()


def main():
    tap = Tap()
    with tempfile.TemporaryDirectory(prefix='bbw-', dir='/tmp') as folder:
        net = Net(folder)
        for name, case in (('two operators witness each other', each_other), ('how many are needed', quorum),
                           ('a receipt with a cosignature', receipt), ('the protocol', protocol), ('one that is away', away),
                           ('what is no witness', liars)):
            tap.case(name, case, net)
        tap.case('a split view is not cosigned', split_view, net)
        net.stop()
    tap.done()


if __name__ == '__main__':
    main()
