# SPDX-License-Identifier: Apache-2.0
"""A Hub with hands: the command line, the API as its operator, streams event by event, and a scripted engine.

Amounts are compared as whole nano-units, never as floating point.
"""
import decimal
import http.server
import json
import os
import pathlib
import re
import socket
import subprocess
import threading
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
os.environ.setdefault('BUSBAR_BIN', str(ROOT / 'build' / 'busbar'))
FULL = os.environ.get('BUSBAR_FULL') == '1'
TESTDATA = pathlib.Path(os.environ.get('BUSBAR_TESTDATA') or ROOT.parent / 'shared' / 'data')

import busbar_test  # noqa: E402  pylint: disable=wrong-import-position

Tap = busbar_test.Tap
OK, FAILED, USAGE, UNREACHABLE, NOT_FOUND, NOT_ALLOWED = range(6)  # exit statuses
STORY = [{'role': 'user', 'content': 'Once upon a time'}]


def nano(text):
    return int(decimal.Decimal(text) * 1_000_000_000)


def wait_for(condition, what, limit_s=15.0, every_s=0.02):
    """Whatever the condition returns, once it is true."""
    limit_s *= busbar_test.PATIENCE
    end = time.monotonic() + limit_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f'not within {limit_s} s: {what}')
        time.sleep(every_s)


def same(found, expected, what):
    if found != expected:
        raise AssertionError(f'{what}: {found!r}, expected {expected!r}')


def replied(reply, status, what):
    """The reply, if that is its status; else what it said."""
    if reply.status != status:
        raise AssertionError(f'{what}: {reply.status}, expected {status}: {reply.body[-600:]!r}')
    return reply


def soon(limit_s, measure, tries=4):
    """A bound on how long something takes, in seconds, on a machine that may stall at any moment: one of a few tries keeps it."""
    took = []
    while not took or took[-1] >= limit_s:
        need(len(took) < tries, f'{took} s, each more than {limit_s} s')
        took.append(measure())
    return took[-1]


def need(condition, *what):
    if not condition:
        raise AssertionError(' '.join(str(w) for w in what))


def busbar(status, *args, timeout=120, **env):
    """A verb that needs no hub; the finished process, once it gave that exit status."""
    words = list(map(str, args))
    done = subprocess.run([os.environ['BUSBAR_BIN'], *words], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          check=False, timeout=timeout, env={**os.environ, **env})
    same(done.returncode, status, f'{" ".join(words)}: {done.stdout[-300:]}{done.stderr[-600:]}')
    return done


class Bench(busbar_test.Hub):
    def run(self, *args, timeout=120, data=True, env=None, stdin=None):
        """busbar ARGS [--data DIR]: the finished process."""
        tail = ['--data', str(self.data)] if data else []
        return subprocess.run([self.bin, *args, *tail], input=stdin, stdin=None if stdin else subprocess.DEVNULL,
                              text=True, capture_output=True, timeout=timeout, check=False,
                              env={**os.environ, **(env or {})})

    def api(self, method, path, body=None, status=None, **options):
        """As the operator, over the unix socket: the answer's JSON. Any 2xx, unless a status is asked for."""
        reply = self.request(method, path, body, local=True, **options)
        if not (reply.status == status if status else 200 <= reply.status < 300):
            raise AssertionError(f'{method} {path}: {reply.status} {reply.body[:500]!r}')
        return reply.json() if reply.body else None

    def pages(self, path, limit=1000):
        out, cursor = [], None
        while True:
            page = self.api('GET', f"{path}{'&' if '?' in path else '?'}limit={limit}" +
                            (f'&cursor={urllib.parse.quote(cursor)}' if cursor else ''))
            out += page['data']
            cursor = page['next']
            if cursor is None:
                return out

    def records(self, tenant=None):
        return self.pages('/api/v1/usage/records' + (f'?tenant={tenant}' if tenant else ''))

    def records_of(self, request_id):
        return [r for r in self.records() if r['request'] == request_id]

    def billed(self, request_id, wait_s=5.0):
        """Sums of a request's records, once its final one is there; exactly one is final."""
        def final():
            found = self.records_of(request_id)
            return found if any('final' in r['flags'] for r in found) else None
        found = wait_for(final, f'a final record of {request_id}', wait_s)
        same(sum('final' in r['flags'] for r in found), 1, 'final records')
        out = {k: sum(r[k] for r in found)
               for k in ('prompt_tokens', 'cached_tokens', 'completion_tokens', 'reasoning_tokens')}
        out['cost'] = sum(nano(r['cost']) for r in found)
        last = next(r for r in found if 'final' in r['flags'])
        return {**out, 'status': last['status'], 'flags': last['flags'], 'records': len(found)}

    def tenant(self, name='default'):
        found = self.api('GET', f'/api/v1/tenants/{name}')
        return {k: nano(v) if k in ('budget', 'spent', 'held', 'available') else v for k, v in found.items()}

    def add_key(self, name='k', tenant='default', **fields):
        return self.api('POST', '/api/v1/keys', {'name': name, 'tenant': tenant, **fields})

    def settle(self, tenant='default', limit_s=25.0):
        """Waits until nothing is held for the tenant; idle leases go back by themselves."""
        return wait_for(lambda: (t := self.tenant(tenant))['held'] == 0 and t, f'{tenant} without a hold', limit_s, 0.1)

    def chat(self, key='', model='stories', messages=None, timeout=60.0, **fields):
        return self.request('POST', '/v1/chat/completions',
                            {'model': model, 'messages': messages or STORY, **fields}, key=key, timeout=timeout)

    def stream(self, key='', model='stories', path='/v1/chat/completions', messages=None, timeout=60.0, rcvbuf=None,
               **fields):
        body = {'model': model, 'stream': True, **fields}
        if path == '/v1/chat/completions':
            body['messages'] = messages or STORY
        return Stream(self.port, key or self.key, path, body, timeout, rcvbuf)

    def deployment(self, model='stories'):
        return next((d for d in self.api('GET', '/api/v1/deployments')['data'] if d['model'] == model), None)

    def wait_ready(self, model='stories', replicas=1, limit_s=20.0):
        def ready():
            d = self.deployment(model)
            return d and sum(r['state'] == 'ready' for r in d['replicas']) >= replicas and d
        return wait_for(ready, f'{replicas} ready replicas of {model}', limit_s)

    def add_url_model(self, name, url, kind='chat', context=512, engine='url', deploy=True, slots=4, **prices):
        self.api('POST', '/api/v1/models', {'name': name, 'source': url, 'engine': engine, 'kind': kind,
                                            'context': context, **prices})
        if deploy:
            self.api('POST', '/api/v1/deployments', {'model': name, 'slots': slots})
            self.wait_ready(name)

    def engines(self):
        """Pids of the engines: processes with a socket of ours on their command line."""
        return find_processes(str(self.data / 'run'))

    def engine_metric(self, name, model='stories', ordinal=0):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(30)
            s.connect(str(self.data / 'run' / f'{model}-{ordinal}.sock'))
            s.sendall(b'GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
            text = busbar_test.read_all(s).decode()
        return int(float(re.search(rf'^llamacpp:{name} (\S+)', text, re.M).group(1)))


def find_processes(part):
    """Pids whose command line has the text, ourselves left out."""
    out = []
    for entry in pathlib.Path('/proc').iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            line = (entry / 'cmdline').read_bytes()
            state = (entry / 'stat').read_text(encoding='latin-1').rpartition(')')[2].split()[0]
        except OSError:
            continue
        if part.encode() in line and state != 'Z':
            out.append(int(entry.name))
    return out


def alive(pid):
    try:
        stat = pathlib.Path(f'/proc/{pid}/stat').read_text(encoding='latin-1')
    except OSError:
        return False
    return stat.rpartition(')')[2].split()[0] != 'Z'


class Stream:
    """One streamed answer, read event by event. `text` is all that the choices' deltas said."""

    def __init__(self, port, key, path, body, timeout, rcvbuf=None):
        self.sock = socket.socket()
        if rcvbuf:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.sock.settimeout(timeout)
        self.sock.connect(('127.0.0.1', port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        data = json.dumps(body).encode()
        self.sock.sendall(f'POST {path} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {key}\r\n'
                          f'Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n'.encode() + data)
        self.raw, self.lines = b'', b''
        while b'\r\n\r\n' not in self.raw:
            self._receive()
        head, _, self.raw = self.raw.partition(b'\r\n\r\n')
        first, *rest = head.decode('latin-1').split('\r\n')
        self.status = int(first.split()[1])
        self.fields = {k.lower(): v.strip() for k, _, v in (line.partition(':') for line in rest)}
        self.id = self.fields.get('x-request-id')
        self.events, self.text, self.chunks = [], '', 0
        self.done = self.ended = self.broken = False
        self.error = self.usage = None

    def _receive(self):
        data = self.sock.recv(65536)
        if not data:
            raise ConnectionResetError('the connection ended early')
        self.raw += data

    def _chunk(self):
        """Takes one whole chunk off the wire; false at the last one."""
        while b'\r\n' not in self.raw:
            self._receive()
        size, _, rest = self.raw.partition(b'\r\n')
        n = int(size, 16)
        while len(self.raw) < len(size) + 4 + n:
            self._receive()
        rest = self.raw[len(size) + 2:]
        self.lines, self.raw = self.lines + rest[:n], rest[n + 2:]
        return n > 0

    def next(self):
        """The next event: an object, '[DONE]', or None at the end. `broken`: the answer was cut off."""
        while not self.ended:
            line, newline, rest = self.lines.partition(b'\n')
            if newline:
                self.lines = rest
                if line.startswith(b'data: '):
                    return self._take(line[6:].decode())
                continue
            try:
                self.ended = not self._chunk()
            except ConnectionResetError:
                self.ended = self.broken = True
        return None

    def _take(self, data):
        if data == '[DONE]':
            self.done = True
            return data
        event = json.loads(data)
        self.events.append(event)
        self.error = event.get('error') or self.error
        self.usage = event.get('usage') or self.usage
        for choice in event.get('choices', []):
            part = choice.get('text') or choice.get('delta', {}).get('content')
            if part:
                self.text += part
                self.chunks += 1
        return event

    def read(self, chunks=None):
        """Reads on to the end, or until so many chunks with text have come."""
        while chunks is None or self.chunks < chunks:
            if self.next() is None:
                break
        return self

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Engine(http.server.ThreadingHTTPServer):
    """A scripted OpenAI-compatible engine. `script(request, path, body)` answers each POST; `seen` has every body."""
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, script, port=0):
        self.script, self.seen, self.paths, self.cut = script, [], [], 0
        self.healthy, self.version = True, None  # what GET /version answers, or how
        super().__init__(('127.0.0.1', port), EngineRequest)
        self.url = f'http://127.0.0.1:{self.server_address[1]}'
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        self.cut += 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class EngineRequest(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass

    def do_GET(self):
        if self.path == '/version' and self.server.version is not None:
            if callable(self.server.version):
                self.server.version(self)
            else:
                self.reply(200, self.server.version)
        elif self.server.healthy:
            self.reply(200, {'object': 'list', 'data': []})
        else:
            self.reply(503, {'error': {'message': 'loading'}})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
        self.server.seen.append(body)
        self.server.paths.append(self.path)
        self.server.script(self, self.path, body)

    def reply(self, status, value, kind='application/json'):
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header('Content-Type', kind)
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def begin(self, kind='text/event-stream'):
        self.send_response(200)
        self.send_header('Content-Type', kind)
        self.send_header('Transfer-Encoding', 'chunked')
        self.end_headers()

    def raw(self, data):
        self.wfile.write(f'{len(data):x}\r\n'.encode() + data + b'\r\n')
        self.wfile.flush()

    def event(self, value):
        self.raw(b'data: ' + (value if isinstance(value, bytes) else json.dumps(value).encode()) + b'\n\n')

    def word(self, text, model='m', index=0, **more):
        self.event({'id': 'x', 'object': 'chat.completion.chunk', 'created': 1, 'model': model,
                    'choices': [{'index': index, 'delta': {'content': text}, 'finish_reason': None}], **more})

    def end(self, done=True):
        if done:
            self.event(b'[DONE]')
        self.wfile.write(b'0\r\n\r\n')
        self.wfile.flush()

    def break_off(self):
        """Closes the connection in the middle of the answer."""
        self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


def talk(pause_s=0.0, word='w '):
    """An engine script: max_tokens words, a pause after each, then usage."""
    def script(request, _path, body):
        n = body.get('max_tokens', 16)
        usage = {'prompt_tokens': 5, 'completion_tokens': n, 'total_tokens': 5 + n}
        if not body.get('stream'):
            time.sleep(pause_s * n)
            request.reply(200, {'id': 'x', 'object': 'chat.completion', 'created': 1, 'model': body['model'],
                                'choices': [{'index': 0, 'finish_reason': 'length',
                                             'message': {'role': 'assistant', 'content': word * n}}],
                                'usage': usage})
            return
        request.begin()
        for _ in range(n):
            request.word(word, body['model'])
            time.sleep(pause_s)
        request.event({'id': 'x', 'object': 'chat.completion.chunk', 'created': 1, 'model': body['model'],
                       'choices': [], 'usage': usage})
        request.end()
    return script
