# SPDX-License-Identifier: Apache-2.0
"""Clients that go away in the middle of an answer, and the engine that they were answered by, on one event loop.

A request's plan is its prompt: the engine reads there how many words it has to say, when it stops saying more, and when it breaks
off. It notes when it saw its connection end, by the same clock by which the client notes when it went. What a client got is counted from the
bytes that it read itself.

How a request is cut (`mode`):
  whole   not at all
  stall   the engine says `cut` words and waits; the client has read all of them and closes: what was written is what was read
  half    words go on coming; the client sends its FIN after `cut` of them and reads on to the end: all that its socket was given
  slow    the same with large words of which it reads none for a while, so that some wait in the hub, which it never gets
  close   words go on coming, and the client closes at once: what was written is between what it read and what was said
  breaks  the engine breaks off after `cut` words
  late    no stream; the client goes some moments after it has asked, before or while the answer comes
"""
import asyncio
import dataclasses
import json
import os
import random
import socket
import struct
import time

PAUSE_S = 0.03
SLOW_WORD = 'w' * 16000
MODES = {True: ('whole', 'whole', 'stall', 'half', 'close', 'breaks', 'slow'), False: ('whole', 'whole', 'stall', 'late', 'breaks')}
# path, kind of model, streams
SURFACES = (('/v1/chat/completions', 'chat', True), ('/v1/chat/completions', 'chat', False), ('/v1/completions', 'chat', True),
            ('/v1/completions', 'chat', False), ('/v1/embeddings', 'embedding', False), ('/v1/rerank', 'rerank', False))


@dataclasses.dataclass
class Plan:
    number: int
    path: str
    kind: str
    stream: bool
    mode: str
    model: str
    words: int
    cut: int
    wait_s: float  # of one that goes late, of a slow reader, and before an answer that is not streamed
    door: int

    def prompt(self):
        return json.dumps({'number': self.number, 'mode': self.mode, 'words': self.words, 'cut': self.cut, 'wait_s': self.wait_s})

    def prompt_tokens(self):
        return 5 + self.number % 7

    def body(self):
        body = {'model': self.model}
        if self.path == '/v1/embeddings':
            return {**body, 'input': self.prompt()}
        if self.path == '/v1/rerank':
            return {**body, 'query': self.prompt(), 'documents': ['a', 'b']}
        body['max_tokens'] = self.words
        if self.path == '/v1/completions':
            body['prompt'] = self.prompt()
        else:
            body['messages'] = [{'role': 'user', 'content': self.prompt()}]
        return {**body, 'stream': True, 'stream_options': {'include_usage': True}} if self.stream else body


def make_plans(n, seed, doors=2):
    """Half of them whole; every surface, door, way to count and way to be cut is there."""
    rng, plans = random.Random(seed), []
    for i in range(n):
        path, kind, stream = SURFACES[i % len(SURFACES)]
        mode = 'whole' if rng.random() < 0.3 else rng.choice(MODES[stream])
        words = rng.randint(2, 60) if mode != 'slow' else 400
        model = {'embedding': 'emb', 'rerank': 'rank'}.get(kind) or rng.choice(('told', 'counted'))
        plans.append(Plan(i, path, kind, stream, mode, model, words, rng.randint(0, words - 1), rng.uniform(0.0, 0.12), rng.randrange(doors)))
    return plans


# ---- the engine ----

class Engine:
    """An engine of all kinds. `ended` has when it saw the connection of a request that was not over end, `said` its words."""

    def __init__(self):
        self.server, self.url, self.ended, self.said, self.asked = None, None, {}, {}, set()

    async def start(self, port=0):
        self.server = await asyncio.start_server(self.serve, '127.0.0.1', port, backlog=1024)
        self.url = f'http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}'
        return self

    def stop(self):
        self.server.close()

    async def serve(self, reader, writer):
        try:
            while await self.one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def one(self, reader, writer):
        head = (await reader.readuntil(b'\r\n\r\n')).decode('latin-1')
        fields = {k.lower(): v.strip() for k, _, v in (line.partition(':') for line in head.split('\r\n')[1:])}
        raw = await reader.readexactly(int(fields.get('content-length', 0)))
        if not head.startswith('POST'):
            reply(writer, {'object': 'list', 'data': []})
            return True
        body = json.loads(raw)
        plan = json.loads(body.get('input') or body.get('query') or body.get('prompt') or body['messages'][0]['content'])
        self.asked.add(plan['number'])
        try:
            return await (self.stream if body.get('stream') else self.whole)(reader, writer, plan, body)
        except ConnectionError:
            self.ended.setdefault(plan['number'], time.monotonic())
            raise

    async def gone(self, reader, plan, wait_s):
        """Whether the connection ended within so many seconds."""
        try:
            data = await asyncio.wait_for(reader.read(1), wait_s)
        except asyncio.TimeoutError:
            return False
        if data:
            raise AssertionError('a second request before the first was answered')
        self.ended.setdefault(plan['number'], time.monotonic())
        return True

    async def whole(self, reader, writer, plan, body):
        if await self.gone(reader, plan, 60 if plan['mode'] == 'stall' else plan['wait_s']):
            return False
        if plan['mode'] == 'breaks':
            writer.write(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"object":')
            await writer.drain()
            return False
        reply(writer, answer(plan, body))
        await writer.drain()
        return True

    async def stream(self, reader, writer, plan, body):
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n')
        exact = body.get('stream_options', {}).get('continuous_usage_stats')
        word = SLOW_WORD if plan['mode'] == 'slow' else 'w '
        for i in range(plan['words']):
            if i == plan['cut'] and plan['mode'] == 'stall':
                await writer.drain()
                await self.gone(reader, plan, 60)
                return False
            if i == plan['cut'] and plan['mode'] == 'breaks':
                await writer.drain()
                return False
            event(writer, {'choices': [choice(body, word)], **({'usage': usage_of(plan, i + 1)} if exact else {})}, body)
            self.said[plan['number']] = i + 1
            await writer.drain()
            if await self.gone(reader, plan, 0.001 if plan['mode'] == 'slow' else PAUSE_S):
                return False
        event(writer, {'choices': [], 'usage': usage_of(plan, plan['words'])}, body)
        chunk(writer, b'data: [DONE]\n\n')
        writer.write(b'0\r\n\r\n')
        await writer.drain()
        return True


def usage_of(plan, words):
    prompt = 5 + plan['number'] % 7
    return {'prompt_tokens': prompt, 'completion_tokens': words, 'total_tokens': prompt + words}


def choice(body, word):
    return {'index': 0, 'text': word} if 'prompt' in body else {'index': 0, 'delta': {'content': word}}


def chunk(writer, data):
    writer.write(f'{len(data):x}\r\n'.encode() + data + b'\r\n')


def event(writer, value, body):
    chunk(writer, b'data: ' + json.dumps({'id': 'x', 'object': 'x', 'created': 1, 'model': body['model'], **value}).encode() + b'\n\n')


def reply(writer, value):
    data = json.dumps(value).encode()
    writer.write(f'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n'.encode() + data)


def answer(plan, body):
    usage = usage_of(plan, plan['words'])
    out = {'id': 'x', 'object': 'x', 'created': 1, 'model': body['model'], 'usage': usage}
    if 'input' in body:
        return {**out, 'usage': {'prompt_tokens': usage['prompt_tokens'], 'total_tokens': usage['prompt_tokens']},
                'data': [{'object': 'embedding', 'index': 0, 'embedding': [0.5] * 64}]}
    if 'query' in body:
        return {**out, 'usage': {'total_tokens': usage['prompt_tokens']}, 'results': [{'index': 0, 'relevance_score': 1}]}
    text = 'w ' * plan['words']
    said = {'text': text} if 'prompt' in body else {'message': {'role': 'assistant', 'content': text}}
    return {**out, 'choices': [{'index': 0, 'finish_reason': 'length', **said}]}


# ---- the clients ----

class Client:
    """One request. `got` counts the words that came, `times` when each did, `complete` says that the answer came to its end."""

    def __init__(self, plan, port, key):
        self.plan, self.port, self.key = plan, port, key
        self.status = self.id = self.usage = self.left = self.error = None
        self.got, self.times, self.complete, self.raw, self.lines = 0, [], False, b'', b''
        self.reader = self.writer = None

    async def run(self):
        sock = socket.socket()
        sock.setblocking(False)
        if self.plan.mode == 'slow':
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        await asyncio.get_running_loop().sock_connect(sock, ('127.0.0.1', self.port))
        self.reader, self.writer = await asyncio.open_connection(sock=sock, limit=65536)
        try:
            await self.ask()
            await (self.stream() if self.plan.stream else self.whole())
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.go()
        return self

    def go(self, reset=False):
        if self.left is None and not self.complete:
            self.left = time.monotonic()
        if reset:
            self.writer.get_extra_info('socket').setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        self.writer.transport.abort()

    async def ask(self):
        data = json.dumps(self.plan.body()).encode()
        self.writer.write(f'POST {self.plan.path} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {self.key}\r\n'
                          f'Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n'.encode() + data)

    async def head(self):
        text = (await self.reader.readuntil(b'\r\n\r\n')).decode('latin-1')
        first, *rest = text.split('\r\n')
        fields = {k.lower(): v.strip() for k, _, v in (line.partition(':') for line in rest)}
        self.status, self.id = int(first.split()[1]), fields.get('x-request-id')
        return fields

    async def whole(self):
        try:
            patience = {'stall': self.plan.wait_s + 0.3, 'late': self.plan.wait_s}.get(self.plan.mode)
            fields = await asyncio.wait_for(self.head(), patience)
        except asyncio.TimeoutError:
            return
        body = json.loads(await self.reader.readexactly(int(fields['content-length'])))
        self.complete = self.status == 200
        self.usage, self.error = body.get('usage'), body.get('error')

    async def stream(self):
        fields = await self.head()
        if self.status != 200:
            self.error = json.loads(await self.reader.readexactly(int(fields['content-length'])))['error']
            return
        cuts = self.plan.mode in ('stall', 'half', 'close', 'slow')
        while not self.complete:
            while self.one_chunk(cuts and self.left is None):
                pass
            if self.complete:
                return
            if cuts and self.left is None and self.got >= self.plan.cut:
                if self.plan.mode in ('stall', 'close'):
                    self.go(self.plan.number % 2 == 0)
                    return
                if self.plan.mode == 'slow':
                    await asyncio.sleep(0.3 + self.plan.wait_s)  # the engine says more than all buffers take
                self.left = time.monotonic()
                self.writer.write_eof()
                continue  # there may be more of what was read already
            data = await self.reader.read(65536)
            if not data:
                return
            self.raw += data

    def one_chunk(self, until_cut):
        """Takes the next whole chunk; false when there is none, or the client has what it goes away after."""
        size, newline, rest = self.raw.partition(b'\r\n')
        if self.complete or not newline or len(rest) < int(size, 16) + 2 or (until_cut and self.got >= self.plan.cut):
            return False
        n = int(size, 16)
        self.raw, self.complete = rest[n + 2:], self.complete or n == 0
        *whole, self.lines = (self.lines + rest[:n]).split(b'\n\n')
        for line in whole:
            self.take(line.removeprefix(b'data: '))
        return n > 0

    def take(self, data):
        if data == b'[DONE]':
            return
        value = json.loads(data)
        self.usage = value.get('usage') or self.usage
        if value.get('error'):
            self.error = value['error']
        for each in value.get('choices', []):
            if each.get('text') or each.get('delta', {}).get('content'):
                self.got += 1
                self.times.append(time.monotonic())


async def crowd(plans, ports, key, clients, stop=None):
    """So many at a time, each with its plan; what became of them, and by how much the loop was late at worst."""
    todo, done, late = list(reversed(plans)), [], [0.0]

    async def client():
        while todo and not (stop and stop()):
            plan = todo.pop()
            done.append(await Client(plan, ports[plan.door], key).run())

    async def watch():
        while True:
            at = time.monotonic()
            await asyncio.sleep(0.01)
            late[0] = max(late[0], time.monotonic() - at - 0.01)
    watcher = asyncio.create_task(watch())
    await asyncio.gather(*(client() for _ in range(clients)))
    await asyncio.sleep(0.7)  # engines see the end
    watcher.cancel()
    return done, late[0]


async def serve_alone():
    """As a process of its own, which can be killed. Prints its address."""
    engine = await Engine().start()
    print(engine.url, flush=True)
    parent = os.getppid()
    while os.getppid() == parent:
        await asyncio.sleep(0.5)


if __name__ == '__main__':
    asyncio.run(serve_alone())
