#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A month of simulated use: its bills, its FOCUS export and its invoices, all of which are one sum, to the nano-unit.

The month before this one is put into a hub's store as events (month_load.c): several tenants, models, chips, sites and corridors, tariffs
with hours, discounts, energy that is passed on, free tokens and a minimum, grants, tax, an owner's shares. A real hub then closes the
bills and gives them out. What was used is also counted by the program that made it. Invoices are printed by a real browser, if there is one.
"""
import csv
import datetime
import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'fault'))

import focus_rules  # noqa: E402
from wall_clock import Clocks  # noqa: E402
from workbench import FULL, OK, ROOT, Bench, Tap, nano, need, same  # noqa: E402

NOW = datetime.datetime.now(datetime.timezone.utc)
FIRST = (NOW.replace(day=1) - datetime.timedelta(days=1)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
MONTH = FIRST.strftime('%Y-%m')
TENANTS, MODELS, SITES = (12, 24, 6) if FULL else (3, 4, 3)
LOAD = os.environ.get('BUSBAR_MONTH_LOAD', str(ROOT / 'build' / 'tests' / 'e2e' / 'month_load'))
BROWSER = shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which('google-chrome')
TOKENS = ('prompt_tokens', 'cached_tokens', 'completion_tokens', 'reasoning_tokens')


def run(hub, *args):
    done = hub.run(*args, timeout=600)
    same(done.returncode, OK, f'{" ".join(args)}: {done.stdout[-300:]}{done.stderr[-300:]}')
    return done.stdout


class Month:
    """A hub that stood in the month before, and what month_load says was used."""

    def __init__(self, folder):
        clocks = Clocks(folder)
        env = clocks.env('hub')
        clocks.set('hub', int(FIRST.timestamp() - NOW.timestamp()) - 3600)
        self.hub = Bench(['--no-model'], env=env, data=pathlib.Path(folder) / 'data')
        self.hub.stop()
        start = time.monotonic()
        done = subprocess.run([LOAD, str(self.hub.data / 'busbar.db'), str(int(FIRST.timestamp() * 1000)), str(TENANTS), str(MODELS), str(SITES)],
                              capture_output=True, text=True, check=False)
        same(done.returncode, 0, done.stderr)
        self.took = time.monotonic() - start
        self.used = {u.pop('tenant'): u for u in map(json.loads, done.stdout.splitlines())}
        self.hub.env = dict(os.environ)
        self.hub.start(wait_s=60)
        self.invoices = {}
        self.seller, self.buyer = None, {'name': 'A Tenant <Trading> Co.', 'address': '2 Load Road\nElsewhere', 'tax_number': ''}


def run_billing(hub, *args):
    return json.loads(run(hub, *args, '--json'))


def who_bills(m):
    """Names, addresses and tax numbers of both sides: set, shown, refused where they are none."""
    hub, seller = m.hub, {'name': 'Busbar Test Network Ltd.', 'address': '1 Grid Street\n12345 Somewhere', 'tax_number': 'XX 123 & 456'}
    def options(of):
        return [w for k, v in of.items() for w in (f'--{k.replace("_", "-")}', v)]
    same(run_billing(hub, 'network', 'billing'), {'name': '', 'address': '', 'tax_number': ''}, 'nothing was said')
    run(hub, 'network', 'billing', *options(seller))
    same(run_billing(hub, 'network', 'billing'), seller, 'who bills')
    name = list(m.used)[0]
    run(hub, 'tenant', 'billing', name, *options(m.buyer))
    same(run_billing(hub, 'tenant', 'billing', name), m.buyer, 'who is billed')
    admin = hub.add_key('a', tenant=name, scopes=['admin'])['key']
    path = f'/api/v1/tenants/{name}/billing'
    same(hub.request('GET', path, key=admin).json(), m.buyer, 'its own')
    for status, body in ((400, {}), (400, {'name': ''}), (400, {'name': 'a\nb'}), (400, {'name': 'a', 'tax_number': 'a\tb'}), (400, {'name': 'a', 'vat': 'b'}),
                         (400, {'name': 'a' * 200}), (400, {'name': 'a', 'address': 7})):
        same(hub.request('PUT', path, body, local=True).status, status, body)
    same(hub.request('PUT', path, {'name': 'a'}, key=admin).status, 403, 'not by itself')
    same(hub.request('PUT', '/api/v1/tenants/nobody/billing', {'name': 'a'}, local=True).status, 404, 'nobody')
    same(run_billing(hub, 'tenant', 'billing', name), m.buyer, 'as it was')
    hub.kill()
    hub.start()
    same(run_billing(hub, 'network', 'billing'), seller, 'after kill -9')
    m.seller = seller


def books(m):
    """The hub that takes the store over finds its books right, and every line's use is what was used."""
    need('the books are right' in run(m.hub, 'ledger', 'check'), 'check')
    n = 0
    for name in m.used:
        closed = json.loads(run(m.hub, 'invoice', 'close', name, MONTH, '--json'))
        whole = m.invoices[name] = m.hub.api('GET', f"/api/v1/invoices/{closed['number']}", timeout=120)
        lines, used = whole['lines'], m.used[name]
        n += len(lines)
        for k in (*TOKENS, 'requests', 'chip_ms'):
            same(sum(line.get(k, 0) for line in lines), used[k], f'{name}: {k}')
        same(sum(line.get('bytes', 0) for line in lines), used['bytes'], f'{name}: bytes')
        same(sum(round(line['energy_j'] * 1000) for line in lines), used['energy_mj'], f'{name}: energy')
        same(sum(nano(line['cost']) for line in lines), nano(whole['total']), f'{name}: total')
    kinds = {line['kind'] for whole in m.invoices.values() for line in whole['lines']}
    same(kinds, {'model', 'chips', 'energy', 'data', 'minimum'}, 'kinds of lines')
    text = json.dumps(list(m.invoices.values()))
    for words in ('free', ' own', ' -20.0%', ' x0.800', ' x1.200'):
        need(words in text, words, 'is on some line')
    need(any(nano(w['granted']) > 0 for w in m.invoices.values()) and any(nano(w['tax']) > 0 for w in m.invoices.values()), 'grants and tax')
    need(not FULL or n >= 50000, n)
    return f'{n} lines, {sum(u["requests"] for u in m.used.values())} requests; loaded in {m.took:.1f} s'


def ledger(m):
    """What left the wallets is what the invoices come to, less what grants paid; and as much came to those who were paid."""
    accounts = {a['account']: a for a in m.hub.pages('/api/v1/ledger/accounts')}
    for name, whole in m.invoices.items():
        wallet = accounts[f'wallet/{name}/USD']
        same(nano(wallet['debits']), nano(whole['total']) - nano(whole['granted']), f'{name}: what left the wallet')
        same((nano(wallet['debits_held']), m.hub.tenant(name)['held']), (0, 0), f'{name}: held')
    billed = sum(nano(w['total']) for w in m.invoices.values())
    came = {of: sum(nano(a['credits']) - nano(a['debits']) for n, a in accounts.items() if n.split('/')[0] in of)
            for of in (('revenue', 'fee', 'tax'), ('rounding',), ('tax',))}
    came, rounding, tax = came.values()
    same(billed, came + rounding, 'what was billed is what came, and what rounding took')
    same(tax, sum(nano(w['tax']) for w in m.invoices.values()), 'tax')
    need('the books are right' in run(m.hub, 'ledger', 'check'), 'check')
    return f'{billed} nano-units billed, {came} came to owners, fee and tax, {rounding} to rounding'


def focus(m):
    """Each tenant's export keeps the rules; its rows are the invoice's lines, what grants paid and nothing else."""
    n = 0
    for name, whole in m.invoices.items():
        rows, wrong = focus_rules.check(run(m.hub, 'export', 'focus', '--month', MONTH, '--tenant', name))
        same(wrong[:5], [], f'{name}: {len(wrong)} breaches of rules')
        n += len(rows)
        usage = [r for r in rows if r['ChargeCategory'] in ('Usage', 'Purchase')]
        same(len(usage), len(whole['lines']), f'{name}: rows of use')
        for column in focus_rules.COSTS:
            same(sum(nano(r[column]) for r in rows), nano(whole['total']) - nano(whole['granted']), f'{name}: {column}')
        same(sum(nano(r['BilledCost']) for r in usage), nano(whole['total']), f'{name}: of use')
        same(sum(nano(r['x_Tax']) for r in usage), nano(whole['tax']), f'{name}: tax')
        same({r['InvoiceId'] for r in rows}, {whole['number']}, f'{name}: invoice')
        for column, k in (('x_PromptTokens', 'prompt_tokens'), ('x_CompletionTokens', 'completion_tokens'), ('x_ChipMilliseconds', 'chip_ms')):
            same(sum(int(r[column]) for r in usage), m.used[name][k], f'{name}: {column}')
        rows = list(csv.DictReader(io.StringIO(run(m.hub, 'invoice', 'show', whole['number'], '--form', 'csv'))))
        same((len(rows), sum(nano(r['cost']) for r in rows)), (len(whole['lines']), nano(whole['total'])), f'{name}: CSV')
    return f'{n} rows, every one within the rules'


def notes(m):
    """A credit note for one of them: it is on the invoice and, as a correction of this month, in FOCUS."""
    name = list(m.invoices)[0]
    whole = m.invoices[name]
    run(m.hub, 'invoice', 'credit', whole['number'], '1.005', 'site-1 was slow on the 3rd & 4th', '--id', 'case 1')
    rows, wrong = focus_rules.check(run(m.hub, 'export', 'focus', '--month', NOW.strftime('%Y-%m'), '--tenant', name))
    same((wrong, [(r['ChargeClass'], nano(r['BilledCost']), r['InvoiceId']) for r in rows]),
         ([], [('Correction', -1_005_000_000, whole['number'])]), 'the credit note')
    m.invoices[name] = m.hub.api('GET', f"/api/v1/invoices/{whole['number']}")
    same(nano(m.invoices[name]['due']), nano(whole['due']) - 1_005_000_000, 'due')


def keeps_its_words(m):
    """Who has moved since is billed at the new address from the next invoice on."""
    name, other = list(m.invoices)[:2]
    run(m.hub, 'network', 'billing', '--name', 'Another Name')
    run(m.hub, 'tenant', 'billing', name, '--name', 'Another Tenant')
    run(m.hub, 'tenant', 'billing', other, '--name', 'Said Late')
    now = m.hub.api('GET', f"/api/v1/invoices/{m.invoices[name]['number']}")
    same((now['from'], now['billed_to']), (m.seller, m.buyer), 'as it was when it was closed')
    now = m.hub.api('GET', f"/api/v1/invoices/{m.invoices[other]['number']}")
    same((now['from'], now['billed_to']['name']), (m.seller, 'Said Late'), 'what was said first')


# ---- in a browser ----

# Every cell whose text is wider than itself, everything that leaves the page, and what a finance department reads first.
LOOK = """<script>addEventListener('load', () => {
  const edge = document.body.getBoundingClientRect(), cells = [...document.querySelectorAll('td,th')];
  const out = {
    wide: cells.filter(c => c.scrollWidth > c.clientWidth + 1).map(c => c.textContent),
    outside: [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > edge.right + 1).length,
    heads: [...document.querySelectorAll('table')].filter(t => t.tHead && getComputedStyle(t.tHead).display !== 'table-header-group').length,
    lines: document.querySelectorAll('table').length,
    due: document.querySelector('.due').textContent, text: document.body.innerText.slice(0, 6000)};
  document.body.textContent = 'LOOK' + JSON.stringify(out) + 'KOOL'; });</script>"""


def browse(folder, *args):
    return subprocess.run([BROWSER, '--headless', '--no-sandbox', '--disable-gpu', f'--user-data-dir={folder}/browser', *args],
                          capture_output=True, text=True, check=False, timeout=240)


def looked_at(folder, html):
    """What a page as wide as A4's text has, and how many pages it prints on."""
    page, pdf = pathlib.Path(folder) / 'invoice.html', pathlib.Path(folder) / 'invoice.pdf'
    page.write_text(html.replace('@media print{body{padding:0;max-width:none}}', 'body{padding:0;width:184mm;margin:0}') + LOOK, encoding='utf-8')
    done = browse(folder, '--window-size=1000,1400', '--dump-dom', page.as_uri())
    found = re.search('LOOK(.*)KOOL', done.stdout, re.S)
    need(found, done.stderr[-600:])
    page.write_text(html, encoding='utf-8')
    browse(folder, f'--print-to-pdf={pdf}', '--no-pdf-header-footer', page.as_uri())
    text = found.group(1).replace('&amp;', '&').replace('&lt;', '<').replace('&gt;', '>')
    return json.loads(text), len(re.findall(rb'/Type\s*/Page\b', pdf.read_bytes()))


def coins(text):
    """To cents, half to even."""
    cents, rest = divmod(nano(text), 10**7)
    cents += 2 * rest > 10**7 or (2 * rest == 10**7 and cents % 2)
    return f'{cents // 100:,}.{cents % 100:02d}'


def printed(m, folder):
    """Nothing is wider than its column or the page, heads are repeated, and what is due, net and tax are there as in JSON."""
    if not BROWSER:
        return 'there is no browser'
    said = []
    some = list(m.invoices)[:4]
    for name in some:
        whole = m.invoices[name]
        if len(whole['lines']) > 3000 and name != some[0]:
            continue
        html = run(m.hub, 'invoice', 'show', whole['number'], '--form', 'html')
        found, pages = looked_at(folder, html)
        same((found['wide'][:3], found['outside'], found['heads']), ([], 0, 0), f'{name}: what does not fit')
        need(coins(whole['due']) in found['due'], found['due'], whole['due'])
        text = found['text'].replace(',', '')
        for k in ('net', 'tax', 'gross'):
            need(re.search(rf'\b{re.escape(whole[k])}0*\b', text), k, whole[k])
        need(whole['number'] in text and name in text and MONTH + '-01 to ' in text, text[:300])
        same((m.seller['name'] in text, m.buyer['name'] in text), (True, name == some[0]), 'who bills, and who is billed')
        same(bool(whole['credit_notes']), 'site-1 was slow on the 3rd & 4th' in text, 'credit note')
        need(len(whole['lines']) // 60 < pages < len(whole['lines']) // 20 + 6, f'{pages} pages for {len(whole["lines"])} lines')
        said.append(f'{len(whole["lines"])} lines on {pages} pages')
    return '; '.join(said)


def main():
    tap = Tap()
    with tempfile.TemporaryDirectory(prefix='bb-month-', dir='/tmp') as folder:
        m = Month(folder)
        try:
            tap.case('who bills, and who is billed', who_bills, m)
            tap.case(f'a month of {TENANTS} tenants, {MODELS} models, {SITES} sites', books, m)
            tap.case('invoices and the ledger', ledger, m)
            tap.case('FOCUS', focus, m)
            tap.case('a credit note', notes, m)
            tap.case('an invoice keeps its words', keeps_its_words, m)
            tap.case('invoices in a browser', printed, m, folder)
        finally:
            m.hub.stop()
    tap.done()


if __name__ == '__main__':
    main()
