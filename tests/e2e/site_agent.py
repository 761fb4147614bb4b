# SPDX-License-Identifier: Apache-2.0
"""A site of a hub: the folder of its agent, and the agent's process while it runs."""
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile

from workbench import OK, busbar

LISTEN = ['--site-listen', '127.0.0.1:0']


class Site:
    """An agent's folder, and its process while it runs."""

    def __init__(self):
        self.data = pathlib.Path(tempfile.mkdtemp(prefix='bb-site-', dir='/tmp'))
        self.process, self.env, self.user = None, None, None

    def join(self, status, hub, token):
        return busbar(status, 'site', 'join', hub, '--token', token, '--data', self.data)

    def run(self):
        self.log = open(self.data / 'log', 'ab')
        self.process = subprocess.Popen([os.environ['BUSBAR_BIN'], 'site', 'run', '--data', str(self.data)],
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, user=self.user,
                                        env={**os.environ, **(self.env or {})})

    def said(self):
        return (self.data / 'log').read_text()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def enter(self, bench, name, **fields):
        """Added, invited and joined."""
        bench.api('POST', '/api/v1/sites', {'name': name, **fields})
        self.join(OK, *invite(bench, name))

    def end(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(10)
        shutil.rmtree(self.data)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.end()

    def call(self, hub, path, body, cert=True):
        """As its agent does, by another client: status and answer."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if cert:
            context.load_cert_chain(self.data / 'pki' / 'site.pem', self.data / 'pki' / 'site.key')
        host, port = hub.split(':')
        c = http.client.HTTPSConnection(host, int(port), timeout=10, context=context)
        c.request('POST', path, json.dumps(body))
        answer = c.getresponse()
        text = answer.read()
        c.close()
        return answer.status, json.loads(text)


def free_port():
    """One that a hub can have again after it was killed."""
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def invite(bench, name):
    found = bench.api('POST', f'/api/v1/sites/{name}/token', {})
    return found['hub'], found['token']
