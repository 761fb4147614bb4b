#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The books: money that is paid in, the ledger and its check, invoices, FOCUS, and usage as the OpenAI API has it.

What things cost is added up here from the answers' own usage and the price list. A bill is closed for a month that is over, so lines
that were made today are moved to the month before, in the store of a hub that is stopped.
"""
import concurrent.futures
import csv
import datetime
import io
import json
import re
import sqlite3
import time

import focus_rules
from workbench import FAILED, NOT_FOUND, OK, ROOT, USAGE, Bench, Tap, nano, need, replied, same, wait_for

PRICE = {'prompt': 10, 'completion': 2000}  # nano-units a token
NOW = datetime.datetime.now(datetime.timezone.utc)
THIS = NOW.strftime('%Y-%m')
LAST = (NOW.replace(day=1) - datetime.timedelta(days=1)).strftime('%Y-%m')
DAY = 86400


def run(hub, status, *args):
    done = hub.run(*args)
    same(done.returncode, status, f'{" ".join(args)}: {done.stdout[-400:]}{done.stderr[-400:]}')
    return done


def spend(hub, key, n=3):
    """Requests of the key: what they used and cost."""
    total = {'prompt_tokens': 0, 'completion_tokens': 0, 'requests': 0, 'cost': 0}
    for _ in range(n):
        usage = hub.chat(key, max_tokens=6, temperature=0).json()['usage']
        total['prompt_tokens'] += usage['prompt_tokens']
        total['completion_tokens'] += usage['completion_tokens']
        total['requests'] += 1
        total['cost'] += usage['prompt_tokens'] * PRICE['prompt'] + usage['completion_tokens'] * PRICE['completion']
    return total


def topup(hub):
    """Once for each id, whoever asks and how often."""
    hub.api('POST', '/api/v1/tenants', {'name': 'payer', 'budget': '1'})
    run(hub, OK, 'wallet', 'topup', 'payer', '2.5', '--id', 'cheque 17')
    need('true' in run(hub, OK, 'wallet', 'topup', 'payer', '2.5', '--id', 'cheque 17').stdout, 'told that it is a repeat')
    same(hub.tenant('payer')['budget'], 3_500_000_000, 'budget')
    need('something else' in run(hub, FAILED, 'wallet', 'topup', 'payer', '9', '--id', 'cheque 17').stderr, 'another amount')
    run(hub, OK, 'wallet', 'topup', 'payer', '0.5')
    run(hub, OK, 'wallet', 'topup', 'payer', '0.5')  # no id: each is one
    same(hub.tenant('payer')['budget'], 4_500_000_000, 'budget')
    run(hub, FAILED, 'wallet', 'topup', 'payer', '0')
    run(hub, FAILED, 'wallet', 'topup', 'payer', '-1')
    run(hub, FAILED, 'wallet', 'topup', 'payer', '1e3')
    run(hub, NOT_FOUND, 'wallet', 'topup', 'nobody', '1')

    def one(_):
        return hub.api('POST', '/api/v1/tenants/payer/topups', {'amount': '1', 'id': 'at once'})['repeated']
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        repeated = list(pool.map(one, range(32)))
    same(repeated.count(False), 1, 'payments of one id, 16 at a time')
    same(hub.tenant('payer')['budget'], 5_500_000_000, 'budget')
    hub.run('tenant', 'budget', 'payer', '5')
    same(hub.tenant('payer')['budget'], 5_000_000_000, 'the whole budget, set')


def ledger_agrees(hub):
    """Balances are sums of transfers, added up here from the API's pages."""
    hub.settle()
    wallet = 'wallet/default/USD'
    accounts = hub.pages('/api/v1/ledger/accounts', 3)
    same(sum(nano(a['debits']) for a in accounts if not a['control']),
         sum(nano(a['credits']) for a in accounts if not a['control']), 'debits and credits')
    account = next(a for a in accounts if a['account'] == wallet)
    transfers = hub.pages('/api/v1/ledger/transfers?account=wallet%2Fdefault%2FUSD', 2)
    for side in ('debit', 'credit'):
        same(sum(nano(t['posted']) for t in transfers if t[side] == wallet), nano(account[side + 's']), side)
        same(sum(nano(t['held']) for t in transfers if t[side] == wallet), nano(account[side + 's_held']), side + ' held')
    need({'budget', 'requests', 'job'} <= {t['for'] for t in transfers}, transfers)
    need(wallet in run(hub, OK, 'ledger', 'accounts', '--kind', 'wallet').stdout, 'accounts of a kind')
    need('revenue/local/USD' in run(hub, OK, 'ledger', 'transfers', wallet).stdout, 'transfers')
    run(hub, NOT_FOUND, 'ledger', 'transfers', 'wallet/nobody/USD')
    run(hub, NOT_FOUND, 'ledger', 'transfers', 'nonsense')
    run(hub, FAILED, 'ledger', 'accounts', '--kind', 'piggy-bank')
    need('the books are right' in run(hub, OK, 'ledger', 'check').stdout, 'check')


def damage_is_found(hub):
    """A figure that is changed in the store behind the hub's back is found, and named."""
    def change(sql):
        with sqlite3.connect(hub.data / 'busbar.db', timeout=10) as db:
            same(db.execute(sql).rowcount, 1, sql)
    for table, column, words in (('bb_transfer', 'posted', 'sum of its transfers'), ('bb_bill', 'cost', 'lines come to')):
        which = f"rowid = (SELECT rowid FROM {table} WHERE {column} > 1 LIMIT 1)"
        change(f'UPDATE {table} SET {column} = {column} + 1 WHERE {which}')
        done = run(hub, FAILED, 'ledger', 'check')
        need(words in done.stderr and 'WRONG' in done.stdout, done.stderr, done.stdout)
        change(f'UPDATE {table} SET {column} = {column} - 1 WHERE {which}')
        run(hub, OK, 'ledger', 'check')


def openai_shapes(hub, used, keys):
    """Usage and costs by bucket, and no other tenant's."""
    day = int(time.time()) // DAY * DAY
    def ask(path, **query):
        text = '&'.join(f'{k}={v}' for k, v in query.items())
        reply = hub.request('GET', f'/v1/organization/{path}?start_time={day - 2 * DAY}&{text}', key=keys['admin'])
        same(reply.status, 200, reply.body)
        return reply.json()
    page = ask('usage/completions', group_by='model,api_key_id')
    same((page['object'], len(page['data']), page['has_more'], page['next_page']), ('page', 3, False, None), 'page')
    results = [r for b in page['data'] for r in b['results']]
    same([(r['model'], r['api_key_id']) for r in results], [('stories', keys['public'])], 'groups')
    same((results[0]['input_tokens'], results[0]['output_tokens'], results[0]['num_model_requests']),
         (used['prompt_tokens'], used['completion_tokens'], used['requests']), 'tokens')
    results = [r for b in ask('usage/completions', bucket_width='1h', limit=168)['data'] for r in b['results']]
    same(sum(r['output_tokens'] for r in results), used['completion_tokens'], 'by the hour')
    need(results and all(r['model'] is None and r['api_key_id'] is None for r in results), results)
    buckets, query = [], {}
    while True:
        page = ask('usage/completions', limit=1, **query)
        buckets += page['data']
        if not page['has_more']:
            break
        query = {'page': page['next_page']}
    same([b['start_time'] for b in buckets], [day - 2 * DAY, day - DAY, day], 'pages of a bucket')
    costs = [r for b in ask('costs', group_by='line_item')['data'] for r in b['results']]
    same([(r['line_item'], r['amount']['currency'], round(r['amount']['value'] * 1e9)) for r in costs],
         [('stories', 'usd', used['cost'])], 'costs')
    for path in ('usage/completions', 'costs?start_time=x', 'costs?start_time=1&bucket_width=1h', 'costs?start_time=1&limit=181',
                 'usage/completions?start_time=1&group_by=colour', 'costs?start_time=1&tenant=default'):
        status = hub.request('GET', f'/v1/organization/{path}', key=keys['admin']).status
        same(status, 404 if 'tenant' in path else 400, path)
    replied(hub.request('GET', f'/v1/organization/costs?start_time={day}', key=keys['key']), 403, 'no admin')


TARIFF = """tariff: winter
currency: USD
from: {start}
models:
  - {{name: stories, input: 0.01, output: {output}}}
chips:
  - {{kind: {chip}, hour: 3.6}}
"""


def tariffs(hub):
    """Compared, applied once, in force at its date, and never over what was billed."""
    path, chip = hub.data / 't.yaml', hub.api('GET', '/api/v1/pools')['data'][0]['chip']

    def write(output, start='2026-01-01'):
        path.write_text(TARIFF.format(start=start, output=output, chip=chip), encoding='utf-8')
    path.write_text('tariff: Bad Name\nfrom: soon\nmodels:\n  - {name: a, input: -1, output: 1.0000000001}\n  - {name: a, inptu: 1}\n'
                    'chips: 7\n', encoding='utf-8')
    found = run(hub, FAILED, 'tariff', 'check', str(path)).stderr
    for where in (':1: tariff', 'currency', ':2: from', ':4: models[0].input', ':4: models[0].output', ':5: models[1]', ':6: chips'):
        need(where in found, where, found)
    need('example' in run(hub, OK, 'tariff', 'check', str(ROOT / 'data' / 'tariffs' / 'example.yaml')).stdout, 'the example')
    write('2')
    same(run(hub, OK, 'tariff', 'diff', str(path)).stdout.count('\n'), 1, 'as it is: a heading and no more')

    def billed():
        return [b['results'] for b in hub.api('GET', f'/v1/organization/costs?start_time={int(time.time()) - DAY}&tenant=user')['data']]
    lines = billed()
    write('4')
    rows = json.loads(run(hub, OK, 'tariff', 'diff', str(path), '--json').stdout)['data']
    need(('output', '2', '4') in [(r['price_of'], r['now'], r['then']) for r in rows], rows)
    same(hub.api('GET', '/api/v1/models/stories')['price']['completion'], '2', 'diff changes nothing')
    run(hub, OK, 'tariff', 'apply', str(path))
    same(hub.api('GET', '/api/v1/models/stories')['price']['completion'], '4', 'in force')
    same(json.loads(run(hub, OK, 'tariff', 'apply', str(path), '--json').stdout)['data'], [], 'applied again')
    soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=3)
    write('2', soon.strftime('%Y-%m-%dT%H:%M:%SZ'))
    run(hub, OK, 'tariff', 'apply', str(path))
    same(json.loads(run(hub, OK, 'tariff', 'diff', str(path), '--json').stdout)['data'], [], 'it will be')
    same(hub.api('GET', '/api/v1/models/stories')['price']['completion'], '4', 'and is not yet')
    wait_for(lambda: hub.api('GET', '/api/v1/models/stories')['price']['completion'] == '2', 'the date', 10)
    same(billed(), lines, 'what was billed')
    for old, new in (('stories', 'nobody'), ('USD', 'EUR'), (chip, 'no-such-chip')):
        path.write_text(TARIFF.format(start='2026-01-01', output='9', chip=chip).replace(old, new), encoding='utf-8')
        need(run(hub, NOT_FOUND if old != 'USD' else FAILED, 'tariff', 'apply', str(path)).stderr, new)
    same(hub.api('GET', '/api/v1/models/stories')['price']['completion'], '2', 'refused as a whole')


WRONG = """tariff: odd
currency: USD
chips:
  - {kind: a, hour: 1, deferrable: 101, bands: [{hours: 7-22, factor: 1}, {hours: 21-23, factor: 2}, {hours: 7, factor: 1}]}
  - {kind: b, hour: 1, signal: {min: 2, max: 1}, energy: maybe}
corridors:
  - {a: x, b: x, gb: 1}
tenants:
  acme:
    chips: [{kind: a, hour: 1, deferrable: 5}]
    models: [{name: m, general: yes, input: 4}]
    free: [{model: m}, {model: m, tokens: 5}, {model: m, tokens: 6}]
  Bad_Name: {minimum: 1}
"""

OWN = """tariff: own
currency: USD
chips:
  - {{kind: {chip}, hour: 3.6, interruptible: 40, bands: [{{hours: 0-24, factor: 1.5}}]}}
tenants:
  user:
    models: [{{name: stories, {price}}}]
    chips: [{{kind: {chip}, hour: 1.8}}]
    free: [{{model: stories, tokens: {free}}}]
"""


def tenants_prices(hub, key):
    """A tenant's own price is what its requests cost, and its free tokens are used up first; mistakes have their lines."""
    path, chip = hub.data / 'own.yaml', hub.api('GET', '/api/v1/pools')['data'][0]['chip']
    path.write_text(WRONG, encoding='utf-8')
    found = run(hub, FAILED, 'tariff', 'check', str(path)).stderr
    for where in (':4: chips[0].deferrable', ':4: chips[0].bands[1].hours', ':4: chips[0].bands[2].hours', ':5: chips[1].signal.min',
                  ':5: chips[1].energy', ':7: corridors[0].b', ':10: tenants.acme.chips[0].deferrable', ':11: tenants.acme.models[0].general',
                  ':12: tenants.acme.free[0]', ':12: tenants.acme.free[2].model', ':13: tenants'):
        need(where in found, where, found)

    def apply(price, free):
        path.write_text(OWN.format(price=price, free=free, chip=chip), encoding='utf-8')
        rows = json.loads(run(hub, OK, 'tariff', 'diff', str(path), '--json').stdout)['data']
        run(hub, OK, 'tariff', 'apply', str(path))
        same(json.loads(run(hub, OK, 'tariff', 'diff', str(path), '--json').stdout)['data'], [], 'applied again')
        return {(r['price_of'], r.get('tenant')): (r['now'], r['then']) for r in rows}

    def cost(used):
        spent = hub.tenant('user')['spent']
        tokens = hub.chat(key, max_tokens=6, temperature=0).json()['usage']
        hub.settle()
        same(hub.tenant('user')['spent'] - spent, used(tokens['prompt_tokens'], tokens['completion_tokens']), tokens)
        return tokens['prompt_tokens'] + tokens['completion_tokens']
    rows = apply('input: 1, output: 7000', 0)
    same(rows[('output', 'user')], ('general', '7000'), rows)
    same(rows[('chip-hour', 'user')], ('general', '1.8'), rows)
    same(rows[('interruptible', None)], ('0.0%', '40.0%'), rows)
    same(rows[('bands', None)], ('', '0-24 x1.500'), rows)
    cost(lambda prompt, completion: prompt * 1000 + completion * 7_000_000)
    same(apply('general: yes', 10)[('output', 'user')], ('7000', 'general'), 'ended')
    price = hub.api('GET', '/api/v1/models/stories')['price']
    per = [nano(price[k]) for k in ('prompt', 'completion')]

    def some_free(prompt, completion):
        paid = max(0, prompt - 10)
        return round(paid * per[0] / 1e6) + round((completion - max(0, 10 - prompt)) * per[1] / 1e6)
    cost(some_free)
    allowance = json.loads(run(hub, OK, 'usage', '--json', '--tenant', 'user').stdout)['allowances']
    same([(a['tenant'], a['model'], a['free'], a['used']) for a in allowance], [('user', 'stories', 10, 10)], allowance)
    run(hub, OK, 'ledger', 'check')


def odd_entries(hub, chip):
    """What nobody would read, is of another type, or is there twice, is refused with the words where; nothing changes."""
    model = {'name': 'stories', 'input': '1', 'cached': '1', 'output': '1', 'reasoning': '1'}
    hour = {'kind': chip, 'hour': '9'}
    owner = {'name': 'user', 'free': [{'model': 'stories', 'tokens': 77}]}
    def body(**lists):
        return {'tariff': 'odd', 'currency': 'USD', **lists}
    wrong = {
        'models: inptu': body(models=[{**model, 'inptu': '1'}]), 'models: general': body(models=[{**model, 'general': True}]),
        'models: name': body(models=[{**model, 'name': 7}]), 'models: each': body(models=['stories']), 'models: must': body(models={}),
        'models: one': body(models=[model, model]), 'chips: deferable': body(chips=[{**hour, 'deferable': 100}]),
        'chips: bands': body(chips=[{**hour, 'bands': {}}]), 'chips: signal': body(chips=[{**hour, 'signal': 2}]),
        'chips: energy': body(chips=[{**hour, 'energy': True}]), 'chips: one': body(chips=[hour, hour]),
        'bands: factor': body(chips=[{**hour, 'bands': [{'hours': '7-22'}]}]),
        'bands: by': body(chips=[{**hour, 'bands': [{'hours': '7-22', 'factor': 1000, 'by': 1}]}]),
        'signal: max': body(chips=[{**hour, 'signal': {'min': 500}}]),
        'corridors: price': body(corridors=[{'a': 'local', 'b': 'north', 'gb': '1', 'price': '1'}]),
        'tenants: minimun': body(tenants=[{**owner, 'minimun': '1'}]), 'tenants: free': body(tenants=[{**owner, 'free': {}}]),
        'tenants: one': body(tenants=[owner, owner]), 'free: tokens': body(tenants=[{'name': 'user', 'free': [{'model': 'stories'}]}]),
        'free: chip_ms': body(tenants=[{'name': 'user', 'free': [{'model': 'stories', 'tokens': 1, 'chip_ms': 1}]}]),
        'free: one': body(tenants=[{'name': 'user', 'free': owner['free'] * 2}]),
        'chips: hours': body(tenants=[{'name': 'user', 'chips': [{**hour, 'hours': '1'}]}])}
    before = hub.api('POST', '/api/v1/tariff/diff', body(models=[model], chips=[hour], tenants=[owner]))
    for words, tariff in wrong.items():
        reply = hub.request('POST', '/api/v1/tariff', tariff, local=True)
        same((reply.status, reply.json()['error']['message'].startswith(words)), (400, True), f'{words}: {reply.body}')
    need(before['data'], 'it would change something')
    same(hub.api('POST', '/api/v1/tariff/diff', body(models=[model], chips=[hour], tenants=[owner])), before, 'nothing changed')


def minimum(hub):
    """A tenant that used nothing pays the minimum, once; FOCUS has it."""
    path = hub.data / 'own.yaml'
    path.write_text('tariff: least\ncurrency: USD\ntenants:\n  payer: {minimum: 1.25}\n', encoding='utf-8')
    run(hub, OK, 'tariff', 'apply', str(path))
    spent = hub.tenant('payer')['spent']
    for _ in range(2):
        same(nano(json.loads(run(hub, OK, 'invoice', 'close', 'payer', LAST, '--json').stdout)['total']), 1_250_000_000, 'total')
    same(hub.tenant('payer')['spent'] - spent, 1_250_000_000, 'spent')
    number = hub.pages('/api/v1/invoices?tenant=payer')[0]['number']
    run(hub, OK, 'receipt', 'get', hub.pages('/api/v1/invoices?tenant=payer')[0]['id'], '--out', str(hub.data / 'least.json'))
    facts = {f['name']: f['value'] for f in json.loads((hub.data / 'least.json').read_text())['records'][0]['facts']}
    same(facts['total_nano'], '1250000000', 'its receipt tells all of it')
    lines = json.loads(run(hub, OK, 'invoice', 'show', number, '--form', 'json').stdout)['lines']
    same([(line['kind'], nano(line['cost'])) for line in lines], [('minimum', 1_250_000_000)], lines)
    need('minimum' in run(hub, OK, 'invoice', 'show', number, '--form', 'html').stdout, 'html')
    rows, wrong = focus_rules.check(run(hub, OK, 'export', 'focus', '--month', LAST, '--tenant', 'payer').stdout)
    same((wrong, [r['BilledCost'] for r in rows]), ([], ['1.25']), 'FOCUS')
    run(hub, OK, 'ledger', 'check')


def to_last_month(hub):
    """What was used until now was used on the 28th of the month before."""
    hub.settle()
    hub.stop()
    first = datetime.datetime.strptime(LAST + '-01', '%Y-%m-%d').replace(tzinfo=datetime.timezone.utc)
    with sqlite3.connect(hub.data / 'busbar.db') as db:
        db.execute('UPDATE bb_bill SET day = ?', (int(first.timestamp()) // DAY + 27,))
        db.execute('UPDATE bb_tenant SET created_ms = ?', (int(first.timestamp()) * 1000 + 5,))
    hub.start()
    hub.wait_ready()


def invoices(hub, used):
    """Closed once; the sum of its lines is what was spent, in every form."""
    need('not over' in run(hub, FAILED, 'invoice', 'close', 'default', THIS).stderr, 'a month that is not over')
    run(hub, FAILED, 'invoice', 'close', 'default', '2026-13')
    run(hub, NOT_FOUND, 'invoice', 'close', 'nobody', LAST)
    spent = hub.tenant()['spent']
    one = hub.api('POST', '/api/v1/invoices', {'tenant': 'default', 'month': LAST})
    same((one['number'], one['tenant'], one['month'], nano(one['total'])), ('INV-000001', 'default', LAST, spent), 'invoice')
    same(hub.api('POST', '/api/v1/invoices', {'tenant': 'default', 'month': LAST}), one, 'closed again')
    need('INV-000002' in run(hub, OK, 'invoice', 'close', 'user', LAST).stdout, 'the next one')
    same([i['number'] for i in hub.pages('/api/v1/invoices?tenant=default', 1)], ['INV-000001'], 'list')
    same(len(hub.pages('/api/v1/invoices', 1)), 2, 'of all')
    whole = hub.api('GET', '/api/v1/invoices/INV-000001')
    same(sum(nano(line['cost']) for line in whole['lines']), spent, 'sum of the lines')
    job = next(line for line in whole['lines'] if 'chip' in line)
    need(job['site'] == 'local' and job['chip_ms'] > 0 and nano(job['cost']) > 0, job)
    mine = hub.api('GET', '/api/v1/invoices/2')['lines']
    same(sum(line['prompt_tokens'] for line in mine), used['prompt_tokens'], 'prompt tokens')
    need(all(line['model'] == 'stories' and len(line['price_version']) == 36 and len(line['digest']) == 64 for line in mine),
         mine)
    rows = list(csv.DictReader(io.StringIO(run(hub, OK, 'invoice', 'show', '1', '--form', 'csv').stdout)))
    same(sum(nano(r['cost']) for r in rows), spent, 'sum of the CSV')
    page = run(hub, OK, 'invoice', 'show', 'INV-000001', '--form', 'html').stdout
    need(whole['total'] in page and 'INV-000001' in page and '</html>' in page, page[:300])
    need(not re.search(r'https?:|<script|<link|<img|@import|url\(', page), 'nothing from elsewhere')
    need('stories' in run(hub, OK, 'invoice', 'show', '2').stdout, 'lines in a table')
    run(hub, NOT_FOUND, 'invoice', 'show', 'INV-000009')
    run(hub, NOT_FOUND, 'invoice', 'show', 'x')
    run(hub, USAGE, 'invoice', 'show', '1', '--form', 'pdf')


def others_have_none(hub, keys):
    """An invoice of another tenant does not exist."""
    for path in ('1', '1/csv', '1/html', 'INV-000001'):
        replied(hub.request('GET', f'/api/v1/invoices/{path}', key=keys['admin']), 404, path)
    replied(hub.request('GET', '/api/v1/invoices/2', key=keys['admin']), 200, 'its own')
    found = hub.request('GET', '/api/v1/invoices', key=keys['admin']).json()['data']
    same([i['tenant'] for i in found], ['user'], 'list')


def credit_notes(hub):
    """What is given back is spendable again; the invoice's lines stay as they are."""
    before, whole = hub.tenant('user'), hub.api('GET', '/api/v1/invoices/2')
    args = ('invoice', 'credit', 'INV-000002', '0.000001', 'late, "as told"', '--id', 'case 1')
    run(hub, OK, *args)
    need('true' in run(hub, OK, *args).stdout, 'a repeat')
    after, now = hub.tenant('user'), hub.api('GET', '/api/v1/invoices/2')
    same((after['available'] - before['available'], before['spent'] - after['spent']), (1000, 1000), 'given back')
    same(now['lines'], whole['lines'], 'lines')
    same((nano(now['credited']), nano(now['due'])), (1000, nano(whole['total']) - 1000), 'credited and due')
    same([n['reason'] for n in now['credit_notes']], ['late, "as told"'], 'reason')
    need('more than what is left' in run(hub, FAILED, 'invoice', 'credit', '2', whole['total'], 'all').stderr, 'too much')
    run(hub, FAILED, 'invoice', 'credit', '2', '0.1', '')
    run(hub, NOT_FOUND, 'invoice', 'credit', '77', '0.1', 'x')
    need('late, &quot;as told&quot;' in run(hub, OK, 'invoice', 'show', '2', '--form', 'html').stdout, 'escaped')
    need('"late, ""as told"""' in run(hub, OK, 'invoice', 'show', '2', '--form', 'csv').stdout, 'quoted')
    run(hub, OK, 'ledger', 'check')


def focus(hub, keys):
    """Every rule of the specification that focus_rules.py knows; sums are those of the invoices."""
    with_total = sum(nano(i['total']) for i in hub.pages('/api/v1/invoices'))
    rows, wrong = focus_rules.check(run(hub, OK, 'export', 'focus', '--month', LAST).stdout)
    same(wrong, [], 'rules')
    same(int(focus_rules.total(rows) * 10**9), with_total, 'billed')
    same({r['InvoiceId'] for r in rows}, {'INV-000001', 'INV-000002'}, 'invoices')
    same({r['ServiceCategory'] for r in rows}, {'AI and Machine Learning', 'Compute'}, 'services')
    need(all(re.fullmatch('[0-9a-f]{64}', r['x_ModelDigest']) for r in rows if r['ResourceType'] == 'Model'), 'digests')
    rows, wrong = focus_rules.check(run(hub, OK, 'export', 'focus', '--month', THIS).stdout)
    same(wrong, [], 'rules')
    same([(r['ChargeCategory'], r['ChargeClass'], r['BilledCost'], r['InvoiceId']) for r in rows],
         [('Credit', 'Correction', '-0.000001', 'INV-000002')], 'the credit note')
    mine = hub.request('GET', f'/api/v1/export/focus?month={LAST}', key=keys['admin'])
    same({r['BillingAccountName'] for r in focus_rules.check(mine.body.decode())[0]}, {'user'}, 'its own only')
    run(hub, FAILED, 'export', 'focus')
    run(hub, FAILED, 'export', 'focus', '--month', '2026-00')
    good = run(hub, OK, 'export', 'focus', '--month', LAST).stdout
    for old, new in (('Usage,,', 'Use,,'), ('T00:00:00Z', ' 00:00:00'), (',USD,', ',US$,'), (',Tokens,', ',,'),
                     ('ListCost,', 'Listcost,')):
        need(old in good and focus_rules.check(good.replace(old, new, 1))[1], f'{new!r} in place of {old!r} is found')


def receipts(hub, keys):
    """What was paid in, billed and given back is in the log; its tenant has a receipt of each, and nobody else."""
    paid = hub.api('POST', '/api/v1/tenants/user/topups', {'amount': '0.25', 'id': 'receipt'})
    again = hub.api('POST', '/api/v1/tenants/user/topups', {'amount': '0.25', 'id': 'receipt'})
    same((again['payment'], again['repeated']), (paid['payment'], True), 'a repeat')
    bill = hub.api('GET', '/api/v1/invoices/2')
    note = bill['credit_notes'][0]
    file, key = hub.data / 'receipt.json', (hub.data / 'log' / 'vkey').read_text()
    for ident, want in ((paid['payment'], {'payment': paid['payment'], 'amount_nano': '250000000'}),
                        (bill['id'], {'invoice': bill['id'], 'number': '2', 'last_month': LAST, 'total_nano': str(nano(bill['total']))}),
                        (note['id'], {'credit_note': note['id'], 'invoice_month': LAST, 'amount_nano': '1000',
                                      'reason': 'late, "as told"'})):
        run(hub, OK, 'receipt', 'get', ident, '--out', str(file))
        run(hub, OK, 'receipt', 'verify', str(file), '--key', key)
        records = json.loads(file.read_text())['records']
        facts = {f['name']: f['value'] for f in records[0]['facts']}
        same((len(records), {k: facts.get(k) for k in want}, facts['currency']), (1, want, '840'), ident)
        same(hub.request('GET', f'/v1/receipts/{ident}', key=keys['key']).status, 200, 'its own')
        same(hub.request('GET', f'/v1/receipts/{ident}').status, 404, 'of another tenant')


def half_even(a, b):
    q, r = divmod(a, b)
    return q + (2 * r > b or (2 * r == b and q % 2 == 1))


def balances(hub):
    return {a['account']: nano(a['balance']) * (1 if a['side'] == 'credit' else -1) for a in hub.pages('/api/v1/ledger/accounts')}


def refused(hub, calls):
    for status, method, path, body in calls:
        reply = hub.request(method, f'/api/v1/{path}', body, local=True)
        same(reply.status, status, f'{method} {path} {body}: {reply.body[:200]}')
        need(reply.json()['error']['message'], 'words')


def parts(hub):
    """Tax, the network's fee and owners by share: each charge is divided exactly, and the tenant pays as before."""
    hub.api('POST', '/api/v1/tenants', {'name': 'shared', 'budget': '1'})
    key = hub.add_key('s', tenant='shared')['key']
    run(hub, OK, 'site', 'owners', 'local', 'north=600000,south=400000')
    need(re.search('south *400000', run(hub, OK, 'site', 'owners', 'local').stdout), 'owners')
    run(hub, OK, 'network', 'fee', '50000')
    need('50000' in run(hub, OK, 'network', 'fee').stdout, 'the fee')
    run(hub, OK, 'tenant', 'tax', 'shared', '200000')
    same(hub.api('GET', '/api/v1/tenants/shared')['tax_ppm'], 200000, 'tax')
    before, want = balances(hub), {'tax/network/USD': 0, 'fee/network/USD': 0, 'revenue/north/USD': 0, 'revenue/south/USD': 0}
    spent = 0
    for n in range(3):
        cost = spend(hub, key, 1)['cost']
        tax = half_even(cost * 200000, 1200000)
        fee = half_even((cost - tax) * 50000, 1000000)
        rest = cost - tax - fee
        north, south = rest * 6 // 10, rest * 4 // 10
        north += rest - north - south if rest * 6 % 10 >= rest * 4 % 10 else 0
        for name, part in zip(want, (tax, fee, north, rest - north)):
            want[name] += part
        spent += cost
    hub.settle('shared')
    now = balances(hub)
    same({name: now[name] - before.get(name, 0) for name in want}, want, 'parts')
    same((hub.tenant('shared')['spent'], sum(want.values())), (spent, spent), 'spent')
    need('share' in run(hub, OK, 'ledger', 'transfers', 'revenue/north/USD').stdout, "an owner's transfers")
    used = {a['account']: a['balance'] for a in hub.pages('/api/v1/ledger/accounts?ledger=usage', 3)}
    lines = hub.api('GET', '/api/v1/usage?by=tenant&tenant=shared')['data'][0]
    same(used['used/shared/completion tokens'], lines['completion_tokens'], 'what was used')
    need('supplied/local/prompt tokens' in run(hub, OK, 'ledger', 'accounts', '--ledger', 'usage').stdout, 'who supplied it')
    run(hub, OK, 'ledger', 'check')
    def owners(*pairs):
        return {'owners': [{'name': name, 'share_ppm': share} for name, share in pairs]}
    refused(hub, (
        (400, 'PUT', 'sites/local/owners', owners(('north', 600000), ('south', 400001))),
        (400, 'PUT', 'sites/local/owners', owners(('north', 500000), ('north', 500000))),
        (400, 'PUT', 'sites/local/owners', owners(('north', 1000000), ('south', 0))),
        (400, 'PUT', 'sites/local/owners', owners(('No Name', 1000000))),
        (400, 'PUT', 'sites/local/owners', {'owners': 'north'}),
        (404, 'PUT', 'sites/nowhere/owners', owners(('north', 1000000))),
        (400, 'PUT', 'network/terms', {'fee_ppm': 1000001}), (400, 'PUT', 'network/terms', {'fee_ppm': 1, 'carbon_price': '-1'}),
        (400, 'PUT', 'network/terms', {}), (400, 'PUT', 'tenants/shared/tax', {'tax_ppm': 1000001}),
        (400, 'PUT', 'tenants/shared/tax', {}), (404, 'PUT', 'tenants/nobody/tax', {'tax_ppm': 1}),
        (400, 'GET', 'ledger/accounts?ledger=time', None)))
    run(hub, USAGE, 'site', 'owners', 'local', 'north')
    need('fee_ppm' in run(hub, FAILED, 'network', 'fee', 'much').stderr, 'no number')
    same(hub.api('GET', '/api/v1/network/terms')['fee_ppm'], 50000, 'the fee as it was')
    need('600000' in run(hub, OK, 'site', 'owners', 'local').stdout, 'as they were')
    run(hub, OK, 'network', 'carbon', '80.5')
    need('80.5' in run(hub, OK, 'network', 'fee').stdout, 'the price of carbon')
    return key


def grants(hub, key):
    """A sponsor pays where its conditions hold; what is left goes back to it at the end."""
    soon = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=5)).strftime('%Y-%m-%dT%H:%M:%SZ')
    run(hub, OK, 'grant', 'add', 'shared', '0.5', '--sponsor', 'fund', '--class', 'requests', '--expires', soon, '--id', 'soon')
    args = ('grant', 'add', 'shared', '0.25', '--sponsor', 'fund', '--class', 'training,batch', '--id', 'call 7')
    first = json.loads(run(hub, OK, *args, '--json').stdout)
    spent = hub.tenant('shared')['spent']
    used = spend(hub, key, 2)
    hub.settle('shared')
    rows = sorted(hub.pages('/api/v1/grants?tenant=shared', 1), key=lambda r: r['created'])
    same([(r['sponsor'], nano(r['left']), r['kinds'], r['over']) for r in rows],
         [('fund', 500_000_000 - used['cost'], ['requests'], False), ('fund', 250_000_000, ['batch', 'training'], False)], 'grants')
    same(hub.tenant('shared')['spent'], spent, 'spent')
    wait_for(lambda: any(r['over'] for r in hub.api('GET', '/api/v1/grants?tenant=shared')['data']), 'the end of the grant', 20)
    again = json.loads(run(hub, OK, *args, '--json').stdout)
    same((first['repeated'], again['repeated'], again['id']), (False, True, first['id']), 'a repeat')
    for wrong in ((*args, '--expires', '2099-01-01'), (*args[:3], '0.26', *args[4:]), (*args[:5], 'other', *args[6:])):
        need('something else' in run(hub, FAILED, *wrong).stderr, wrong)
    ended = json.loads(run(hub, OK, 'grant', 'add', 'shared', '0.5', '--sponsor', 'fund', '--class', 'requests', '--expires', soon,
                           '--id', 'soon', '--json').stdout)
    same((ended['repeated'], ended['over']), (True, True), 'the same when it is over')
    same(balances(hub)['sponsor/fund/USD'], -250_000_000 - used['cost'], 'what the sponsor gave')
    cost = spend(hub, key, 1)['cost']
    same(hub.settle('shared')['spent'], spent + cost, 'after its end')
    good = {'tenant': 'shared', 'amount': '1', 'sponsor': 'fund'}
    refused(hub, [(status, 'POST', 'grants', {**good, **wrong}) for status, wrong in (
        (400, {'amount': '0'}), (400, {'expires': '2020-01-01'}), (400, {'expires': 'soon'}), (400, {'kinds': ['fun']}),
        (400, {'kinds': []}), (400, {'sponsor': 'No Name'}), (404, {'tenant': 'nobody'}), (404, {'models': ['none-such']}),
        (400, {'models': []}), (400, {'colour': 'red'}))])
    need('sponsor' in run(hub, FAILED, 'grant', 'add', 'shared', '1').stderr, 'nobody pays')
    same(len(hub.pages('/api/v1/grants')), 2, 'nothing came of these')
    need('fund' in run(hub, OK, 'grant', 'list', '--tenant', 'shared').stdout, 'list')
    run(hub, OK, 'ledger', 'check')
    return used['cost']


def peers(hub):
    args = ('peer', 'settle', 'north-net', '7.5', '--id', 'wire 1')
    run(hub, OK, *args, '--received')
    need('true' in run(hub, OK, *args, '--received').stdout, 'a repeat')
    need('something else' in run(hub, FAILED, *args, '--paid').stderr, 'the other way')
    run(hub, OK, 'peer', 'settle', 'north-net', '2', '--paid')
    for both in ((), ('--paid', '--received')):
        need('direction' in run(hub, FAILED, 'peer', 'settle', 'north-net', '2', *both).stderr, 'which way')
    good = {'amount': '1', 'direction': 'paid'}
    refused(hub, [(400, 'POST', 'peers/north-net/settlements', {**good, **wrong}) for wrong in (
        {'amount': '0'}, {'amount': '-1'}, {'currency': 'XXX'}, {'direction': 'up'})] +
        [(400, 'POST', 'peers/No%20Name/settlements', good)])
    now = balances(hub)
    same((now['peer/north-net/USD'], now['settlement/network/USD']), (5_500_000_000, -5_500_000_000), 'balances')
    need('settlement' in run(hub, OK, 'ledger', 'transfers', 'peer/north-net/USD').stdout, 'transfers')


def taxed_and_older(hub, granted):
    """An invoice tells net, tax and what grants paid; data from before the books is opened once, and then the check is right."""
    def change(sql, *args):
        with sqlite3.connect(hub.data / 'busbar.db', timeout=10) as db:
            return db.execute(sql, args).rowcount
    change('UPDATE bb_used SET debits = debits + 1 WHERE rowid = (SELECT min(rowid) FROM bb_used WHERE side = 1)')
    need('accounts of use' in run(hub, FAILED, 'ledger', 'check').stderr, 'a changed figure of use')
    change('UPDATE bb_used SET debits = debits - 1 WHERE rowid = (SELECT min(rowid) FROM bb_used WHERE side = 1)')
    run(hub, OK, 'ledger', 'check')
    hub.settle()
    hub.stop()
    first = datetime.datetime.strptime(LAST + '-01', '%Y-%m-%d').replace(tzinfo=datetime.timezone.utc)
    shared = "(SELECT id FROM bb_tenant WHERE name = 'shared')"
    change(f'UPDATE bb_bill SET day = ? WHERE tenant = {shared}', int(first.timestamp()) // DAY + 27)
    change("UPDATE bb_tenant SET created_ms = ? WHERE name = 'shared'", int(first.timestamp()) * 1000 + 5)
    need(change("DELETE FROM bb_bill WHERE tenant = (SELECT id FROM bb_tenant WHERE name = 'user')") > 0, 'lines of before')
    need(change('DELETE FROM bb_used') > 0, 'accounts of before')
    change('UPDATE bb_bill SET energy_mj = 0, carbon_ng = 0 WHERE variant <> zeroblob(16)')  # requests had none then
    change('DELETE FROM bb_replica_meter')
    change('DELETE FROM bb_energy_weight')
    change('UPDATE bb_core SET books_ms = 0')
    hub.start()
    hub.wait_ready()
    need('the books are right' in run(hub, OK, 'ledger', 'check').stdout, 'opened')
    hub.api('POST', '/api/v1/invoices', {'tenant': 'shared', 'month': LAST})
    number = hub.pages('/api/v1/invoices?tenant=shared')[0]['number']
    whole = hub.api('GET', f'/api/v1/invoices/{number}')
    net, tax, gross, paid, due = (nano(whole[k]) for k in ('net', 'tax', 'gross', 'granted', 'due'))
    same((net + tax, nano(whole['total']), paid, due), (gross, gross, granted, gross - granted), 'net, tax, gross, granted, due')
    same((sum(nano(line['tax']) for line in whole['lines']), abs(tax * 6 - gross) < 50), (tax, True), 'tax of the lines, a sixth')
    rows = list(csv.DictReader(io.StringIO(run(hub, OK, 'invoice', 'show', number, '--form', 'csv').stdout)))
    same((sum(nano(r['tax']) for r in rows), sum(nano(r['granted']) for r in rows)), (tax, granted), 'CSV')
    page = run(hub, OK, 'invoice', 'show', number, '--form', 'html').stdout
    need('Paid by grants' in page and '>Net<' in page and whole['tax'] in page, page[-900:])
    need('more than what is left' in run(hub, FAILED, 'invoice', 'credit', number, whole['gross'], 'all').stderr, 'what a grant paid')
    rows, wrong = focus_rules.check(run(hub, OK, 'export', 'focus', '--month', LAST, '--tenant', 'shared').stdout)
    same((wrong, int(focus_rules.total(rows) * 10**9)), ([], gross - granted), 'FOCUS: what is left to pay')
    same({(r['ChargeClass'], r['ServiceName']) for r in rows if r['ChargeCategory'] == 'Credit'}, {('', 'Grants')}, 'a credit of its own')
    same(sum(nano(r['x_Tax']) for r in rows if r['x_Tax']), tax, 'tax')
    # It was opened once: what is wrong now is found.
    hub.stop()
    change("DELETE FROM bb_bill WHERE rowid = (SELECT min(rowid) FROM bb_bill WHERE cost > 0)")
    hub.start()
    hub.wait_ready()
    need('lines come to' in run(hub, FAILED, 'ledger', 'check').stderr, 'a line that is gone')


def main():
    tap = Tap()
    with Bench() as hub:
        hub.run('model', 'price', 'stories', '--price-prompt', '0.01', '--price-completion', '2')
        hub.wait_ready()
        hub.api('POST', '/api/v1/tenants', {'name': 'user', 'budget': '1'})
        key = hub.add_key('k', tenant='user')
        keys = {'key': key['key'], 'public': key['public_id'],
                'admin': hub.add_key('a', tenant='user', scopes=['admin'])['key']}
        used = spend(hub, keys['key'])
        spend(hub, '', 1)
        pool = hub.api('GET', '/api/v1/pools')['data'][0]['id']
        run(hub, OK, 'pool', 'price', pool, '3.6')
        done = hub.run('run', '--data', str(hub.data), '--', 'sleep', '1', data=False)
        same(done.returncode, OK, done.stderr)
        tap.case('money is paid in once', topup, hub)
        tap.case('balances are sums of transfers', ledger_agrees, hub)
        tap.case('a changed figure is found', damage_is_found, hub)
        tap.case('usage and costs as the OpenAI API has them', openai_shapes, hub, used, keys)
        tap.case('tariffs', tariffs, hub)
        to_last_month(hub)
        tap.case('invoices', invoices, hub, used)
        tap.case('invoices are their own', others_have_none, hub, keys)
        tap.case('credit notes', credit_notes, hub)
        tap.case('FOCUS', focus, hub, keys)
        tap.case('receipts of payments and bills', receipts, hub, keys)
        shared, granted = [], []
        tap.case('a charge is divided', lambda: shared.append(parts(hub)))
        tap.case('grants pay first', lambda: granted.append(grants(hub, shared[0])))
        tap.case('other networks', peers, hub)
        tap.case('prices of one tenant, and what it has free', tenants_prices, hub, keys['key'])
        tap.case('odd entries of tariffs', odd_entries, hub, hub.api('GET', '/api/v1/pools')['data'][0]['chip'])
        tap.case('what a month costs at least', minimum, hub)
        tap.case('net, tax, grants on an invoice; older data', lambda: taxed_and_older(hub, granted[0]))
    tap.done()


if __name__ == '__main__':
    main()
