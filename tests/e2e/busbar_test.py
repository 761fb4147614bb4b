# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests share: the real binary on a folder of its own, raw requests, TAP.

BUSBAR_BIN names the binary; without it a test fails, it never skips. A Hub is started on port 0 and is ready once it has
printed its address; everything it prints stays in `lines`. Each is ended by its pid.
"""
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback


# A wait's limit says what an idle machine needs at the very most. Machines stall and are shared, and a wait that is not needed costs
# nothing: all that wait have this many times the patience. A bound on behaviour is no wait: it is measured and compared by itself.
PATIENCE = 4

# What is freed is overwritten, so that whoever still reads it is found.
PERTURBED = {'MALLOC_PERTURB_': '165'}


class Reply:
    def __init__(self, status, fields, body):
        self.status, self.fields, self.body = status, fields, body

    def json(self):
        return json.loads(self.body)


class Hub:
    """`busbar up` on a temporary folder. `nofile` sets its RLIMIT_NOFILE, `env` adds to its environment."""

    def __init__(self, args=(), nofile=None, env=None, data=None, wait_s=20):
        self.bin = os.environ.get('BUSBAR_BIN')
        if not self.bin or not os.access(self.bin, os.X_OK):
            raise RuntimeError('BUSBAR_BIN does not name a program')
        self.own = data is None
        self.data = pathlib.Path(data or tempfile.mkdtemp(prefix='bb-', dir='/tmp'))
        self.args, self.nofile, self.env = list(args), nofile, {**PERTURBED, **os.environ, **(env or {})}
        self.address = self.port = self.key = self.operator = self.process = None
        self.lines = []
        try:
            self.start(wait_s)
        except BaseException:
            if self.own:
                shutil.rmtree(self.data, ignore_errors=True)
            raise

    def start(self, wait_s=20):
        def limit():
            if self.nofile:
                resource.setrlimit(resource.RLIMIT_NOFILE, (self.nofile, self.nofile))
        args = [self.bin, 'up', '--data', str(self.data)]
        if '--listen' not in self.args:
            args += ['--listen', '127.0.0.1:0']
        self.port = None
        self.process = subprocess.Popen(args + self.args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, errors='replace', env=self.env,
                                        preexec_fn=limit, start_new_session=True)
        ready = threading.Event()
        self.reader = threading.Thread(target=self._read, args=(self.process.stdout, ready), daemon=True)
        self.reader.start()
        if not ready.wait(PATIENCE * wait_s) or self.port is None:
            tail = '\n'.join(self.lines[-20:])
            self.kill()
            raise RuntimeError(f'the hub did not start: {tail}')

    def _read(self, stream, ready):
        for line in stream:
            line = line.rstrip('\n')
            self.lines.append(line)
            word, _, rest = line.partition(' ')
            rest = rest.strip()
            if word == 'address':
                self.address = rest.split()[0]
                self.port = int(self.address.rsplit(':', 1)[1].rstrip('/'))
            elif word in ('key', 'operator') and rest.startswith('bb_'):
                setattr(self, word, rest.split()[0])
            elif ' serving ' in line:
                found = re.search(r'address=(http\S+)', line)
                if found and self.port is None:
                    self.address = found.group(1)
                    self.port = int(self.address.rsplit(':', 1)[1])
                ready.set()
        ready.set()

    @property
    def pid(self):
        return self.process.pid

    def alive(self):
        return self.process.poll() is None

    def rss_kb(self):
        status = pathlib.Path(f'/proc/{self.pid}/status').read_text(encoding='ascii')
        return int(re.search(r'VmRSS:\s+(\d+)', status).group(1))

    def socket(self, timeout=30.0, source=None):
        """A raw connection to the gateway. Thousands should have a source of their own, so that others' ports stay free."""
        s = socket.create_connection(('127.0.0.1', self.port), timeout, source and (source, 0))
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s

    def unix_socket(self, timeout=30.0):
        """A raw connection as an operator."""
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(timeout)
        s.connect(str(self.data / 'busbar.sock'))
        return s

    def request(self, method, path, body=None, key='', timeout=60.0, local=False, fields=()):
        """One request on its own connection; key='' uses the first key, None sends none."""
        data = b'' if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        head = [f'{method} {path} HTTP/1.1', 'Host: test', 'Connection: close', *fields]
        if key is not None and not local:
            head.append(f'Authorization: Bearer {key or self.key}')
        if body is not None:
            head += ['Content-Type: application/json', f'Content-Length: {len(data)}']
        with (self.unix_socket(timeout) if local else self.socket(timeout)) as s:
            s.sendall('\r\n'.join(head).encode() + b'\r\n\r\n' + data)
            return parse_reply(read_all(s))

    def cli(self, *args, timeout=120, check=True):
        """busbar ARGS --data DIR; its standard output."""
        done = subprocess.run([self.bin, *args, '--data', str(self.data)], stdin=subprocess.DEVNULL, text=True,
                              capture_output=True, timeout=timeout, check=False)
        if check and done.returncode != 0:
            raise AssertionError(f'busbar {" ".join(args)}: {done.returncode}: {done.stdout}{done.stderr}')
        return done.stdout

    def stop(self, wait_s=20):
        """SIGTERM; the exit status."""
        if self.alive():
            os.kill(self.pid, signal.SIGTERM)
        try:
            rc = self.process.wait(PATIENCE * wait_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError('the hub did not stop on SIGTERM') from None
        self.reader.join(20)
        return rc

    def kill(self):
        """kill -9, also of what it left running in its session."""
        if self.alive():
            os.kill(self.pid, signal.SIGKILL)
        self.process.wait()
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.reader.join(20)

    def __enter__(self):
        return self

    def __exit__(self, failed, *_):
        try:
            if failed:
                self.kill()
            elif self.alive():
                self.stop()
        finally:
            if self.own:
                shutil.rmtree(self.data, ignore_errors=True)


def read_all(s):
    out = b''
    try:
        while True:
            data = s.recv(65536)
            if not data:
                return out
            out += data
    except ConnectionResetError:
        return out


def parse_reply(raw):
    head, _, body = raw.partition(b'\r\n\r\n')
    lines = head.decode('latin-1').split('\r\n')
    found = re.match(r'HTTP/1\.1 (\d{3}) ', lines[0])
    if not found:
        raise AssertionError(f'not an HTTP answer: {raw[:200]!r}')
    fields = {}
    for line in lines[1:]:
        name, _, value = line.partition(':')
        fields[name.lower()] = value.strip()
    if fields.get('transfer-encoding') == 'chunked':
        body = dechunk(body)
    return Reply(int(found.group(1)), fields, body)


def dechunk(raw):
    out = b''
    while True:
        size, _, rest = raw.partition(b'\r\n')
        n = int(size, 16)
        if n == 0:
            return out
        out += rest[:n]
        raw = rest[n + 2:]


class Tap:
    """Prints TAP. `case` runs a function and reports what it raised."""

    def __init__(self):
        self.n = self.bad = 0

    def ok(self, good, name, *notes):
        self.n += 1
        self.bad += not good
        print(f"{'ok' if good else 'not ok'} {self.n} - {name}", flush=True)
        for note in notes:
            for line in str(note).split('\n'):
                print('#', line, flush=True)
        return good

    def skip(self, name, why):
        self.n += 1
        print(f'ok {self.n} - {name} # SKIP {why}', flush=True)

    def note(self, text):
        print('#', text, flush=True)

    def case(self, name, function, *args):
        start = time.monotonic()
        try:
            notes = function(*args)
            return self.ok(True, name, *([notes] if notes else []), f'{time.monotonic() - start:.1f} s')
        except Exception:  # pylint: disable=broad-except
            return self.ok(False, name, traceback.format_exc().rstrip())

    def done(self):
        print(f'1..{self.n}', flush=True)
        sys.exit(1 if self.bad or self.n == 0 else 0)
