#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Sites join a hub by a token, are known by their certificates from then on, and are out at once when removed."""
import json
import pathlib
import ssl
import subprocess
import tempfile

from site_agent import LISTEN, Site, free_port, invite
from workbench import FAILED, NOT_ALLOWED, NOT_FOUND, OK, UNREACHABLE, USAGE, Bench, Tap, busbar, need, replied, same, wait_for

def site(bench, name):
    return bench.api('GET', f'/api/v1/sites/{name}')


def joins(bench):
    same(bench.run('site', 'add', 'north', '--jurisdiction', 'DE', '--owner', 'uni').returncode, OK, 'add')
    same(bench.run('site', 'add', 'north').returncode, FAILED, 'the same name again')
    same(site(bench, 'north')['joined'], 'no', 'joined')
    hub, token = invite(bench, 'north')
    same(site(bench, 'north')['joined'], 'invited', 'joined')
    with Site() as north:
        north.join(OK, hub, token)
        same(site(bench, 'north')['joined'], 'yes', 'joined')
        need((north.data / 'pki' / 'site.key').stat().st_mode & 0o077 == 0, 'the key is for nobody else')
        text = subprocess.run(['openssl', 'x509', '-in', north.data / 'pki' / 'site.pem', '-noout', '-ext', 'subjectAltName'],
                              capture_output=True, text=True, check=True).stdout
        need('URI:spiffe://' in text and f"/site/{site(bench, 'north')['id']}" in text, text)
        north.run()
        wait_for(lambda: 'in touch with the hub' in north.said(), 'the agent is in touch', 15)
        need(site(bench, 'north')['contact'], 'no contact is known')
        table = bench.run('site', 'list').stdout
        need('north' in table and 'local' in table and 'uni' in table, table)


def tokens(bench):
    """A token is for one key, once; one that is wrong, or of another network, is told as what it is."""
    bench.api('POST', '/api/v1/sites', {'name': 'tokens'})
    hub, token = invite(bench, 'tokens')
    with Site() as first, Site() as second:
        first.join(USAGE, hub, 'bbj_nonsense')
        flipped = token[:10] + ('0' if token[10] != '0' else '1') + token[11:]
        first.join(NOT_ALLOWED, hub, flipped)
        first.join(UNREACHABLE, hub, token[:-1] + ('0' if token[-1] != '0' else '1'))  # another root
        first.join(OK, hub, token)
        first.join(OK, hub, token)  # whoever did not hear the answer
        second.join(NOT_ALLOWED, hub, token)
        need(not (second.data / 'site.json').exists(), 'a refusal left something')
        busbar(NOT_FOUND, 'site', 'run', '--data', second.data)
        _, later = invite(bench, 'tokens')
        second.join(OK, hub, later)
        same(second.call(hub, '/site/v1/orders', {})[0], 200, 'the new machine')
        same(first.call(hub, '/site/v1/orders', {})[0], 403, 'the one before')
    replied(bench.request('POST', '/api/v1/sites/tokens/token', {'minutes': 0}, local=True), 400, 'no minutes')
    replied(bench.request('POST', '/api/v1/sites/nowhere/token', {}, local=True), 404, 'no such site')
    replied(bench.request('POST', '/api/v1/sites/local/token', {}, local=True), 409, "the hub's own")
    replied(bench.request('POST', '/api/v1/sites/tokens/token', {}, key=bench.key), 403, 'a tenant')


def renews(bench):
    bench.api('POST', '/api/v1/sites', {'name': 'renews'})
    hub, token = invite(bench, 'renews')
    with Site() as it, Site() as other:
        it.join(OK, hub, token)
        request = subprocess.run(['openssl', 'req', '-new', '-key', it.data / 'pki' / 'site.key', '-subj', '/CN=x',
                                  '-addext', 'subjectAltName=URI:spiffe://evil/hub'],
                                 capture_output=True, text=True, check=True).stdout
        status, answer = it.call(hub, '/site/v1/renew', {'request': request})
        same(status, 200, answer)
        first = subprocess.run(['openssl', 'x509', '-noout', '-text'], input=answer['certificate'], capture_output=True,
                               text=True, check=True).stdout
        need('evil' not in first and f"/site/{answer['site']}" in first, first)
        subprocess.run(['openssl', 'ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', other.data / 'key'],
                       check=True)
        stranger = subprocess.run(['openssl', 'req', '-new', '-key', other.data / 'key', '-subj', '/CN=x'],
                                  capture_output=True, text=True, check=True).stdout
        same(it.call(hub, '/site/v1/renew', {'request': stranger})[0], 403, 'another key')
        same(it.call(hub, '/site/v1/renew', {'request': request}, cert=False)[0], 403, 'nobody')
        same(it.call(hub, '/site/v1/orders', {}, cert=False)[0], 403, 'nobody')
        same(it.call(hub, '/site/v1/nothing', {})[0], 404, 'no such path')
        for body in ({}, {'request': 7}, {'request': 'x'}, {'request': request[:200]}):
            same(it.call(hub, '/site/v1/renew', body)[0], 400, body)
        same(it.call(hub, '/site/v1/join', {'request': request, 'token': 'x'}, cert=False)[0], 400, 'a bad token')


def removed(bench):
    bench.api('POST', '/api/v1/sites', {'name': 'removed'})
    hub, token = invite(bench, 'removed')
    with Site() as it:
        it.join(OK, hub, token)
        it.run()
        wait_for(lambda: 'in touch with the hub' in it.said(), 'the agent is in touch', 15)
        same(bench.run('site', 'remove', 'removed').returncode, OK, 'remove')
        same(bench.run('site', 'remove', 'removed').returncode, FAILED, 'again')
        same(it.call(hub, '/site/v1/orders', {})[0], 403, 'at once')
        same(it.process.wait(20), NOT_ALLOWED, 'its agent ends')
        same((site(bench, 'removed')['joined'], site(bench, 'removed')['state']), ('no', 'lost'), 'the site')
        it.join(NOT_ALLOWED, hub, token)


def survives(bench):
    """The hub is killed and comes back on the same port: the agent is in touch again, without anything done to it."""
    bench.stop()
    bench.args = ['--site-listen', f'127.0.0.1:{free_port()}']
    bench.start()
    bench.api('POST', '/api/v1/sites', {'name': 'survives'})
    hub, token = invite(bench, 'survives')
    with Site() as it:
        it.join(OK, hub, token)
        it.run()
        wait_for(lambda: 'in touch with the hub' in it.said(), 'the agent is in touch', 15)
        bench.kill()
        wait_for(lambda: 'out of touch with the hub' in it.said(), 'the agent notices', 20)
        bench.start()
        wait_for(lambda: it.said().count('in touch with the hub') >= 2 and site(bench, 'survives')['contact'],
                 'in touch again', 20)
        same(it.said().count('out of touch'), 1, 'it is told once')
        same(bench.run('site', 'cordon', 'survives').returncode, OK, 'cordon')
        same(site(bench, 'survives')['state'], 'cordoned', 'state')
        same(bench.run('site', 'resume', 'survives').returncode, OK, 'resume')
        same(site(bench, 'survives')['state'], 'up', 'state')


def another_network(bench):
    """A folder belongs to one network; a member of another one is nobody here."""
    with Bench(LISTEN) as other, Site() as it:
        other.api('POST', '/api/v1/sites', {'name': 'there'})
        theirs, token = invite(other, 'there')
        it.join(OK, theirs, token)
        ours, here = invite(bench, 'north')
        it.join(FAILED, ours, here)
        try:
            status = it.call(ours, '/site/v1/orders', {})[0]
        except (ssl.SSLError, ConnectionError):
            status = 403
        same(status, 403, 'a member of another network')


def closed():
    with Bench() as bench:
        bench.api('POST', '/api/v1/sites', {'name': 'x'})
        replied(bench.request('POST', '/api/v1/sites/x/token', {}, local=True), 409, 'no door')


def offline_root():
    """A root on another machine: the hub asks, the root signs, the hub takes it over, later anew; nonsense changes nothing."""
    with tempfile.TemporaryDirectory(prefix='bb-ca-') as top:
        top = pathlib.Path(top)
        root, data, csr, issuer = top / 'root', top / 'hub', top / 'hub.csr', top / 'issuer.pem'
        pem = root / 'root.pem'
        install = ('ca', 'install', '--data', data, '--root', pem, '--issuer')
        busbar(USAGE, 'ca', 'init')
        busbar(OK, 'ca', 'init', '--dir', root)
        busbar(FAILED, 'ca', 'init', '--dir', root)
        need((root / 'root.key').stat().st_mode & 0o077 == 0, 'the key is for nobody else')
        busbar(NOT_FOUND, *install, pem)  # nothing was asked for
        busbar(OK, 'ca', 'request', '--data', data, '--out', csr)
        need('waits for its certificate' in busbar(FAILED, 'up', '--data', data, *LISTEN, '--listen', '127.0.0.1:0').stderr,
             'a hub made a root of its own')
        busbar(USAGE, 'ca', 'sign', '--dir', root, '--csr', pem)
        busbar(USAGE, 'ca', 'sign', '--dir', root, '--csr', csr, '--days', '0')
        busbar(NOT_FOUND, 'ca', 'sign', '--dir', data / 'pki', '--csr', csr)
        busbar(OK, 'ca', 'sign', '--dir', root, '--csr', csr, '--days', '20', '--out', issuer)
        # What is no issuer of this hub under this root.
        stranger = top / 'stranger'
        busbar(OK, 'ca', 'init', '--dir', stranger)
        busbar(OK, 'ca', 'request', '--data', stranger, '--out', top / 'other.csr')
        busbar(OK, 'ca', 'sign', '--dir', stranger, '--csr', csr, '--out', top / 'other-root.pem')
        busbar(OK, 'ca', 'sign', '--dir', root, '--csr', top / 'other.csr', '--out', top / 'other-key.pem')
        for bad in (csr, pem, top / 'other-root.pem', top / 'other-key.pem'):
            busbar(USAGE, *install, bad)
        busbar(USAGE, 'ca', 'install', '--data', data, '--issuer', issuer, '--root', issuer)
        need(not (data / 'pki' / 'root.pem').exists() and not (data / 'pki' / 'issuer.pem').exists(), 'a refusal left something')
        busbar(OK, *install, issuer)
        with Bench([*LISTEN, '--no-model'], data=data) as bench, Site() as it, Site() as late:
            need(any('issuer_ends' in line for line in bench.lines), 'less than 30 days are told')
            need(not (data / 'pki' / 'root.key').exists(), 'the hub made a root')
            replied(bench.request('GET', '/readyz'), 200, 'ready all the same')
            bench.api('POST', '/api/v1/sites', {'name': 'early'})
            hub, token = invite(bench, 'early')
            it.join(OK, hub, token)
            same(it.call(hub, '/site/v1/orders', {})[0], 200, 'a member')
            # Anew while it runs: the member's chain hangs from the certificate before, and is good beside the new one.
            before = (data / 'pki' / 'issuer.pem').read_text()
            busbar(OK, 'ca', 'request', '--data', data, '--out', csr)
            busbar(OK, 'ca', 'sign', '--dir', root, '--csr', csr, '--out', issuer)
            busbar(OK, *install, issuer)
            need((data / 'pki' / 'issuer.pem').read_text() != before, 'nothing was installed')
            busbar(FAILED, 'ca', 'install', '--data', data, '--issuer', top / 'other-root.pem', '--root', stranger / 'root.pem')
            bench.api('POST', '/api/v1/sites', {'name': 'late'})
            _, token = invite(bench, 'late')
            late.join(OK, hub, token)
            same([s.call(hub, '/site/v1/orders', {})[0] for s in (it, late)], [200, 200], 'by both issuers')
            need(before.split('-----END')[0] not in (late.data / 'pki' / 'site.pem').read_text(), 'the old issuer issued')
            shown = json.loads(busbar(OK, 'ca', 'show', '--data', data, '--json').stdout)['data']
            same([c['file'] for c in shown], ['root.pem', 'issuer.pem', 'hub.pem'], 'certificates')
            need(360 <= shown[1]['days_left'] <= 365 and shown[1]['signed_by'] == 'busbar root', shown)
            same(shown[0]['sha256'], json.loads(busbar(OK, 'ca', 'show', '--dir', root, '--json').stdout)['data'][0]['sha256'], 'root')
            same(bench.stop(), 0, 'exit status')
        busbar(NOT_FOUND, 'ca', 'show', '--data', top)


def main():
    tap = Tap()
    with Bench(LISTEN) as bench:
        for case in (joins, tokens, renews, removed, survives, another_network):
            tap.case(case.__name__.replace('_', ' '), case, bench)
        tap.case('the hub stops cleanly', lambda: same(bench.stop(), 0, 'exit status'))
    tap.case('a hub without a door', closed)
    tap.case('a root that never was at the hub', offline_root)
    tap.done()


if __name__ == '__main__':
    main()
