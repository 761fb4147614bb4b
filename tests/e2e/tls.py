#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`busbar up --tls-cert --tls-key`: TLS 1.3 and nothing older."""
import http.client
import json
import pathlib
import shutil
import socket
import ssl
import subprocess
import tempfile

from workbench import STORY, Bench, Tap, need, replied, same


def make_certificate(folder):
    cert, key = str(folder / 'cert.pem'), str(folder / 'key.pem')
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
                    '-days', '2',
                    '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-keyout', key,
                    '-out',
                    cert], check=True, capture_output=True)
    return cert, key


class TlsBench(Bench):
    cafile = None

    def context(self, **versions):
        context = ssl.create_default_context(cafile=self.cafile)
        for name, version in versions.items():
            setattr(context, name, version)
        return context

    def call(self, method, path, body=None, **versions):
        c = http.client.HTTPSConnection('127.0.0.1', self.port, timeout=20, context=self.context(**versions))
        c.request(method, path, None if body is None else json.dumps(body), {'Authorization': f'Bearer {self.key}'})
        return c, c.getresponse()


def whole_answer(hub):
    need(hub.address.startswith('https://'), hub.address)
    c, answer = hub.call('POST', '/v1/chat/completions', {'model': 'stories', 'messages': STORY, 'max_tokens': 5})
    same((answer.status, c.sock.version()), (200, 'TLSv1.3'), 'status and version')
    same(json.loads(answer.read())['usage']['completion_tokens'], 5, 'tokens')
    c.request('GET', '/v1/models', headers={'Authorization': f'Bearer {hub.key}'})
    replied(c.getresponse(), 200, 'the connection stays')
    c.close()


def streamed_answer(hub):
    c, answer = hub.call('POST', '/v1/chat/completions', {'model': 'stories', 'messages': STORY, 'max_tokens': 100,
                                                          'stream': True, 'stream_options': {'include_usage': True}})
    same(answer.status, 200, 'status')
    events = [x[6:] for x in answer.read().decode().split('\n') if x.startswith('data: ')]
    same(events[-1], '[DONE]', 'last event')
    usage = json.loads(events[-2])['usage']
    texts = sum(1 for e in events[:-2] if json.loads(e)['choices'][0]['delta'].get('content'))
    same(texts, usage['completion_tokens'], 'chunks')
    same(hub.billed(answer.getheader('x-request-id'))['completion_tokens'], texts, 'billed')
    c.close()


def broken_off_stream(hub):
    c, answer = hub.call('POST', '/v1/chat/completions', {'model': 'stories', 'messages': STORY, 'max_tokens': 400,
                                                          'stream': True, 'logprobs': True, 'top_logprobs': 20})
    answer.readline()
    request = answer.getheader('x-request-id')
    answer.close()
    c.close()
    bill = hub.billed(request)
    need(bill['completion_tokens'] <= 400, bill)


def older_versions(hub):
    with socket.create_connection(('127.0.0.1', hub.port), 5) as s:
        try:
            hub.context(maximum_version=ssl.TLSVersion.TLSv1_2).wrap_socket(s, server_hostname='127.0.0.1')
        except (ssl.SSLError, ConnectionResetError):
            return
    raise AssertionError('TLS 1.2 was accepted')


def plain_http(hub):
    with hub.socket() as s:
        s.sendall(b'GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n')
        need(not s.recv(4096).startswith(b'HTTP/1.1 200'), 'answered in the clear')
    with hub.socket() as s:
        s.sendall(b'\x16\x03\x01' + b'\xff' * 500)
        s.recv(4096)
    for _ in range(50):
        hub.socket().close()
    whole_answer(hub)


def name_is_checked(hub):
    context = ssl.create_default_context()
    with hub.socket() as s:
        try:
            context.wrap_socket(s, server_hostname='127.0.0.1')
        except ssl.SSLCertVerificationError:
            return
    raise AssertionError('a client that does not know the certificate accepted it')


def cli_over_tls(hub):
    done = hub.run('status', '--hub', hub.address, '--key', hub.operator, data=False,
                   env={'CURL_CA_BUNDLE': hub.cafile, 'SSL_CERT_FILE': hub.cafile})
    need(done.returncode in (0, 3), done)  # libcurl need not know the variables
    return 'the command line trusts SSL_CERT_FILE' if done.returncode == 0 else 'the command line ignores SSL_CERT_FILE'


def wrong_files(folder, cert, key):
    other = folder / 'other'
    other.mkdir()
    other_key = make_certificate(other)[1]
    for args, word in ((['--tls-cert', cert], '--tls-key'), (['--tls-key', key], '--tls-cert'),
                       (['--tls-cert', cert, '--tls-key', other_key], None),
                       (['--tls-cert', '/nothing', '--tls-key', key], None),
                       (['--tls-cert', key, '--tls-key', cert], None)):
        try:
            Bench(args, data=folder / 'data').stop()
        except RuntimeError as e:
            need(not word or word in str(e), e)
            need('busbar: ' in str(e), 'a message', e)
            continue
        raise AssertionError(f'started with {args}')


def main():
    tap = Tap()
    if not shutil.which('openssl'):
        tap.skip('TLS', 'the command openssl, which makes the certificate, is not installed')
        tap.done()
    with tempfile.TemporaryDirectory(dir='/tmp') as name:
        folder = pathlib.Path(name)
        cert, key = make_certificate(folder)
        TlsBench.cafile = cert
        with TlsBench(['--tls-cert', cert, '--tls-key', key]) as hub:
            for case in (whole_answer, streamed_answer, broken_off_stream, older_versions, plain_http, name_is_checked,
                         cli_over_tls):
                tap.case(case.__name__.replace('_', ' '), case, hub)
            tap.case('the hub stops cleanly', lambda: same(hub.stop(), 0, 'exit status'))
        tap.case('wrong files', wrong_files, folder, cert, key)
    tap.done()


if __name__ == '__main__':
    main()
