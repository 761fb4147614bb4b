# SPDX-License-Identifier: Apache-2.0
"""What the fault tests share: a client that knows what it got, an engine that knows what it sent, and the audit.

`Client.talk` reads byte by byte what a hub sends and says exactly how it ended. `SlowEngine` speaks the OpenAI API at
a set pace and keeps how many tokens it sent for each `seed`. What is held against that is in audit.py.
"""
import http.server
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
os.environ.setdefault('BUSBAR_BIN', str(ROOT / 'build' / 'busbar'))
sys.path.insert(0, str(HERE.parent / 'e2e'))
from audit import SLOW, Audit  # noqa: E402,F401 pylint: disable=wrong-import-position,unused-import
from busbar_test import PATIENCE, Hub, Tap  # noqa: E402,F401 pylint: disable=wrong-import-position,unused-import

FULL = os.environ.get('BUSBAR_FULL') == '1'
STORIES = 'stories'
NANO = 10 ** 9


def sanitized():
    """Whether the binary is one with AddressSanitizer: slower, and it keeps freed memory for a while."""
    return b'__asan_init' in pathlib.Path(os.environ['BUSBAR_BIN']).read_bytes()


def nano(amount):
    whole, _, rest = amount.partition('.')
    sign = -1 if whole.startswith('-') else 1
    return sign * (abs(int(whole or 0)) * NANO + int((rest + '0' * 9)[:9]))


def wait_for(what, test, limit_s, every_s=0.02):
    """Waits until test() is true; the seconds that it took."""
    limit_s *= PATIENCE
    start = time.monotonic()
    while True:
        got = test()
        if got:
            return time.monotonic() - start
        if time.monotonic() - start > limit_s:
            raise AssertionError(f'{what}: not within {limit_s} s')
        time.sleep(every_s)


# ---- the client ----

class Response:
    """What one request came to. `complete`: every byte of a 200 arrived; of a stream, its [DONE]."""

    def __init__(self, kind, model, seed, max_tokens):
        self.kind, self.model, self.seed, self.max_tokens = kind, model, seed, max_tokens
        self.status = self.id = self.usage = self.error = None
        self.fields, self.text = {}, ''
        self.complete = self.aborted = self.connected = self.timed_out = False
        self.content = 0  # chunks with text
        self.start = time.monotonic()
        self.seconds = 0.0

    def __repr__(self):
        return (f'<{self.kind} {self.model} id={self.id} status={self.status} complete={self.complete} '
                f'aborted={self.aborted} timed_out={self.timed_out} chunks={self.content} usage={self.usage} '
                f'error={self.error} {self.seconds:.2f}s>')


class Client:
    def __init__(self, port, key, timeout=60.0):
        self.port, self.key, self.timeout = port, key, timeout

    def talk(self, model=STORIES, stream=False, usage=True, max_tokens=64, seed=0, prompt='Tell me', abort_after=None,
             on_chunk=None):
        """One chat request on its own connection. abort_after=N hangs up after N chunks (0: right after sending)."""
        r = Response('stream' if stream else 'plain', model, seed, max_tokens)
        body = {'model': model, 'max_tokens': max_tokens, 'seed': seed,
                'messages': [{'role': 'user', 'content': prompt}]}
        if stream:
            body['stream'] = True
            if usage:
                body['stream_options'] = {'include_usage': True}
        data = json.dumps(body).encode()
        try:
            with socket.create_connection(('127.0.0.1', self.port), self.timeout) as s:
                r.connected = True
                s.sendall(b'POST /v1/chat/completions HTTP/1.1\r\nHost: t\r\nConnection: close\r\n'
                          b'Content-Type: application/json\r\nAuthorization: Bearer ' + self.key.encode() +
                          b'\r\nContent-Length: ' + str(len(data)).encode() + b'\r\n\r\n' + data)
                if abort_after == 0:
                    r.aborted = True
                    return r
                with s.makefile('rb') as f:
                    self._read(f, r, abort_after, on_chunk)
        except TimeoutError:
            r.timed_out = True
        except OSError:
            pass
        finally:
            r.seconds = time.monotonic() - r.start
        return r

    def _read(self, f, r, abort_after, on_chunk):
        line = f.readline()
        if not line.endswith(b'\r\n'):
            return
        status = int(line.split()[1])
        while True:
            line = f.readline()
            if not line.endswith(b'\r\n'):
                return
            if line == b'\r\n':
                break
            name, _, value = line.decode('latin-1').partition(':')
            r.fields[name.lower()] = value.strip()
        r.status, r.id = status, r.fields.get('x-request-id')
        if r.fields.get('transfer-encoding') == 'chunked':
            self._read_stream(f, r, abort_after, on_chunk)
            return
        want = int(r.fields['content-length'])
        data = f.read(want)
        if len(data) < want:
            return
        doc = json.loads(data)
        r.error = doc.get('error')
        r.usage = doc.get('usage')
        r.complete = status == 200

    def _read_stream(self, f, r, abort_after, on_chunk):
        pending = b''
        while True:
            line = f.readline()
            if not line.endswith(b'\n') or int(line, 16) == 0:
                return
            want = int(line, 16)
            pending += f.read(want)
            f.read(2)
            while b'\n\n' in pending:
                event, _, pending = pending.partition(b'\n\n')
                if not event.startswith(b'data: '):
                    continue
                event = event[6:]
                if event == b'[DONE]':
                    r.complete = True
                    continue
                doc = json.loads(event)
                r.error = doc.get('error') or r.error
                r.usage = doc.get('usage') or r.usage
                for choice in doc.get('choices') or []:
                    text = choice['delta'].get('content')
                    if text:
                        r.content += 1
                        r.text += text
                        if on_chunk:
                            on_chunk(r)
                if abort_after is not None and r.content >= abort_after:
                    r.aborted = True
                    return


class Load:
    """Clients in threads, each with its own seeded choices, until `stop`."""

    def __init__(self, hub, clients, seed, pick=None, timeout=60.0, pause_s=0.0):
        self.client = Client(hub.port, hub.key, timeout)
        self.pick, self.pause_s = pick or mixed, pause_s
        self.responses, self.lock, self.stopped = [], threading.Lock(), threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(random.Random(f'{seed}/{i}'),), daemon=True)
                        for i in range(clients)]
        for t in self.threads:
            t.start()

    def _run(self, rng):
        while not self.stopped.is_set():
            r = self.client.talk(**self.pick(rng))
            with self.lock:
                self.responses.append(r)
            if not r.connected:
                time.sleep(0.02)
            elif r.status != 200:
                time.sleep(0.005)
            if self.pause_s:
                time.sleep(self.pause_s)

    def stop(self, limit_s=90):
        self.stopped.set()
        deadline = time.monotonic() + limit_s
        for t in self.threads:
            t.join(max(0.1, deadline - time.monotonic()))
        if any(t.is_alive() for t in self.threads):
            raise AssertionError('a client still waits: its request hangs')
        return self.responses


def mixed(rng, slow=True):
    """A request of the mixed load."""
    seed = rng.getrandbits(31)
    roll = rng.random()
    prompt = rng.choice(['Tell me about a fox', 'Once upon a time', 'A cat and a dog', 'The sea was', 'Hello'])
    if slow and roll < 0.35:
        return {'model': SLOW, 'stream': rng.random() < 0.8, 'usage': rng.random() < 0.7, 'seed': seed,
                'max_tokens': rng.randint(1, 60), 'abort_after': rng.choice([None] * 4 + [0, 3])}
    return {'model': STORIES, 'stream': rng.random() < 0.6, 'usage': rng.random() < 0.7, 'seed': seed, 'prompt': prompt,
            'max_tokens': rng.randint(1, 200), 'abort_after': rng.choice([None] * 6 + [0, 2])}


# ---- an engine that knows what it sent ----

class SlowEngine:
    """max_tokens tokens at `pace_s` each; every chunk carries the usage so far, as vLLM's do when asked.

    sent[seed] is how many tokens were handed to the kernel. faults[seed] names what to do instead of the whole answer. A stream
    stops at gates[seed], a number of tokens and an event that it waits for.
    """

    prompt_tokens = 7

    def __init__(self, pace_s=0.01):
        self.pace_s, self.sent, self.faults, self.gates = pace_s, {}, {}, {}
        engine = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'
            disable_nagle_algorithm = True

            def log_message(self, *_):
                pass

            def do_GET(self):
                self.send_response(200)
                self.send_header('Content-Length', '2')
                self.end_headers()
                self.wfile.write(b'ok')

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
                try:
                    engine.answer(self, body)
                except OSError:
                    self.close_connection = True

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_):
                pass

        self.server = Server(('127.0.0.1', 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def usage(self, n):
        return {'prompt_tokens': self.prompt_tokens, 'completion_tokens': n, 'total_tokens': self.prompt_tokens + n}

    def answer(self, h, body):
        seed, total = body.get('seed', 0), body['max_tokens']
        fault = self.faults.get(seed)
        self.sent[seed] = 0
        if fault == 'silent':
            time.sleep(30)
        if not body.get('stream'):
            time.sleep(self.pace_s * total / 4)
            text = {'object': 'chat.completion', 'model': SLOW, 'usage': self.usage(total),
                    'choices': [{'index': 0, 'finish_reason': 'length',
                                 'message': {'role': 'assistant', 'content': 'x' * total}}]}
            data = json.dumps(text).encode()
            data = {'garbage': b'<html>no</html>', 'error': b'{"error":{"message":"boom"}}'}.get(fault, data)
            h.send_response(500 if fault == 'error' else 200)
            h.send_header('Content-Type', 'application/json')
            h.send_header('Content-Length', str(len(data)))
            h.end_headers()
            self.sent[seed] = total
            h.wfile.write(data[:len(data) // 2] if fault == 'cut' else data)
            if fault == 'cut':
                h.close_connection = True
            return
        h.send_response(200)
        h.send_header('Content-Type', 'text/event-stream')
        h.send_header('Transfer-Encoding', 'chunked')
        h.end_headers()

        def send(data):
            data = b'data: ' + data + b'\n\n'
            h.wfile.write(f'{len(data):x}\r\n'.encode() + data + b'\r\n')

        def event(n, choices):
            return json.dumps({'object': 'chat.completion.chunk', 'model': SLOW, 'choices': choices,
                               'usage': self.usage(n)}).encode()

        stop, gate = self.gates.get(seed, (total + 1, None))
        for i in range(1, total + 1):
            if i == stop:
                gate.wait(120)
            if fault and i > total // 2:
                if fault == 'garbage':
                    send(b'{"choices":[{]')
                elif fault == 'error':
                    send(b'{"error":{"message":"boom","code":500}}')
                elif fault == 'stall':
                    time.sleep(30)
                elif fault == 'end':  # a clean end, but no [DONE]
                    h.wfile.write(b'0\r\n\r\n')
                h.close_connection = True
                return
            self.sent[seed] = i
            send(event(i, [{'index': 0, 'finish_reason': None, 'delta': {'content': 'x '}}]))
            time.sleep(self.pace_s)
        send(event(total, [{'index': 0, 'finish_reason': 'length', 'delta': {}}]))
        send(event(total, []))
        send(b'[DONE]')
        h.wfile.write(b'0\r\n\r\n')

    def add_to(self, hub, slots=64):
        hub.cli('model', 'add', SLOW, f'http://127.0.0.1:{self.port}', '--engine', 'vllm-url', '--context', '4096',
                '--price-prompt', '0.37', '--price-completion', '1.13')
        hub.cli('deploy', SLOW, '--slots', str(slots))

    def close(self):
        self.server.shutdown()
        self.server.server_close()


# ---- a disk that fails ----

class DiskFaults:
    """Control of failfs.c for hubs started with `env`. BUSBAR_FAILFS_SO names the library; else it is compiled here."""

    def __init__(self, folder):
        library = os.environ.get('BUSBAR_FAILFS_SO')
        if not library:
            library = os.path.join(folder, 'failfs.so')
            subprocess.run(['cc', '-std=gnu17', '-D_GNU_SOURCE', '-O2', '-fPIC', '-shared', '-o', library, HERE / 'failfs.c'],
                           check=True)
        self.control = pathlib.Path(folder) / 'fail'
        self.env = {'LD_PRELOAD': os.path.abspath(library), 'BUSBAR_FAILFS': str(self.control),
                    'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', '') + ':verify_asan_link_order=0'}

    def fail(self, what, code, first=1, count=0, suffix='busbar.db-wal'):
        temp = self.control.with_suffix('.new')
        self.control.with_suffix('.hits').unlink(missing_ok=True)
        temp.write_text(f'{what} {code} {first} {count} {suffix}\n', encoding='ascii')
        temp.rename(self.control)

    def heal(self):
        self.control.unlink(missing_ok=True)

    def hits(self):
        path = self.control.with_suffix('.hits')
        return path.stat().st_size if path.exists() else 0


# ---- the hub, from outside ----

def tenant(hub, name='default'):
    t = hub.request('GET', f'/api/v1/tenants/{name}', key=hub.operator).json()
    return {k: nano(t[k]) for k in ('budget', 'spent', 'held', 'available')}


def status(hub):
    return hub.request('GET', '/api/v1/status', key=hub.operator).json()


def records(hub):
    """All records through the API."""
    out, cursor = [], ''
    while True:
        page = hub.request('GET', f'/api/v1/usage/records?limit=1000{cursor}', key=hub.operator).json()
        out += page['data']
        if page['next'] is None:
            return out
        cursor = f'&cursor={page["next"]}'


def get_status(hub, path):
    return hub.request('GET', path, key=None).status


def engines(data):
    """Pids of engine processes whose command line names a path in this data folder; of busbar's own processes, none."""
    out = []
    for entry in pathlib.Path('/proc').iterdir():
        if not entry.name.isdigit():
            continue
        try:
            args = (entry / 'cmdline').read_bytes().split(b'\0')
            state = (entry / 'stat').read_text().rsplit(')', 1)[1].split()[0]
        except OSError:
            continue
        if any(a.startswith(bytes(data) + b'/') for a in args) and not {b'up', b'signer'} & set(args) and state != 'Z':
            out.append(int(entry.name))
    return out


def end_engines(folder):
    """What a failed test left behind."""
    for pid in engines(os.fsencode(folder)):
        os.kill(pid, signal.SIGKILL)


def kill9(hub):
    """SIGKILL to the hub's process alone, as the kernel's OOM killer would."""
    os.kill(hub.pid, signal.SIGKILL)
    hub.process.wait()
    hub.reader.join(20)


def unstarted(data, env=None):
    """A Hub that was not started yet, so that a start may fail."""
    hub = Hub.__new__(Hub)
    hub.bin, hub.own, hub.data, hub.args, hub.nofile = os.environ['BUSBAR_BIN'], False, data, [], None
    hub.env = {**os.environ, **(env or {})}
    hub.address = hub.key = hub.operator = hub.process = hub.port = None
    hub.lines = []
    return hub


def assert_first(hub):
    """A start after a first one that was cut short: the bundled model serves, and the operator can get in."""
    try:
        hub.start(8)
    except RuntimeError as e:
        raise AssertionError(f'does not start: {str(e)[-300:]}') from e
    names = [m['name'] for m in hub.request('GET', '/api/v1/models', local=True).json()['data']]
    assert STORIES in names, f'models {names}, keys printed: {bool(hub.key)}'
    made = hub.request('POST', '/api/v1/keys', {'name': 'again', 'tenant': 'default', 'scopes': ['inference']}, local=True)
    assert made.status == 201, f'{made.status} {made.body}'
    r = Client(hub.port, made.json()['key']).talk(max_tokens=3)
    assert r.complete, f'{r.status} {r.error}'


def settled(hub, limit_s=20):
    """Waits until no lease is out."""
    return wait_for('leases return', lambda: status(hub)['leases'] == 0, limit_s, 0.2)
