#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every request of tests/net/requests.corpus over a real socket, to the real hub.

A malformed one is answered within a second with 4xx, 501 or 505 and a close, never with 200; what is smuggled behind it is
never answered; the hub serves a good request after each. A valid one is answered, and the connection stays.
"""
import pathlib
import re
import select
import time

import busbar_test
import http_corpus

CORPUS = pathlib.Path(__file__).resolve().parent.parent / 'net' / 'requests.corpus'
STATUS = re.compile(rb'HTTP/1\.1 (\d{3}) ')


def final(raw):
    """Statuses of answers, interim ones left out."""
    return [int(s) for s in STATUS.findall(raw) if s != b'100']


def exchange(s, data, want, limit_s):
    """Sends `data`; reads until `want` answers are complete and quiet, the end, or the limit. (bytes, closed, seconds)"""
    start = time.monotonic()
    s.setblocking(False)
    out, closed = b'', False
    quiet_at = None
    while time.monotonic() - start < limit_s:
        readable, writable, _ = select.select([s], [s] if data else [], [], 0.02)
        if writable:
            try:
                data = data[s.send(data):]
            except (ConnectionResetError, BrokenPipeError):
                data = b''
        if readable:
            try:
                got = s.recv(262144)
            except ConnectionResetError:
                got = b''
            if not got:
                closed = True
                break
            out += got
            quiet_at = None
        elif not data and want and len(final(out)) >= want:
            quiet_at = quiet_at or time.monotonic()
            if time.monotonic() - quiet_at > 0.1:
                break
    return out, closed, time.monotonic() - start


def check(connect, case):
    """What is wrong with how the hub took the case, or None."""
    outcomes = case.outcomes.split(',')
    good = outcomes.count('ok')
    waits = 'wait' in outcomes
    bad = not waits and outcomes[-1] != 'ok'
    closes = bad or b'HTTP/1.0\r\n' in case.data or b'Connection: close' in case.data
    with connect() as s:
        raw, closed, seconds = exchange(s, case.data, 0 if closes else good, 0.4 if waits else 30.0)
    statuses = final(raw)
    if waits:
        return None if not statuses and not closed else f'answered {statuses}, closed {closed}, although incomplete'
    if len(statuses) != good + bad:
        return f'{len(statuses)} answers {statuses}, expected {good + bad}'
    if bad and not (400 <= statuses[-1] < 500 or statuses[-1] in (501, 505)):
        return f'answered {statuses[-1]}'
    if bad and b'"error"' not in raw and b'HEAD ' not in case.data:
        return 'the refusal has no error body'
    if closes and not closed:
        return f'not closed within {seconds:.1f} s'
    if not closes and closed:
        return 'closed, although the request is valid'
    return None


def main():
    tap = busbar_test.Tap()
    with busbar_test.Hub() as hub:
        def well():
            return hub.request('GET', '/v1/models').status
        assert well() == 200
        cases = http_corpus.read(CORPUS, hub.key.encode())
        counts = {'ok': 0, 'wait': 0, 'malformed': 0}
        for door, connect in (('tcp', hub.socket), ('unix', hub.unix_socket)):
            for case in cases:
                kind = 'wait' if 'wait' in case.outcomes else 'ok' if case.outcomes.endswith('ok') else 'malformed'
                counts[kind] += 1
                problem = check(connect, case)
                if problem:
                    tap.ok(False, f'{door} {case.name}', problem, case.why, repr(case.data[:1500]))
                    continue
                status = well()
                tap.ok(status == 200 and hub.alive(), f'{door} {case.name}',
                       *([f'afterwards a good request gets {status}'] if status != 200 else []))
        tap.note(' '.join(f'{v} {k}' for k, v in counts.items()) + ' requests')
        tap.case('the hub stops cleanly', lambda: None if hub.stop() == 0 else 1 / 0)
    tap.done()


if __name__ == '__main__':
    main()
