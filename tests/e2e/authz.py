#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every route times every caller, made from src/hub/routes.def: allowed or refused exactly as the route's role says.

What is refused changes nothing: all listings are compared before and after. A route that this test does not know how to
call fails it, so none can be added without being tested.
"""
import datetime
import hashlib
import os
import re
import shutil
import sqlite3
import tempfile
import time

from site_agent import Site
from workbench import ROOT, STORY, Bench, Tap, need, replied, same

ROUTE = re.compile(r'^ROUTE\((\w+), "([^"]+)", (\w+), (\w+), (\d+)\)$', re.M)
NOBODY = ('no key', 'garbage', 'revoked operator', 'expired admin')
# By role: who may. Tenant `own` is the one whose keys are used, `other` another one.
ALLOWED = {'PUBLIC': {*NOBODY, 'inference', 'jobs', 'admin', 'other admin', 'overseer', 'operator', 'socket'},
           'KEY': {'inference', 'jobs', 'admin', 'other admin', 'operator', 'socket'},
           'JOBS': {'jobs', 'operator', 'socket'},
           'TENANT_ADMIN': {'admin', 'other admin', 'operator', 'socket'},
           'OVERSEER': {'overseer', 'operator', 'socket'},
           'OPERATOR': {'operator', 'socket'},
           'LOCAL': {'socket'}}
# /v1 is not in routes.def: what a key without the scope gets there is below.
SURFACE = [('GET', '/v1/models'), ('GET', '/v1/models/stories'), ('POST', '/v1/chat/completions'),
           ('POST', '/v1/completions')]


def routes():
    found = ROUTE.findall((ROOT / 'src' / 'hub' / 'routes.def').read_text(encoding='utf-8'))
    need(len(found) >= 20, 'routes.def was read')
    return [(method, path, handler, role) for method, path, handler, role, _ in found]


class Matrix:
    def __init__(self, hub, folder):
        self.hub, self.folder, self.n, self.receipts = hub, folder, 0, {}
        for tenant in ('own', 'other'):
            hub.api('POST', '/api/v1/tenants', {'name': tenant, 'budget': '5'})
        self.keys = {'no key': None, 'garbage': 'bb_' + '0' * 60,
                     'inference': hub.add_key('i', tenant='own')['key'],
                     'jobs': hub.add_key('j', tenant='own', scopes=['jobs'])['key'],
                     'admin': hub.add_key('a', tenant='own', scopes=['admin'])['key'],
                     'other admin': hub.add_key('o', tenant='other', scopes=['admin', 'inference'])['key'],
                     'overseer': hub.add_key('s', tenant='own', scopes=['overseer'])['key'],
                     'operator': hub.operator,
                     'expired admin': hub.add_key('e', tenant='own', scopes=['admin'],
                                                  expires=int(time.time()) + 2)['key']}
        revoked = hub.add_key('r', tenant='own', scopes=['admin', 'operator', 'inference'])
        hub.api('DELETE', f"/api/v1/keys/{revoked['public_id']}")
        self.keys['revoked operator'] = revoked['key']
        self.close_a_bill()
        hub.api('POST', '/api/v1/models', {'name': 'idle', 'source': 'http://127.0.0.1:9', 'engine': 'url'})
        with Site() as site:  # with its first call there is a corridor to it
            site.enter(hub, 'linked')
            address = hub.api('POST', '/api/v1/sites/linked/token', {})['hub']
            same(site.call(address, '/site/v1/path', {'rtt_us': 0, 'there_bits_s': 0, 'back_bits_s': 0})[0], 200, 'a corridor')
            with Site() as twin:  # and what the one has the other has, too
                twin.enter(hub, 'twin')
                chips = [{'vendor': 'nvidia', 'serial': f'C{i}'} for i in range(40)]
                for each in (site, twin):
                    same(each.call(address, '/site/v1/chips', {'host': 'h', 'chips': chips})[0], 200, 'chips')
        self.resolved = 0

    def close_a_bill(self):
        """Both tenants used something, and have an invoice of the month before. A tenant is not older than today, so the store
        of the stopped hub is told."""
        hub = self.hub
        for who in ('inference', 'other admin'):
            replied(hub.chat(self.keys[who], max_tokens=8), 200, who)
        first = datetime.datetime.now(datetime.timezone.utc).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        begin = (first - datetime.timedelta(days=1)).replace(day=1)
        self.month = begin.strftime('%Y-%m')
        for tenant in ('own', 'other'):
            hub.settle(tenant)
        hub.stop()
        with sqlite3.connect(hub.data / 'busbar.db') as db:
            db.execute('UPDATE bb_tenant SET created_ms = ?', (int(begin.timestamp() * 1000) + 1,))
            db.execute('UPDATE bb_bill SET day = ?', (int(begin.timestamp()) // 86400,))
        hub.start()
        self.invoice = {t: hub.api('POST', '/api/v1/invoices', {'tenant': t, 'month': self.month})['number']
                        for t in ('own', 'other')}

    def state(self):
        hub = self.hub
        return ([{k: v for k, v in t.items() if k not in ('held', 'available', 'spent')}
                 for t in hub.pages('/api/v1/tenants')], hub.pages('/api/v1/keys'),
                hub.api('GET', '/api/v1/models'),
                [(g['id'], g['joined']) for g in hub.api('GET', '/api/v1/gateways')['data']],
                [(p['id'], p['price']) for p in hub.api('GET', '/api/v1/pools')['data']],
                hub.api('GET', '/api/v1/corridors'), hub.pages('/api/v1/chips'), hub.pages('/api/v1/chip-alarms?all=true'),
                hub.api('GET', '/api/v1/rules'), hub.api('GET', '/api/v1/audit/report')['drills'],
                [(s['id'], s['jurisdiction']) for s in hub.api('GET', '/api/v1/sites')['data']],
                [(r['id'], r['lifted']) for r in hub.api('GET', '/api/v1/recalls')['data']],
                [(d['id'], d['model'], d['replicas_wanted']) for d in hub.api('GET', '/api/v1/deployments')['data']],
                [(j['id'], j['state']) for j in hub.pages('/api/v1/jobs')], sorted(os.listdir(hub.data / 'jobs')),
                sorted(os.listdir(self.folder)), sorted(os.listdir(hub.data / 'models')))

    def unique(self, word):
        self.n += 1
        return f'{word}-{self.n}'

    def call(self, handler, tenant):
        """(path parameter, query, body) of a call that would succeed and that concerns the tenant."""
        hub = self.hub
        plain = {'healthz', 'readyz', 'metrics', 'status', 'tenant_list', 'model_list', 'deployment_list', 'site_list', 'gateway_list',
                 'pool_list', 'corridor_list', 'log_checkpoint', 'log_vkey'}
        if handler in plain:
            return '', '', None
        if handler in ('key_list', 'project_list', 'usage', 'usage_records'):
            return '', f'?tenant={tenant}', None
        if handler == 'tenant_show':
            return tenant, '', None
        if handler == 'tenant_facts':
            return tenant, '', {'jurisdiction': f'C{self.n % 2}'}
        if handler == 'site_facts':
            return 'local', '', {'jurisdiction': f'C{self.n % 2}'}
        if handler in ('rules_show', 'rules_lift'):
            return '', '', None
        if handler in ('rules_apply', 'rules_try'):
            rule = f'deny {self.unique("r")} when site.name = nowhere because "x" cite "y"'
            return '', '', {'text': rule}
        if handler == 'drill_play':
            return '', '', {'site': 'local'}
        if handler == 'tenant_budget':
            return tenant, '', {'budget': str(5 + self.n)}
        if handler == 'tenant_add':
            return '', '', {'name': self.unique('t'), 'budget': '1'}
        if handler == 'tenant_tax':
            return tenant, '', {'tax_ppm': self.n % 2}
        if handler.endswith('_billing') or handler.endswith('_billing_set'):
            return tenant if handler.startswith('tenant') else '', '', {'name': self.unique('n')} if handler.endswith('set') else None
        if handler.startswith('network_terms'):
            return '', '', {'fee_ppm': self.n % 2} if handler == 'network_terms_set' else None
        if handler.startswith('site_owners'):
            return 'local', '', {'owners': [{'name': 'alpha', 'share_ppm': 1000000}]} if handler == 'site_owners_set' else None
        if handler == 'grant_list':
            return '', f'?tenant={tenant}', None
        if handler == 'grant_add':
            return '', '', {'tenant': tenant, 'amount': '0.000001', 'sponsor': 'fund', 'kinds': ['training']}
        if handler == 'peer_settle':
            return 'north-net', '', {'amount': '1', 'direction': 'paid'}
        if handler == 'wallet_topup':
            return tenant, '', {'amount': '1'}
        if handler in ('ledger_accounts', 'ledger_check'):
            return '', '', None
        if handler == 'ledger_transfers':
            return '', f'?account=wallet/{tenant}/USD', None
        if handler == 'invoice_list':
            return '', f'?tenant={tenant}', None
        if handler == 'invoice_close':
            return '', '', {'tenant': tenant, 'month': self.month}
        if handler.startswith('invoice_'):
            return self.invoice[tenant], '', {'amount': '0.000000001', 'reason': 'x'} if handler == 'invoice_credit' else None
        if handler == 'tariff_show':
            return '', f'?tenant={tenant}', None
        if handler in ('tariff_diff', 'tariff_apply'):
            prices = {k: f'{1 + self.n}' for k in ('input', 'cached', 'output', 'reasoning')}
            return '', '', {'tariff': 'x', 'currency': 'USD', 'models': [{'name': 'idle', **prices}]}
        if handler == 'export_focus':
            return '', f'?tenant={tenant}&month={self.month}', None
        if handler.startswith('organization_'):
            return '', f'?tenant={tenant}&start_time=1', None
        if handler == 'chip_declare':
            return '', '', {'chips': ['nvidia:C1'], 'licence': self.unique('l')}
        if handler == 'chip_resolve':
            self.resolved += 1
            return '', '', {'chip': f'nvidia:C{self.resolved}', 'site': 'twin', 'note': 'x'}
        if handler.startswith('chip_'):
            return 'nvidia:C1', '', None
        if handler.startswith('audit_report') or handler == 'recall_list':
            return '', '', None
        if handler.startswith('acceptance_'):
            return ('stories', '', None) if handler == 'acceptance_lift' else ('', '', {'target': 'stories', 'quick': True} if handler == 'acceptance_ask' else None)
        if handler.startswith('recall_'):
            digest = hashlib.sha256(self.unique('weights').encode()).hexdigest()
            if handler == 'recall_add':
                return '', '', {'digest': digest, 'reason': 'x'}
            hub.api('POST', '/api/v1/recalls', {'digest': digest, 'reason': 'x'})
            return digest, '', None
        if handler == 'project_add':
            return '', '', {'name': self.unique('p'), 'tenant': tenant}
        if handler == 'project_remove':
            name = self.unique('p')
            hub.api('POST', '/api/v1/projects', {'name': name, 'tenant': tenant})
            return name, f'?tenant={tenant}', None
        if handler == 'budget_set':
            return '', '', {'tenant': tenant, 'budget': str(1 + self.n), 'soft': True}
        if handler.startswith('webhook_'):
            hub.api('PUT', '/api/v1/webhook', {'tenant': tenant, 'url': 'https://example.invalid/' + self.unique('w')})
            if handler in ('webhook_show', 'webhook_remove'):
                return '', f'?tenant={tenant}', None
            return '', '', {'tenant': tenant, **({'url': 'https://example.invalid/'} if handler == 'webhook_set' else {})}
        if handler == 'key_add':
            return '', '', {'name': self.unique('k'), 'tenant': tenant}
        if handler == 'key_revoke':
            return hub.add_key(self.unique('victim'), tenant=tenant)['public_id'], '', None
        if handler == 'model_add':
            return '', '', {'name': self.unique('m'), 'source': 'http://127.0.0.1:9', 'engine': 'url'}
        if handler in ('model_show', 'model_where'):
            return 'stories', '', None
        if handler == 'model_price':
            return 'idle', '', {'price_prompt': str(1 + self.n)}
        if handler == 'model_remove':
            name = self.unique('gone')
            hub.api('POST', '/api/v1/models', {'name': name, 'source': 'http://127.0.0.1:9', 'engine': 'url'})
            return name, '', None
        if handler in ('deployment_add', 'deployment_remove'):
            name = self.unique('d')
            hub.api('POST', '/api/v1/models', {'name': name, 'source': 'http://127.0.0.1:9', 'engine': 'url'})
            if handler == 'deployment_add':
                return '', '', {'model': name}
            hub.api('POST', '/api/v1/deployments', {'model': name})
            return name, '', None
        if handler == 'site_add':
            return '', '', {'name': self.unique('s')}
        if handler.startswith('site_'):
            name = {'site_remove': 'leaves', 'site_token': 'invited'}.get(handler, 'local')  # nobody joins as the hub's own
            if name != 'local':
                hub.request('POST', '/api/v1/sites', {'name': name}, local=True)  # once; then it is there
            if handler == 'site_remove':
                hub.api('POST', f'/api/v1/sites/{name}/token', {})
            return name, '', None if handler in ('site_show', 'site_remove') else {}
        if handler == 'gateway_add':
            return '', '', {'name': self.unique('g')}
        if handler.startswith('gateway_'):
            hub.request('POST', '/api/v1/gateways', {'name': 'door'}, local=True)  # once; then it is there
            return 'door', '', {} if handler == 'gateway_token' else None
        if handler.startswith('blob_'):
            data = f'{tenant} has this'.encode()
            name = hashlib.sha256(data).hexdigest()
            hub.request('PUT', f'/api/v1/blobs/{name}?tenant={tenant}&size={len(data)}', data, local=True)
            return (name, f'?tenant={tenant}&size={len(data)}', data) if handler == 'blob_put' else (name, f'?tenant={tenant}', None)
        if handler.startswith('corridor_'):
            body = {'price': self.unique('0').replace('-', '.')} if handler == 'corridor_set' else {}
            return 'linked', '', None if handler == 'corridor_show' else body
        if handler == 'pool_price':
            return hub.api('GET', '/api/v1/pools')['data'][0]['id'], '', {'price': str(self.n)}
        if handler == 'job_list':
            return '', f'?tenant={tenant}', None
        if handler.startswith('job_'):  # one that waits for ever: no machine has so many chips
            body = {'argv': ['true'], 'tenant': tenant, 'chips': 5000}
            if handler in ('job_add', 'job_check'):
                return '', '', body
            ident = hub.api('POST', '/api/v1/jobs', body)['id']
            if handler != 'job_retry':
                return ident, '', None
            hub.api('DELETE', f'/api/v1/jobs/{ident}')
            return ident, '', {}
        if handler == 'log_tile':
            tiles = self.hub.data / 'log' / 'tile'
            return str(max((t for t in tiles.rglob('*') if t.is_file()), key=os.path.getmtime).relative_to(tiles)), '', None
        if handler == 'receipt_show':
            if tenant not in self.receipts:
                reply = hub.chat(key=self.keys['inference' if tenant == 'own' else 'other admin'], max_tokens=1)
                self.receipts[tenant] = reply.fields['busbar-receipt']
            return self.receipts[tenant], '', None
        if handler == 'backup':
            return '', '', {'path': os.path.join(self.folder, self.unique('b'))}
        raise AssertionError(f'this test does not know how to call {handler}')

    def expected(self, handler, role, caller, tenant):
        """The statuses that are right."""
        if caller not in ALLOWED[role]:
            return (401,) if caller in NOBODY and role != 'LOCAL' else (401, 403)
        scoped = handler in ('project_list', 'project_add', 'project_remove', 'budget_set', 'webhook_show', 'webhook_set', 'webhook_remove',
                             'webhook_test', 'grant_list', 'invoice_list', 'invoice_show', 'invoice_csv', 'invoice_html', 'export_focus', 'organization_usage',
                             'organization_embeddings', 'organization_costs', 'tenant_show', 'tenant_billing', 'key_list', 'key_add', 'key_revoke', 'usage',
                             'usage_records', 'job_list', 'job_add', 'job_show', 'job_logs', 'job_cancel', 'job_retry', 'job_check', 'blob_read', 'blob_have', 'blob_put', 'receipt_show')
        mine = {'inference': 'own', 'jobs': 'own', 'admin': 'own', 'other admin': 'other'}.get(caller)
        if scoped and mine and mine != tenant:
            return (404,)
        if handler == 'acceptance_lift':
            return (404,)  # nothing has failed
        return (200, 201)

    def one(self, route, caller, tenant):
        method, path, handler, role = route
        param, query, body = self.call(handler, tenant)
        expected = self.expected(handler, role, caller, tenant)
        before = self.state() if expected[0] >= 400 else None
        path = re.sub(r'\{\*?\w+\}', param, path) + query
        if caller == 'socket':
            reply = self.hub.request(method, path, body, local=True)
        else:
            reply = self.hub.request(method, path, body, key=self.keys[caller])
        need(reply.status in expected, f'{caller}: {method} {path} ({tenant}): {reply.status}, expected {expected}:',
             reply.body[:200])
        if before is not None:
            same(self.state(), before, f'{caller}: {method} {path} changed something')
            need(reply.json()['error']['message'], 'a message')
        elif tenant == 'own' and caller in ('inference', 'admin') and handler in ('key_list', 'usage', 'usage_records'):
            need('other' not in [x.get('tenant') for x in reply.json()['data']], 'rows of another tenant')
        return 1

    def route(self, route):
        return f'{sum(self.one(route, c, t) for c in (*self.keys, "socket") for t in ("own", "other"))} calls'


def no_tenant_named(m):
    """Without a tenant in the query an admin sees its own; the operator all."""
    for caller, tenants in (('admin', {'own'}), ('other admin', {'other'}), ('operator', {'default', 'own', 'other'})):
        found = {k['tenant'] for k in m.hub.request('GET', '/api/v1/keys', key=m.keys[caller]).json()['data']}
        need(found == tenants if caller != 'operator' else found >= tenants, caller, found)
    minted = m.hub.request('POST', '/api/v1/keys', {'name': 'plain'}, key=m.keys['admin'])
    same((minted.status, minted.json()['tenant']), (201, 'own'), 'a key for its own tenant')


def no_escalation(m):
    """Nobody hands out what he does not have."""
    hub = m.hub
    before = m.state()
    for body in ({'scopes': ['operator']}, {'scopes': ['admin', 'operator']}, {'scopes': ['jobs']}, {'scopes': ['inference', 'jobs']},
                 {'scopes': ['overseer']}):
        reply = hub.request('POST', '/api/v1/keys', {'name': 'x', **body}, key=m.keys['admin'])
        same(reply.status, 403, body)
    for body in ({'scopes': 'operator'}, {'scopes': []}, {'scopes': [1]}, {'scopes': ['root']}, {'scopes': ['overseer', 'jobs']}, {'tenant': 'nope'},
                 {'tenant': 'default'}, {'hash': 'x'}, {'key': 'bb_x'}, {'budget': '-1'}, {'expires': 5}):
        reply = hub.request('POST', '/api/v1/keys', {'name': 'x', **body}, key=m.keys['admin'])
        need(reply.status in (400, 404), body, reply.status)
    same(m.state(), before, 'state')


def surface(m):
    for method, path in SURFACE:
        body = None if method == 'GET' else {'model': 'stories', 'messages': STORY, 'max_tokens': 1}
        if path == '/v1/completions':
            body = {'model': 'stories', 'prompt': 'x', 'max_tokens': 1}
        for caller, key in m.keys.items():
            reply = m.hub.request(method, path, body, key=key)
            if caller in NOBODY:
                expected = 401
            else:
                expected = 200 if method == 'GET' and caller != 'overseer' or caller not in ('admin', 'jobs', 'overseer') else 403
            same(reply.status, expected, f'{caller}: {method} {path}')
        local = m.hub.request(method, path, body, local=True)
        same(local.status, 401, f'the socket without a key: {method} {path}')


def strange_paths(m):
    for path in ('/api/v1/tenants/', '/api/v1//tenants', '/api/v1/tenants/own/', '/api/v1/tenants/own/budget/',
                 '/API/V1/tenants',
                 '/api/v1/tenants/../tenants', '/api/v1/%74enants', '/api/v1/tenants%00', '/api/v1/tenants;a', '/api',
                 '/metrics/',
                 '/api/v1/keys/x/y', '/api/v1/models/' + 'x' * 3000, '/api/v1/tenants/%6fwn', '/./api/v1/tenants'):
        for key in (None, m.keys['inference']):
            reply = m.hub.request('GET', path, key=key)
            need(reply.status in (400, 401, 403, 404, 405, 414), path, reply.status)
    for method in ('POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE'):
        reply = m.hub.request(method, '/healthz')
        need(reply.status in (400, 405, 501), method, reply.status)


def role_of_methods(m):
    """A path that exists for another method says 405, and nothing about what is there."""
    known = {(method, path) for method, path, _, _ in routes()}
    for path in {p for _, p in known}:
        for method in ('GET', 'POST', 'PUT', 'DELETE'):
            if (method, path) not in known:
                reply = m.hub.request(method, re.sub(r'\{\*?\w+\}', 'x', path), {} if method in ('POST', 'PUT') else None,
                                      key=m.keys['operator'])
                same(reply.status, 405, f'{method} {path}')


def document(_m):
    """docs/openapi.yaml names every route, and no other of ours."""
    path, listed, current = ROOT / 'docs' / 'openapi.yaml', set(), None
    for line in path.read_text(encoding='utf-8').splitlines():
        found = re.match(r'^  (/\S*):\s*$', line)
        current = found.group(1) if found else None if re.match(r'^\S', line) else current
        method = re.match(r'^    (get|post|put|delete|patch):', line)
        if current and method:
            listed.add((method.group(1).upper(), current))
    ours = {(method, p.replace('{*', '{')) for method, p, _, _ in routes()}
    same(sorted(ours - listed), [], 'routes that are not in docs/openapi.yaml')
    same(sorted(x for x in listed - ours if not x[1].startswith('/v1/')), [], 'paths that are not routes')


def main():
    tap = Tap()
    folder = tempfile.mkdtemp(prefix='bb-', dir='/tmp')
    try:
        with Bench(['--site-listen', '127.0.0.1:0']) as hub:
            m = Matrix(hub, folder)
            time.sleep(2.1)
            for route in routes():
                tap.case(f'{route[0]} {route[1]} is for {route[3]}', m.route, route)
            for case in (no_tenant_named, no_escalation, surface, strange_paths, role_of_methods):
                tap.case(case.__name__.replace('_', ' '), case, m)
            if (ROOT / 'docs' / 'openapi.yaml').exists():
                tap.case('docs/openapi.yaml', document, m)
            else:
                tap.skip('docs/openapi.yaml', 'there is no docs/openapi.yaml')
            tap.case('the hub stops cleanly', lambda: same(hub.stop(), 0, 'exit status'))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    tap.done()


if __name__ == '__main__':
    main()
