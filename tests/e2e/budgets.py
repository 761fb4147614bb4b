#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Budgets of projects and keys that begin anew: on every surface, under 64 clients with jobs beside, and told by webhook.

What costs money is told by two tables of the sources, the gateway's surface and the hub's routes. A path that is in neither of the
lists here fails this test, so none can be added that nobody has asked to pay.
"""
import base64
import datetime
import hashlib
import hmac
import http.server
import json
import re
import threading
import time

from workbench import FULL, OK, ROOT, STORY, Bench, Engine, Tap, nano, need, same, talk, wait_for

CLIENTS = 64
REQUESTS = 3000 if FULL else 500
TOKENS = 8
PROMPT, COMPLETION = 1000, 2000  # nano-units a token
JOB_MS = 20  # nano-units for a ms of one chip

# Every path that costs money, and a body that asks for some of it.
PAID = {
    ('POST', '/v1/chat/completions'): {'model': 'talk', 'messages': STORY, 'max_tokens': TOKENS},
    ('POST', '/v1/completions'): {'model': 'talk', 'prompt': 'once', 'max_tokens': TOKENS},
    ('POST', '/v1/embeddings'): {'model': 'emb', 'input': 'a b c'},
    ('POST', '/v1/rerank'): {'model': 'rank', 'query': 'q', 'documents': ['a', 'b']},
    ('POST', '/api/v1/jobs'): {'argv': ['sleep', '1']},
    ('POST', '/api/v1/jobs/{job}/retry'): {},
}
# What changes something and costs nothing. What a replica serves is paid by the token, so a deployment is free; data over corridors
# is paid with the job that it is of, under its key; blobs are not charged.
FREE = {
    'tenant_add', 'tenant_budget', 'key_add', 'key_revoke', 'project_add', 'project_remove', 'budget_set', 'webhook_set',
    'webhook_remove', 'webhook_test', 'model_add', 'model_remove', 'model_price', 'deployment_add', 'deployment_remove', 'site_add',
    'site_remove', 'site_token', 'site_cordon', 'site_drain', 'site_resume', 'gateway_add', 'gateway_remove', 'gateway_token',
    'pool_price', 'corridor_set', 'corridor_cordon', 'corridor_close', 'corridor_resume', 'job_check', 'job_cancel', 'blob_put',
    'wallet_topup', 'invoice_close', 'invoice_credit', 'tariff_diff', 'tariff_apply', 'backup', 'tenant_tax', 'recall_add',
    'recall_lift', 'site_owners_set', 'network_terms_set', 'grant_add', 'peer_settle', 'site_facts', 'tenant_facts',
    'rules_apply', 'rules_lift', 'rules_try', 'drill_play', 'network_billing_set', 'tenant_billing_set',
    'chip_declare', 'chip_resolve', 'acceptance_ask', 'acceptance_lift'}


def surfaces():
    """(method, path) of all that may change something, from the sources."""
    table = (ROOT / 'src' / 'gateway' / 'surface.c').read_text(encoding='utf-8')
    found = {(method, path) for path, method in re.findall(r'\{"(/v1/[^"]*)", HTTP_(\w+),', table) if method != 'GET'}
    need(len(found) >= 4, 'surface.c was read')
    routes = re.findall(r'^ROUTE\((\w+), "([^"]+)", (\w+),', (ROOT / 'src' / 'hub' / 'routes.def').read_text(encoding='utf-8'), re.M)
    need(len(routes) >= 60, 'routes.def was read')
    return found | {(method, path) for method, path, handler in routes if method != 'GET' and handler not in FREE}


def script(request, path, body):
    """Engine of all models: chat and completions as talk has them."""
    if path == '/v1/embeddings':
        request.reply(200, {'object': 'list', 'model': body['model'], 'usage': {'prompt_tokens': 3, 'total_tokens': 3},
                            'data': [{'object': 'embedding', 'index': 0, 'embedding': [0.5]}]})
    elif path == '/v1/rerank':
        request.reply(200, {'model': body['model'], 'usage': {'total_tokens': 7}, 'results': [{'index': 0, 'relevance_score': 1}]})
    else:
        talk()(request, path, body)


def add_models(hub, url):
    for name, kind in (('talk', 'chat'), ('emb', 'embedding'), ('rank', 'rerank')):
        hub.add_url_model(name, url, kind=kind, slots=64, price_prompt=str(PROMPT / 1000), price_completion=str(COMPLETION / 1000))
    pool = hub.api('GET', '/api/v1/pools')['data'][0]['id']
    hub.api('PUT', f'/api/v1/pools/{pool}/price', {'price': f'{JOB_MS * 3600000 / 1e9:.9f}'})


def add_project(hub, name):
    """A tenant with a project; a key of it."""
    hub.api('POST', '/api/v1/tenants', {'name': name, 'budget': '1000'})
    same(hub.run('project', 'add', f'{name}-p', '--tenant', name).returncode, OK, 'project add')
    return hub.add_key(name, tenant=name, project=f'{name}-p', scopes=['inference', 'jobs'])['key']


def project(hub, name, soft=False):
    found = next(p for p in hub.api('GET', f'/api/v1/projects?tenant={name}')['data'] if p['name'] == f'{name}-p')
    one = next(b for b in found['budgets'] if b['soft'] == soft)
    return {k: nano(v) if k in ('budget', 'spent', 'held', 'available') else v for k, v in one.items()}


def limit(hub, name, nano_units, *options):
    done = hub.run('project', 'budget', f'{name}-p', f'{nano_units / 1e9:.9f}', '--tenant', name, *options)
    same(done.returncode, OK, done.stderr)


def every_surface(hub):
    """A budget that is spent refuses all of them, in words that say whose it is and when it begins anew."""
    same(sorted(surfaces()), sorted(PAID), 'paths that cost money, or may: each must be in PAID or in FREE')
    key = add_project(hub, 'all')
    job = hub.request('POST', '/api/v1/jobs', {'argv': ['true']}, key=key).json()['id']
    wait_for(lambda: hub.api('GET', f'/api/v1/jobs/{job}')['state'] not in ('queued', 'running'), 'the first job', 20)
    limit(hub, 'all', 0, '--per', 'day')
    resets = project(hub, 'all')['resets']
    midnight = datetime.datetime.now(datetime.timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
    same(resets[:10], (midnight + datetime.timedelta(days=1)).strftime('%Y-%m-%d'), 'the next midnight')
    before = hub.tenant('all')['spent']
    for (method, path), body in PAID.items():
        reply = hub.request(method, path.replace('{job}', job), body, key=key)
        same(reply.status, 402, f'{method} {path}: {reply.body[:300]}')
        words = reply.json()['error']['message']
        if not path.endswith('retry'):
            need('daily budget of this key\'s project' in words and resets in words, path, words)
    same(hub.tenant('all')['spent'], before, 'spent')
    limit(hub, 'all', 10**9, '--per', 'day')
    for (method, path), body in PAID.items():
        reply = hub.request(method, path.replace('{job}', job), body, key=key)
        need(reply.status in (200, 201), f'{method} {path}: {reply.status} {reply.body[:300]}')
    limit(hub, 'all', 10**9, '--per', 'week')  # another period: it counts from now on
    same(project(hub, 'all')['spent'], 0, 'a new period')
    return f'{len(PAID)} paths'


def scopes_in_words(hub):
    """Tenant, project, key: which of them is in the way."""
    key = add_project(hub, 'who')
    ident = hub.api('GET', '/api/v1/keys?tenant=who')['data'][0]['public_id']
    ask = PAID['POST', '/v1/chat/completions']
    for words, args in (('The monthly budget of this key ', ('key', 'budget', ident, '0', '--per', 'month')),
                        ('The weekly budget of this key\'s tenant ', ('tenant', 'budget', 'who', '0', '--per', 'week')),
                        ('The budget of this key\'s project ', ('project', 'budget', 'who-p', '0', '--tenant', 'who'))):
        done = hub.run(*args)
        same(done.returncode, OK, done.stderr)
        reply = hub.request('POST', '/v1/chat/completions', ask, key=key)
        same(reply.status, 402, reply.body)
        need(reply.json()['error']['message'].startswith(words), reply.json()['error']['message'])
        same(hub.run(*args[:3], 'none', *args[4:]).returncode, OK, 'none')
        same(hub.request('POST', '/v1/chat/completions', ask, key=key).status, 200, 'without it')
    wrong = hub.request('PUT', '/api/v1/budgets', {'tenant': 'who', 'budget': '1'}, key=hub.add_key('a', tenant='who', scopes=['admin'])['key'])
    same(wrong.status, 403, 'a tenant sets its own hard budget')
    for body in ({'key': ident}, {'key': ident, 'budget': '-1'}, {'key': ident, 'budget': '1', 'per': 'year'}, {'key': 'nope', 'budget': '1'},
                 {'key': ident, 'project': 'who-p', 'budget': '1'}, {'key': ident, 'budget': '1', 'at': 0}, {'project': 'nope', 'budget': '1'},
                 {'tenant': 'nope', 'budget': '1'}, {'key': ident, 'budget': '1', 'soft': 'yes'}, {'key': ident, 'budget': None}):
        reply = hub.request('PUT', '/api/v1/budgets', body, local=True)
        need(reply.status in (400, 404), body, reply.status)
    same(hub.run('project', 'remove', 'who-p', '--tenant', 'who').returncode, 1, 'a project with a key')
    hub.api('DELETE', f'/api/v1/keys/{ident}')
    same(hub.run('project', 'remove', 'who-p', '--tenant', 'who').returncode, OK, 'without')


class Load:
    """Clients on all surfaces until the budget is spent."""

    def __init__(self, hub, key):
        self.hub, self.key = hub, key
        self.lock = threading.Lock()
        self.cost, self.answers, self.wrong = 0, 0, []

    def once(self, i):
        kind = i % 5
        if kind == 4:
            with self.hub.stream(self.key, model='talk', max_tokens=TOKENS, stream_options={'include_usage': True}) as s:
                if s.status != 200:
                    return s.status, 0
                s.read()
                usage = s.usage
                return 200 if s.done else 'cut', usage['prompt_tokens'] * PROMPT + usage['completion_tokens'] * COMPLETION
        path, body = [(path, body) for (_, path), body in PAID.items() if path.startswith('/v1/')][kind]
        reply = self.hub.request('POST', path, body, key=self.key, timeout=60)
        usage = reply.json().get('usage') or {}
        prompt = usage.get('prompt_tokens', usage.get('total_tokens', 0))
        return reply.status, prompt * PROMPT + usage.get('completion_tokens', 0) * COMPLETION

    def spend(self, i):
        refused = 0
        while refused < 2:
            try:
                status, cost = self.once(i)
            except Exception as e:  # pylint: disable=broad-except
                status, cost = repr(e), 0
            refused += status not in (200, 429)
            with self.lock:
                self.cost += cost
                self.answers += status == 200
                if status not in (200, 429, 402):
                    self.wrong.append(status)
            i += 1


def clients_and_jobs(hub):
    """Never a nano-unit more than the hard budget is posted and held, and what was spent is what answers and jobs cost."""
    key = add_project(hub, 'crowd')
    budget = REQUESTS * (5 * PROMPT + TOKENS * COMPLETION)
    limit(hub, 'crowd', budget, '--per', 'week')
    load, samples = Load(hub, key), 0
    jobs = [hub.request('POST', '/api/v1/jobs', {'argv': ['sleep', str(s)]}, key=key).json()['id'] for s in (1, 1, 2)]
    threads = [threading.Thread(target=load.spend, args=(i,)) for i in range(CLIENTS)]
    for t in threads:
        t.start()
    while any(t.is_alive() for t in threads):
        now = project(hub, 'crowd')
        samples += 1
        if now['spent'] + now['held'] > budget:
            load.wrong.append(f'{now} of {budget}')
    for t in threads:
        t.join()
    same(load.wrong, [], 'failures other than 402 and 429, and moments with too much spent')

    def over():
        return [j for j in (hub.api('GET', f'/api/v1/jobs/{i}') for i in jobs) if j['state'] not in ('queued', 'running')]
    wait_for(lambda: len(over()) == len(jobs), 'the jobs', 60, 0.2)
    hub.settle('crowd')
    paid = sum(nano(j['cost']) for j in over())
    now = project(hub, 'crowd')
    same(now['spent'], load.cost + paid, 'spent is what answers and jobs cost')
    need(now['spent'] <= budget and now['spent'] >= budget * 95 // 100, now)
    same(now['spent'], hub.tenant('crowd')['spent'], 'and what the tenant spent')
    need(paid > 0, 'jobs cost something')
    same(hub.request('POST', '/v1/chat/completions', PAID['POST', '/v1/chat/completions'], key=key).status, 402, 'afterwards')
    return (f'{load.answers} answers and {len(jobs)} jobs of {paid / budget:.1%}, {now["spent"] / budget:.2%} of the budget spent, '
            f'{samples} samples')


# ---- webhooks ----

class Receiver(http.server.ThreadingHTTPServer):
    """Keeps what comes; answers with `status`."""
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port=0):
        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):  # pylint: disable=arguments-differ
                pass

            def do_POST(self):
                body = self.rfile.read(int(self.headers['Content-Length']))
                self.server.seen.append((dict(self.headers.items()), body))
                self.send_response(self.server.status)
                self.send_header('Content-Length', '0')
                self.end_headers()
        self.seen, self.status = [], 200
        super().__init__(('127.0.0.1', port), Handler)
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self):
        self.shutdown()
        self.server_close()


def verified(secret, message):
    """The body, once its signature is right: what Standard Webhooks says, computed here."""
    head, body = {k.lower(): v for k, v in message[0].items()}, message[1]
    key = base64.b64decode(secret.removeprefix('whsec_'))
    signed = f"{head['webhook-id']}.{head['webhook-timestamp']}.".encode() + body
    same(head['webhook-signature'], 'v1,' + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode(), 'signature')
    need(abs(int(head['webhook-timestamp']) - time.time()) < 30, 'a timestamp of now')
    same(head['content-type'], 'application/json', 'type')
    return head['webhook-id'], json.loads(body)


def set_webhook(hub, name, port):
    done = hub.run('webhook', 'set', f'http://127.0.0.1:{port}/hook', '--tenant', name, '--json')
    same(done.returncode, OK, done.stderr)
    return json.loads(done.stdout)['secret']


def soft_budget(hub):
    """Past its thresholds the webhook is told, and nothing is refused. What could not be delivered comes again, over a restart too."""
    key = add_project(hub, 'soft')
    one = 5 * PROMPT + TOKENS * COMPLETION
    receiver = Receiver()
    port = receiver.port
    secret = set_webhook(hub, 'soft', port)
    limit(hub, 'soft', 4 * one, '--per', 'month', '--soft')

    def ask(times):
        for _ in range(times):
            same(hub.request('POST', '/v1/chat/completions', PAID['POST', '/v1/chat/completions'], key=key).status, 200, 'served')
    ask(2)
    wait_for(lambda: receiver.seen, 'the first notice', 10)
    first, body = verified(secret, receiver.seen[0])
    same((body['type'], body['data']['project'], body['data']['percent'], body['data']['per'], body['data']['soft']),
         ('budget.threshold', 'soft-p', 50, 'month', True), body)
    same((nano(body['data']['budget']), nano(body['data']['spent'])), (4 * one, 2 * one), body)
    receiver.status = 503
    ask(2)
    wait_for(lambda: len(receiver.seen) == 2, 'the second notice', 10)
    receiver.close()
    wait_for(lambda: hub.api('GET', '/api/v1/webhook?tenant=soft')['status'] == 503, 'the failure is known', 10)
    hub.kill()
    hub.start()
    again = Receiver(port)
    try:
        wait_for(lambda: again.seen, 'the second notice again, after the restart', 20)
        ids = [verified(secret, m)[0] for m in (receiver.seen[1], again.seen[0])]
        need(ids[0] == ids[1] != first, 'the same id', ids)
        same(verified(secret, again.seen[0])[1]['data']['percent'], 100, 'the highest threshold')
        same(hub.run('webhook', 'test', '--tenant', 'soft').returncode, OK, 'test')
        wait_for(lambda: len(again.seen) == 2, 'the test', 10)
        same(verified(secret, again.seen[1])[1]['type'], 'webhook.test', 'test')
        fresh = set_webhook(hub, 'soft', port)
        need(fresh != secret, 'a new secret')
        same(hub.run('webhook', 'test', '--tenant', 'soft').returncode, OK, 'test')
        wait_for(lambda: len(again.seen) == 3, 'the test', 10)
        verified(fresh, again.seen[2])
        wait_for(lambda: hub.api('GET', '/api/v1/webhook?tenant=soft')['pending'] == 0, 'nothing is left', 10)
        same(hub.run('webhook', 'remove', '--tenant', 'soft').returncode, OK, 'remove')
        same(hub.run('webhook', 'test', '--tenant', 'soft').returncode, 4, 'there is none')
        journal = b''.join(p.read_bytes() for p in hub.data.glob('busbar.db*'))
        need(base64.b64decode(fresh.removeprefix('whsec_')) not in journal, 'the secret is in no database')
    finally:
        again.close()


def no_private_addresses():
    """Without the operator's leave a webhook leads to nothing that only the hub can reach."""
    with Bench(args=['--no-model']) as hub:
        receiver = Receiver()
        try:
            for url in (f'http://127.0.0.1:{receiver.port}/', 'ftp://example.org/', 'example.org', '', 'https://user:pw@example.org/',
                        'file:///etc/passwd'):
                reply = hub.request('PUT', '/api/v1/webhook', {'tenant': 'default', 'url': url}, local=True)
                same(reply.status, 400, url)
            for n, host in enumerate(('127.0.0.1', 'localhost', '[::1]', '0x7f.1', '[::ffff:127.0.0.1]')):
                hub.api('PUT', '/api/v1/webhook', {'tenant': 'default', 'url': f'https://{host}:{receiver.port}/'})
                hub.api('POST', '/api/v1/webhook/test', {'tenant': 'default'})
                wait_for(lambda: hub.api('GET', '/api/v1/webhook?tenant=default')['tried'], f'a try at {host}', 20)
                same(hub.api('GET', '/api/v1/webhook?tenant=default')['status'], 0, host)
                need(sum('not a public one' in line for line in hub.lines) > n, 'the log says why', host)
            same(receiver.seen, [], 'nothing came')
        finally:
            receiver.close()


def main():
    tap = Tap()
    with Bench(args=['--no-model', '--webhook-private']) as hub, Engine(script) as engine:
        add_models(hub, engine.url)
        tap.case('every surface asks', every_surface, hub)
        tap.case('words say whose budget it is', scopes_in_words, hub)
        tap.case(f'{CLIENTS} clients on all surfaces, and jobs', clients_and_jobs, hub)
        tap.case('soft budgets and their webhook', soft_budget, hub)
    tap.case('webhooks lead to public addresses only', no_private_addresses)
    tap.done()


if __name__ == '__main__':
    main()
