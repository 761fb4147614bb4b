#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Answers that are cut off, on every surface and at two doors, 64 at a time, beside jobs of the same tenant.

What a client got is counted from the bytes that it read, and is what it is billed for, to the token: never nothing of what came, never
what did not. The engine is let go of within half a second. The same where the engine is killed in the middle of streams; where a door
or the hub is, no more than what came, and no less than what had come when the last record was due.
"""
import asyncio
import datetime
import os
import sqlite3
import subprocess
import sys
import threading
import time

from cutlib import SURFACES, Client, Engine, Plan, crowd, make_plans
from second_door import Door
from site_agent import free_port
from workbench import FULL, OK, ROOT, Bench, Tap, nano, need, replied, same, wait_for
from budgets import surfaces

CLIENTS = 64
REQUESTS = 2000 if FULL else 128
SEED = int(os.environ.get('BUSBAR_SEED', '7'))
PROMPT, COMPLETION = 1000, 2000  # nano-units a token
RECORD_S = 5.0  # a record of a stream is so old at most
LET_GO_S = 10  # that it hangs; how long it took is reported
BUDGET = 10**12
DAY = 86400


def add_models(hub, url):
    prices = {'slots': 128, 'context': 4096, 'price_prompt': str(PROMPT / 1000), 'price_completion': str(COMPLETION / 1000)}
    for name, kind, engine in (('told', 'chat', 'url'), ('counted', 'chat', 'vllm-url'), ('emb', 'embedding', 'url'), ('rank', 'rerank', 'url')):
        hub.add_url_model(name, url, kind=kind, engine=engine, **prices)
    pool = hub.api('GET', '/api/v1/pools')['data'][0]['id']
    hub.api('PUT', f'/api/v1/pools/{pool}/price', {'price': '0.072'})


def add_tenant(hub, door, name, budget=BUDGET):
    hub.api('POST', '/api/v1/tenants', {'name': name, 'budget': f'{budget / 1e9:.9f}'})
    key = hub.add_key(name, tenant=name, scopes=['inference', 'jobs'])
    wait_for(lambda: door.request('GET', '/v1/models', key=key['key']).status == 200, 'the gateway knows the key', 10)
    return key


# ---- what each should be billed ----

def due(client, engine):
    """(prompt, least completion, most completion) that its records have to come to, from what it got."""
    plan = client.plan
    if not plan.stream:
        whole = (plan.prompt_tokens(), plan.words if plan.kind == 'chat' else 0)
        return (whole[0], whole[1], whole[1]) if client.complete else (0, 0, 0)
    if client.complete and not client.error:
        return plan.prompt_tokens(), plan.words, plan.words
    # Of an engine that tells its counts at the end only, the prompt counts as one token until then.
    prompt = 0 if client.got == 0 else plan.prompt_tokens() if plan.model == 'counted' or client.usage else 1
    most = engine.said.get(plan.number, 0) if plan.mode == 'close' else client.got
    return prompt, client.got, most


def wrong_bill(client, records, engine):
    """What does not agree, or None."""
    finals = sum('final' in r['flags'] for r in records)
    prompt, completion = (sum(r[k] for r in records) for k in ('prompt_tokens', 'completion_tokens'))
    want, least, most = due(client, engine)
    if client.complete and finals != 1:
        return f'{finals} final records of a whole answer'
    if finals > 1:
        return f'{finals} final records'
    if not least <= completion <= most or (prompt != want and least == most):
        return f'got {client.got}, billed {prompt} + {completion}, due {want} + {least} to {most}'
    if sum(nano(r['cost']) for r in records) != prompt * PROMPT + completion * COMPLETION:
        return 'the cost is not that of its tokens'
    return None


def judge(hub, name, done, engine):
    """Each against its records. Those that went before a head came are not known by an id: nothing is billed to them, or a whole answer
    whose record was on its way."""
    records = {}
    for r in hub.records(name):
        records.setdefault(r['request'], []).append(r)
    wrong = []
    for client in done:
        if client.id is None:
            continue
        found = wrong_bill(client, records.pop(client.id, []), engine)
        if found:
            wrong.append(f'{client.plan}: {found}')
    unnamed = [rs for rs in records.values() if any(r['completion_tokens'] or r['prompt_tokens'] for r in rs)]
    late = [c.plan for c in done if c.id is None and c.plan.mode == 'late']
    whole = sorted((p.prompt_tokens(), p.words if p.kind == 'chat' else 0) for p in late)
    for rs in unnamed:
        told = (sum(r['prompt_tokens'] for r in rs), sum(r['completion_tokens'] for r in rs))
        if told in whole:
            whole.remove(told)
        else:
            wrong.append(f'billed to nobody: {rs}')
    same(wrong[:5], [], f'{len(wrong)} of {len(done)} bills')
    return f'{len(unnamed)} of {len(late)} that left unanswered had a record on its way'


def as_planned(done):
    """Those that were served are, and each that broke off was told so."""
    bad = [(c.plan, c.status, c.got, c.error) for c in done if
           c.plan.mode == 'whole' and not (c.complete and not c.error and (not c.plan.stream or c.got == c.plan.words))
           or c.plan.mode == 'breaks' and not c.error
           or c.plan.mode == 'stall' and c.plan.stream and c.got != c.plan.cut]
    same(bad[:5], [], f'{len(bad)} requests')


def let_go(done, engine, late_s):
    """Seconds from a client's end to the engine's connection's, in order."""
    took = sorted(engine.ended[c.plan.number] - c.left for c in done
                  if c.left is not None and not c.error and c.plan.mode in ('stall', 'half', 'close', 'slow', 'late') and c.plan.number in engine.ended)
    waits = [c.plan for c in done if c.plan.mode == 'stall' and c.plan.number in engine.asked and c.plan.number not in engine.ended]
    same(waits, [], 'of these the engine was never let go')
    need(len(took) > len(done) // 10, len(took))
    need(took[-1] <= LET_GO_S + late_s, f'after {took[-1]:.3f} s at worst; this program itself was late by {late_s:.3f} s')
    return f'let go after {at(took, 50)}, p99 {at(took, 99)}, at worst {took[-1] * 1000:.0f} ms, of {len(took)}; the test itself was late by {late_s * 1000:.0f} ms'


def at(took, percent):
    return f'{took[min(len(took) - 1, len(took) * percent // 100)] * 1000:.0f} ms'


# ---- jobs beside, and a watch on the budget ----

class Beside:
    """Jobs of the tenant one after the other, and a look at what is posted and held, for as long as it lasts."""

    def __init__(self, hub, name, key, budget):
        self.hub, self.name, self.key, self.budget = hub, name, key, budget
        self.jobs, self.over, self.samples, self.stop = [], [], 0, threading.Event()
        self.threads = [threading.Thread(target=f) for f in (self.work, self.watch)]

    def work(self):
        while not self.stop.wait(0.7):
            reply = self.hub.request('POST', '/api/v1/jobs', {'argv': ['sleep', '1']}, key=self.key)
            if reply.status == 201:
                self.jobs.append(reply.json()['id'])

    def watch(self):
        while not self.stop.wait(0.1):
            now = self.hub.tenant(self.name)
            self.samples += 1
            if now['spent'] + now['held'] > self.budget:
                self.over.append(now)

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for t in self.threads:
            t.join()

    def paid(self):
        def found():
            all_of = [self.hub.api('GET', f'/api/v1/jobs/{i}') for i in self.jobs]
            return all(j['state'] not in ('queued', 'running') for j in all_of) and all_of
        return sum(nano(j['cost']) for j in wait_for(found, 'the jobs', 120, 0.3)) if self.jobs else 0


# ---- cases ----

def surfaces_are_all(_hub):
    """None is missing here that answers requests."""
    same({(p) for _, p in surfaces() if p.startswith('/v1/')}, {p for p, _, _ in SURFACES}, 'surfaces of the gateway')


def cut_at_random(hub, door, keys):
    """The crowd of this file."""
    key = keys['crowd'] = add_tenant(hub, door, 'crowd')
    plans = make_plans(REQUESTS, SEED)

    async def play():
        engine = keys['engine']
        return await crowd(plans, (hub.port, door.port), key['key'], CLIENTS), engine
    with Beside(hub, 'crowd', key['key'], BUDGET) as beside:
        (done, late_s), engine = keys['loop'](play())
    same(beside.over, [], 'moments with too much spent and held')
    as_planned(done)
    paid = keys['paid'] = beside.paid()
    hub.settle('crowd')
    note = judge(hub, 'crowd', done, engine)
    spent = hub.tenant('crowd')['spent']
    same(sum(nano(r['cost']) for r in hub.records('crowd')) + paid, spent, 'spent is what records and jobs come to')
    need(paid > 0, 'jobs cost something')
    cut = [c for c in done if not c.complete or c.error]
    keys['done'] = done
    exact = sum(c.plan.mode != 'close' and c.id is not None for c in cut)
    let_go(done, engine, late_s)
    return (f'{len(done)} requests, seed {SEED}, {len(cut)} cut ({exact} whose bill is known to the token), 0 differences; {len(beside.jobs)} jobs; '
            f'{beside.samples} looks at the budget; {note}')


def engines_are_let_go(hub, door, keys):
    """How soon, of streams that their clients leave; beside nothing that keeps this program from looking."""
    plans = [p for p in make_plans(REQUESTS * 4, SEED + 2) if p.stream and p.mode in ('stall', 'half', 'close')][:REQUESTS // 2]
    for plan in plans:
        plan.number += 5 * 10**6

    async def play():
        return await crowd(plans, (hub.port, door.port), keys['crowd']['key'], CLIENTS)
    done, late_s = keys['loop'](play())
    hub.settle('crowd')
    judge(hub, 'crowd', [*keys['done'], *done], keys['engine'])
    return let_go(done, keys['engine'], late_s)


def until_it_is_spent(hub, door, keys):
    """Cut and whole, until the budget refuses: never more than it, and what was spent is what they got and the jobs."""
    plans = make_plans(REQUESTS, SEED + 1)
    for plan in plans:
        plan.number += 10**6
    budget = sum(p.words * COMPLETION for p in plans) // 4
    key = add_tenant(hub, door, 'tight', budget)

    async def play():
        return await crowd(plans, (hub.port, door.port), key['key'], CLIENTS)
    with Beside(hub, 'tight', key['key'], budget) as beside:
        done, _ = keys['loop'](play())
    same(beside.over, [], 'moments with too much spent and held')
    refused = [c for c in done if c.status in (402, 429)]
    need(refused and len(refused) < len(done), f'{len(refused)} of {len(done)} refused')
    as_planned([c for c in done if c.status not in (402, 429)])
    paid = beside.paid()
    hub.settle('tight')
    judge(hub, 'tight', [c for c in done if c.status not in (402, 429)], keys['engine'])
    spent = hub.tenant('tight')['spent']
    same(sum(nano(r['cost']) for r in hub.records('tight')) + paid, spent, 'spent')
    need(budget // 2 < spent <= budget, spent, budget)
    return f'{spent / budget:.2%} of the budget spent, {len(refused)} of {len(done)} refused, {beside.samples} looks'


def streams_at(plans_of, hub, door, key):
    """Long streams at both doors, as tasks, and their clients."""
    clients = [Client(plan, (hub.port, door.port)[plan.door], key) for plan in plans_of]
    return clients, [asyncio.create_task(c.run()) for c in clients]


def long_plans(n, first, doors=(0, 1), words=2000):
    return [Plan(first + i, ('/v1/chat/completions', '/v1/completions')[i // 2 % 2], 'chat', True, 'whole', ('told', 'counted')[i // 4 % 2], words, 0, 0.0,
                 doors[i % len(doors)]) for i in range(n)]


async def all_got(clients, words):
    end = time.monotonic() + 60
    while any(c.got < words for c in clients):
        need(time.monotonic() < end, 'words come', [c.got for c in clients])
        await asyncio.sleep(0.02)


async def ended(tasks, limit_s=120):
    await asyncio.wait_for(asyncio.gather(*tasks), limit_s)


def engine_dies(hub, door, keys):
    """Killed in the middle of streams at both doors: each is told, and billed for what came."""
    process = subprocess.Popen([sys.executable, str(ROOT / 'tests' / 'e2e' / 'cutlib.py')], stdout=subprocess.PIPE, text=True)
    url = process.stdout.readline().strip()
    prices = {'slots': 64, 'context': 4096, 'price_prompt': str(PROMPT / 1000), 'price_completion': str(COMPLETION / 1000)}
    for name, engine in (('mortal', 'url'), ('mortal2', 'vllm-url')):
        hub.add_url_model(name, url, engine=engine, **prices)
    key = add_tenant(hub, door, 'survivor')
    wait_for(lambda: b'mortal2' in door.request('GET', '/v1/models', key=key['key']).body, 'the gateway knows the models', 10)
    plans = long_plans(CLIENTS, 2 * 10**6)
    for plan in plans:
        plan.model = {'told': 'mortal', 'counted': 'mortal2'}[plan.model]

    async def play():
        clients, tasks = streams_at(plans, hub, door, key['key'])
        await all_got(clients, 5)
        process.kill()
        await ended(tasks)
        return clients
    clients = keys['loop'](play())
    process.wait()
    process.stdout.close()
    hub.settle('survivor')
    for client in clients:
        need(client.error, client.plan, 'was told')
        bill = hub.billed(client.id)
        prompt = client.plan.prompt_tokens() if client.plan.model == 'mortal2' else 1
        same((bill['completion_tokens'], bill['prompt_tokens'], 'cut' in bill['flags']), (client.got, prompt, True), client.plan)
    for name in ('mortal', 'mortal2'):
        hub.api('DELETE', f'/api/v1/deployments/{name}')
    return f'{len(clients)} streams, {sum(c.got for c in clients)} tokens, 0 differences'


def in_bounds(hub, clients, killed, name):
    """No more than what came, and no less than what had come when the last record was due."""
    lost = []
    for client in clients:
        billed = sum(r['completion_tokens'] for r in hub.records_of(client.id))
        least = sum(t < killed - RECORD_S - 1.0 for t in client.times)
        need(least <= billed <= client.got, client.plan, f'{name}: billed {billed}, of {client.got}, {least} long before')
        lost.append(client.got - billed)
    return f'{len(clients)} at {name}: {sum(lost)} of {sum(c.got for c in clients)} tokens not billed'


def killed_in_the_middle(hub, door, keys, who):
    """Who is killed forgets 5 s of its own streams at most; what went through the other door is billed to the token."""
    key = add_tenant(hub, door, f'kill-{who}')
    plans = long_plans(32, (3 if who == 'hub' else 4) * 10**6)
    at_kill = {}

    async def play():
        clients, tasks = streams_at(plans, hub, door, key['key'])
        await all_got(clients, 100)
        await asyncio.sleep(RECORD_S)
        at_kill['time'] = time.monotonic()
        if who == 'hub':  # it is back while the other door still holds the last bytes of its answers
            hub.kill()
            await asyncio.get_running_loop().run_in_executor(None, hub.start)
        else:
            door.kill()
            for client in clients:  # the others are cut by their clients
                if client.plan.door == 0:
                    client.go()
        await ended(tasks)
        return clients
    clients = keys['loop'](play())
    if who == 'gateway':
        door.run()
    door.wait_ready()
    own = [c for c in clients if (c.plan.door == 0) == (who == 'hub')]
    others = [c for c in clients if c not in own]
    for client in others:
        if who == 'hub':
            need(client.error, 'was told')
            same(hub.billed(client.id, 30)['completion_tokens'], client.got, client.plan)
        else:
            billed = hub.billed(client.id)['completion_tokens']
            need(client.got <= billed <= keys['engine'].said[client.plan.number], client.plan, billed, client.got)
    name = f'kill-{who}'
    told = in_bounds(hub, own, at_kill['time'], who)
    same(sum(nano(r['cost']) for r in hub.records(name)), hub.tenant(name)['spent'], 'spent')
    return f'{told}; {len(others)} at the other door, 0 differences'


def usage_is_one(hub, _door, keys):
    """The same sums on all surfaces that tell usage, costs, lines, invoices and receipts; and the ledger's check."""
    done = hub.run('ledger', 'check')
    same(done.returncode, OK, done.stdout[-500:] + done.stderr[-500:])
    admin = hub.add_key('a', tenant='crowd', scopes=['admin'])['key']
    records, spent = hub.records('crowd'), hub.tenant('crowd')['spent']
    want = {k: sum(r[k] for r in records) for k in ('prompt_tokens', 'cached_tokens', 'completion_tokens', 'reasoning_tokens')}
    finals = sum('final' in r['flags'] for r in records)
    for by in ('tenant', 'key', 'model', 'hour'):
        rows = hub.api('GET', f'/api/v1/usage?by={by}&tenant=crowd')['data']
        same({k: sum(r[k] for r in rows) for k in want}, want, f'tokens by {by}')
        same(sum(r['requests'] for r in rows), finals, f'requests by {by}')
        same(sum(nano(r['cost']) for r in rows), spent - keys['paid'], f'cost by {by}')
    day = int(time.time()) // DAY * DAY - DAY

    def results(path):
        reply = replied(hub.request('GET', f'/v1/organization/{path}', key=admin), 200, path)
        return [r for b in reply.json()['data'] for r in b['results']]
    both = [results(f'usage/{of}?start_time={day}') for of in ('completions', 'embeddings')]
    need(all(both), 'each has some')
    found = both[0] + both[1]
    same((sum(r['input_tokens'] for r in found), sum(r.get('output_tokens', 0) for r in found), sum(r['num_model_requests'] for r in found)),
         (want['prompt_tokens'], want['completion_tokens'], finals), 'usage/completions and usage/embeddings')
    same(sum(round(r['amount']['value'] * 1e9) for r in results(f'costs?start_time={day}&group_by=line_item')), spent, 'costs')
    used = {a['account']: a['balance'] for a in hub.pages('/api/v1/ledger/accounts?ledger=usage')}
    same((used['used/crowd/prompt tokens'], used['used/crowd/completion tokens']), (want['prompt_tokens'], want['completion_tokens']), 'accounts of use')
    receipts = [r for r in records if 'final' in r['flags'] and r['completion_tokens'] > 0][::max(1, finals // 20)]
    for record in receipts:
        told = replied(hub.request('GET', f"/v1/receipts/{record['request']}", key=keys['crowd']['key']), 200, 'receipt').json()['records']
        sums = [sum(int(f['value']) for r in told for f in r['facts'] if f['name'] == name) for name in ('prompt_tokens', 'completion_tokens')]
        of = [r for r in records if r['request'] == record['request']]
        same(sums, [sum(r['prompt_tokens'] for r in of), sum(r['completion_tokens'] for r in of)], 'its receipt')
    to_last_month(hub)
    month = (datetime.datetime.now(datetime.timezone.utc).replace(day=1) - datetime.timedelta(days=1)).strftime('%Y-%m')
    whole = hub.api('GET', f"/api/v1/invoices/{hub.api('POST', '/api/v1/invoices', {'tenant': 'crowd', 'month': month})['number']}")
    same((nano(whole['total']), sum(nano(line['cost']) for line in whole['lines'])), (spent, spent), 'invoice')
    same({k: sum(line.get(k, 0) for line in whole['lines']) for k in ('prompt_tokens', 'completion_tokens')},
         {k: want[k] for k in ('prompt_tokens', 'completion_tokens')}, 'tokens of its lines')
    same(hub.run('ledger', 'check').returncode, OK, 'the books after the bill')
    return f'{finals} requests, {len(receipts)} receipts, {spent} nano-units'


def to_last_month(hub):
    """What was used until now was used on the 28th of the month before, so that it can be billed."""
    hub.settle('crowd')
    hub.stop()
    first = (datetime.datetime.now(datetime.timezone.utc).replace(day=1) - datetime.timedelta(days=1)).replace(
        day=1, hour=0, minute=0, second=0, microsecond=0)
    with sqlite3.connect(hub.data / 'busbar.db') as db:
        db.execute('UPDATE bb_bill SET day = ?', (int(first.timestamp()) // DAY + 27,))
        db.execute('UPDATE bb_tenant SET created_ms = ?', (int(first.timestamp()) * 1000 + 5,))
    hub.start()


class Loop:
    """One event loop on a thread of its own; called with a coroutine it waits for its result."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def __call__(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()


def main():
    tap, loop = Tap(), Loop()
    engine = loop(Engine().start())
    keys = {'engine': engine, 'loop': loop}
    with Bench(['--no-model', '--site-listen', f'127.0.0.1:{free_port()}', '--listen', f'127.0.0.1:{free_port()}', '--lease', '60']) as hub:
        add_models(hub, engine.url)
        door = Door(hub, 'near')
        try:
            door.join()
            door.run()
            tap.case('every surface is here', surfaces_are_all, hub)
            tap.case(f'{CLIENTS} clients, half of them cut, at two doors, and jobs', cut_at_random, hub, door, keys)
            tap.case('engines are let go of', engines_are_let_go, hub, door, keys)
            tap.case('the same until the budget is spent', until_it_is_spent, hub, door, keys)
            tap.case('the engine is killed', engine_dies, hub, door, keys)
            tap.case('the gateway is killed', killed_in_the_middle, hub, door, keys, 'gateway')
            tap.case('the hub is killed', killed_in_the_middle, hub, door, keys, 'hub')
            tap.case('usage is one', usage_is_one, hub, door, keys)
        finally:
            door.end()
    tap.done()


if __name__ == '__main__':
    main()
