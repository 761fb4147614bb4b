# SPDX-License-Identifier: Apache-2.0
"""Reads tests/net/*.corpus (the form is described in requests.corpus). The C reader is tests/net/corpus.c."""
import collections
import re

Case = collections.namedtuple('Case', 'name outcomes why data')

POST = b'POST /v1/chat/completions HTTP/1.1\r\n'
HOST = b'Host: g\r\n'


def names(key):
    auth = b'Authorization: Bearer ' + key + b'\r\n'
    typed = auth + b'Content-Type: application/json\r\n'
    return {'P': POST, 'H': HOST, 'A': typed, 'M': POST + HOST + typed, 'L': b'Content-Length: 7\r\n',
            'C': b'Transfer-Encoding: chunked\r\n', 'E': b'\r\n', 'B': b'{"x":1}', 'D': b'7\r\n{"x":1}\r\n0\r\n\r\n',
            'S': b'GET /v1/models HTTP/1.1\r\nHost: g\r\n' + auth + b'\r\n', 'r': b'\r', 'n': b'\n', 't': b'\t',
            '\\': b'\\', '0': b'\0'}


def expand(text, table):
    out = b''
    for hexa, count, repeated, letter, plain in re.findall(
            r'\\x([0-9a-f]{2})|\\\{(\d+):([^}]*)\}|\\(.)|([^\\]+)', text):
        if hexa:
            out += bytes([int(hexa, 16)])
        elif count:
            out += expand(repeated, table) * int(count)
        elif letter:
            out += table[letter]
        else:
            out += plain.encode()
    return out


def read(path, key=b'KEY'):
    """All cases of a file; `key` takes the place of the API key."""
    table = names(key)
    cases = []
    for line in open(path, encoding='utf-8').read().split('\n'):
        if line.startswith('  '):
            last = cases[-1]
            more = expand(line[2:], table).replace(b'Bearer KEY', b'Bearer ' + key)
            cases[-1] = last._replace(data=last.data + more)
        elif line and not line.startswith('#'):
            name, outcomes, why = line.split(' ', 2)
            cases.append(Case(name, outcomes, why, b''))
    return cases
