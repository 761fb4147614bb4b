#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Clients that take their time, and too many of them: slow-loris, 10,000 idle connections, descriptors used up."""
import os
import resource
import select
import socket
import time

import busbar_test
from workbench import replied, soon

HEAD_S, BODY_S = 10, 30  # the hub's limits for a head and for a body
IDLE = 10_000
OURS = '127.0.0.2'  # an address on which no test listens


def prompt(hub, limit_s=0.5):
    """The hub serves a new client within limit_s; the seconds it took."""
    def once():
        start = time.monotonic()
        replied(hub.request('GET', '/v1/models'), 200, 'a good request')
        return time.monotonic() - start
    return soon(limit_s, once)


def slow_loris(hub):
    """Heads and bodies that come a byte at a time: 408 within the limits, others are served meanwhile."""
    auth = f'Host: h\r\nAuthorization: Bearer {hub.key}\r\n'
    head = ('POST /v1/chat/completions HTTP/1.1\r\n' + auth).encode()
    body = head + b'Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n'
    chunked = head + b'Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n'
    kinds = {'head': (head + b'X-A: ', HEAD_S), 'line': (b'GET /v1/mod', HEAD_S), 'body': (body + b'{', BODY_S),
             'chunks': (chunked, BODY_S)}
    begun = time.monotonic()
    clients = {}
    for kind, (first, limit) in kinds.items():
        for _ in range(25):
            s = hub.socket()
            s.sendall(first)
            s.setblocking(False)
            clients[s] = [kind, limit, b'']
    answered, slowest, last = [], 0.0, 0.0
    while clients and time.monotonic() - begun < BODY_S + 15:
        for s in select.select(list(clients), [], [], 0.2)[0]:
            kind, limit, got = clients[s]
            try:
                data = s.recv(65536)
            except ConnectionResetError:
                data = b''
            clients[s][2] = got + data
            if not data:
                answered.append((kind, time.monotonic() - begun, got))
                s.close()
                del clients[s]
        for s, (kind, _, got) in clients.items():
            if not got:
                try:
                    s.send(b'1\r\nx\r\n' if kind == 'chunks' else b'a')
                except OSError:
                    pass
        if time.monotonic() - last > 1:
            last = time.monotonic()
            slowest = max(slowest, prompt(hub))
    assert not clients, f'{len(clients)} clients were never cut'
    for kind, after, got in answered:
        assert got.startswith(b'HTTP/1.1 408 '), (kind, got[:80])
        assert b'"error"' in got and b'Connection: close' in got
        limit = kinds[kind][1]
        assert limit - 0.5 <= after <= limit + 10, f'{kind}: cut after {after:.1f} s, the limit is {limit} s'
    return f'{len(answered)} clients cut; slowest good request meanwhile {slowest * 1000:.0f} ms'


def raise_nofile(want):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = want if hard == resource.RLIM_INFINITY else min(want, hard)
    if soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return max(soft, limit)


def open_many(hub, n):
    found = []
    for _ in range(n):
        found.append(hub.socket(source=OURS))
    return found


def settle(hub, want_kb, limit_s=20):
    end = time.monotonic() + limit_s
    while hub.rss_kb() > want_kb and time.monotonic() < end:
        time.sleep(0.1)
    return hub.rss_kb()


def idle_connections(hub, tap):
    """Many connections that say nothing, then one request each: bounded memory, and all of it in use again after."""
    n = min(IDLE, raise_nofile(IDLE + 500) - 500)
    if n < IDLE:
        tap.note(f'only {n} connections: the hard limit of open files is {resource.getrlimit(resource.RLIMIT_NOFILE)[1]}')
    prompt(hub)
    base = hub.rss_kb()
    many = open_many(hub, n)
    took = prompt(hub, 5.0)
    idle_kb = (hub.rss_kb() - base) / n
    request = f'GET /v1/models HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {hub.key}\r\n\r\n'.encode()
    for at in range(0, n, 200):
        for s in many[at:at + 200]:
            s.sendall(request)
        for s in many[at:at + 200]:
            assert s.recv(65536).startswith(b'HTTP/1.1 200 ')
    used_kb = (hub.rss_kb() - base) / n
    took = max(took, prompt(hub, 5.0))
    for s in many:
        s.close()
    prompt(hub, 5.0)
    after = settle(hub, base + 20_000)
    again = open_many(hub, n // 10)
    prompt(hub)
    for s in again:
        s.close()
    note = (f'{n} connections: {idle_kb:.1f} kB each while silent, {used_kb:.1f} kB after a request, a good request took '
            f'{took * 1000:.0f} ms; RSS {base} kB before, {after} kB after')
    assert idle_kb <= 4 and used_kb <= 8, note
    assert after <= base + 40_000, note
    return note


def partial_heads(hub):
    """Half a head on each of 2,000 connections: bounded, and cut at the head's limit."""
    base = hub.rss_kb()
    many = open_many(hub, 2000)
    for s in many:
        s.sendall(b'GET /v1/models HTTP/1.1\r\nHost: h\r\nX-A: ' + b'a' * 400)
    time.sleep(0.5)
    prompt(hub)
    each = (hub.rss_kb() - base) / len(many)
    end = time.monotonic() + HEAD_S + 15
    left = set(many)
    while left and time.monotonic() < end:
        for s in select.select(list(left)[:1000], [], [], 0.2)[0] if max(s.fileno() for s in left) < 1024 else poll(left):
            if not s.recv(65536):
                left.discard(s)
                s.close()
    assert not left, f'{len(left)} were not cut'
    assert each <= 24, f'{each:.1f} kB each'
    return f'{each:.1f} kB for a connection with half a head'


def poll(sockets):
    p = select.poll()
    by_fd = {s.fileno(): s for s in sockets}
    for fd in by_fd:
        p.register(fd, select.POLLIN)
    return [by_fd[fd] for fd, _ in p.poll(200)]


def cpu_s(pid):
    fields = open(f'/proc/{pid}/stat', encoding='ascii').read().rsplit(') ', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def no_descriptors(tap):
    """The hub has no descriptor left: it neither dies nor spins, and serves again as soon as some are free."""
    with busbar_test.Hub(nofile=400) as hub:
        prompt(hub)
        kept = hub.socket()
        request = f'GET /v1/models HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {hub.key}\r\n\r\n'.encode()
        for rounds in range(3):
            many = []
            for _ in range(800):
                s = socket.socket()
                s.bind((OURS, 0))
                s.setblocking(False)
                try:
                    s.connect(('127.0.0.1', hub.port))
                except BlockingIOError:
                    pass
                many.append(s)
            time.sleep(0.5)
            before, since = cpu_s(hub.pid), time.monotonic()
            time.sleep(1)
            spent = (cpu_s(hub.pid) - before) / (time.monotonic() - since)
            assert spent < 0.5, f'{spent:.2f} s of CPU a second without descriptors'
            kept.sendall(request)  # who was there before is still served
            assert kept.recv(65536).startswith(b'HTTP/1.1 200 ')
            for s in many:
                s.close()
            start = time.monotonic()
            while True:
                try:
                    if hub.request('GET', '/v1/models', timeout=5).status == 200:
                        break
                except (OSError, AssertionError):
                    pass
                assert time.monotonic() - start < 20, f'round {rounds}: not serving 20 s after the release'
                time.sleep(0.02)
            tap.note(f'round {rounds}: serves {1000 * (time.monotonic() - start):.0f} ms after the release')
            assert hub.alive()
        kept.close()
        assert hub.stop() == 0


def main():
    tap = busbar_test.Tap()
    raise_nofile(IDLE + 500)
    tap.case('descriptors used up', no_descriptors, tap)
    with busbar_test.Hub() as hub:
        tap.case('10,000 idle connections', idle_connections, hub, tap)
        tap.case('half a head on many connections', partial_heads, hub)
        tap.case('slow-loris', slow_loris, hub)
        tap.case('the hub stops cleanly', lambda: None if hub.stop() == 0 else 1 / 0)
    tap.done()


if __name__ == '__main__':
    main()
