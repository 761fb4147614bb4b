# SPDX-License-Identifier: Apache-2.0
"""The reference engine and llama-server side by side: processes on unix sockets, and a model's file with its weights as floats."""
import array
import json
import os
import pathlib
import socket
import struct
import subprocess
import time

from busbar_test import PATIENCE, parse_reply, read_all

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = os.environ.get('BUSBAR_BIN') or str(ROOT / 'build' / 'busbar')
TESTDATA = pathlib.Path(os.environ.get('BUSBAR_TESTDATA') or ROOT.parent / 'shared' / 'data')
MODELS = {'stories': ROOT / 'data' / 'models' / 'stories.gguf', 'stories260K': TESTDATA / 'models' / 'stories260K.gguf'}
LLAMA = ROOT / '.deps' / 'llama' / 'bin' / 'llama-server'


class Peer:
    """One model server on a socket of its own, ended by its pid."""

    def __init__(self, argv, path, log, leaves_socket=False):
        self.path, self.log, self.leaves_socket = str(path), log, leaves_socket
        with open(log, 'ab') as out:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        end = time.monotonic() + 20 * PATIENCE
        while True:
            try:
                if self.request('GET', '/health').status == 200:
                    return
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise RuntimeError(f'{argv[0]} did not start: {pathlib.Path(log).read_text(errors="replace")[-800:]}')
            time.sleep(0.02)

    def connect(self, timeout=60.0):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(timeout)
        s.connect(self.path)
        return s

    def send(self, s, method, path, body=None):
        data = b'' if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        s.sendall(f'{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n'
                  f'Content-Length: {len(data)}\r\n\r\n'.encode() + data)

    def request(self, method, path, body=None, timeout=60.0):
        with self.connect(timeout) as s:
            self.send(s, method, path, body)
            return parse_reply(read_all(s))

    def post(self, path, body):
        reply = self.request('POST', path, body)
        if reply.status != 200:
            raise AssertionError(f'{path}: {reply.status} {reply.body[:400]!r}')
        return reply.json()

    def greedy(self, prompt, tokens, **fields):
        """The choice, and for each token its number, its logarithmic probability, and the likeliest."""
        answer = self.post('/v1/completions', {'prompt': prompt, 'max_tokens': tokens, 'temperature': 0, 'logprobs': 5,
                                               'seed': 1, **fields})
        return answer['choices'][0]

    def cpu_s(self):
        total = 0
        for task in pathlib.Path(f'/proc/{self.process.pid}/task').iterdir():
            total += int((task / 'schedstat').read_text(encoding='ascii').split()[0])
        return total / 1e9

    def stop(self):
        """SIGTERM, as the supervisor does; the exit status."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(8 * PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return None
        finally:
            if self.leaves_socket:
                pathlib.Path(self.path).unlink(missing_ok=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def reference(model, folder, slots=1, threads=1, context=512, name='ref', more=()):
    path = pathlib.Path(folder) / f'{name}.sock'
    return Peer([BIN, 'engine-ref', '--model', str(model), '--host', str(path), '--alias', name, '--slots', str(slots),
                 '--context', str(context), '--threads', str(threads), *more], path, pathlib.Path(folder) / f'{name}.log')


def llama(model, folder, name='llama', context=512, more=()):
    path = pathlib.Path(folder) / f'{name}.sock'
    return Peer([str(LLAMA), '-m', str(model), '--host', str(path), '-a', name, '-np', '1', '-c', str(context), '-t', '1',
                 '--no-slots', '--no-webui', *more], path, pathlib.Path(folder) / f'{name}.log', leaves_socket=True)


# Keys and values as floats, and no rounding that flash attention has of its own.
EXACT = ('-ctk', 'f32', '-ctv', 'f32', '-fa', 'off')

SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        self.at += n
        return self.data[self.at - n:self.at]

    def number(self, n):
        return int.from_bytes(self.take(n), 'little')

    def text(self):
        return self.take(self.number(8))

    def skip(self, kind):
        if kind == 8:
            self.text()
        elif kind == 9:
            item, n = self.number(4), self.number(8)
            for _ in range(n):
                self.skip(item)
        else:
            self.take(SIZES[kind])


def floats_of(data, kind, n):
    """n weights of a type of ggml's as floats: exact, since each is a half times a small whole number."""
    out = array.array('f')
    if kind == 0:
        out.frombytes(data[:4 * n])
    elif kind == 8:
        for at in range(0, n // 32 * 34, 34):
            scale, = struct.unpack_from('<e', data, at)
            out.extend([scale * q for q in struct.unpack_from('<32b', data, at + 2)])
    else:
        raise ValueError(f'tensor type {kind}')
    return out


def as_floats(source, target):
    """The same model with all weights as F32."""
    r = Reader(pathlib.Path(source).read_bytes())
    r.take(8)
    tensors, pairs = r.number(8), r.number(8)
    for _ in range(pairs):
        r.text()
        r.skip(r.number(4))
    table, head = [], r.at
    for _ in range(tensors):
        name, dimensions = r.text(), r.number(4)
        sides = [r.number(8) for _ in range(dimensions)]
        table.append((name, sides, r.number(4), r.number(8)))
    begin = (r.at + 31) // 32 * 32
    entries, body = b'', b''
    for name, sides, kind, offset in table:
        n = 1
        for side in sides:
            n *= side
        entries += struct.pack('<Q', len(name)) + name + struct.pack('<I', len(sides))
        entries += b''.join(struct.pack('<Q', side) for side in sides) + struct.pack('<IQ', 0, len(body))
        body += floats_of(r.data[begin + offset:], kind, n).tobytes()
        body += b'\0' * (-len(body) % 32)
    out = r.data[:head] + entries
    pathlib.Path(target).write_bytes(out + b'\0' * (-len(out) % 32) + body)
