#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Budgets under 64 concurrent clients, and what an answer that was cut off costs.

A request's true cost comes from the usage in its own answer and the price list, counted here and not by the hub.
"""
import os
import signal
import sqlite3
import threading
import time

from workbench import FULL, STORY, Bench, Engine, Tap, alive, nano, need, replied, same, talk, wait_for

CLIENTS = 64
REQUESTS = 1000
TOKENS = 8
PRICE = {'prompt': 10, 'completion': 2000}  # nano-units a token


def cost(usage):
    return usage['prompt_tokens'] * PRICE['prompt'] + usage['completion_tokens'] * PRICE['completion']


def set_price(hub, model='stories'):
    done = hub.run('model', 'price', model, '--price-prompt', '0.01', '--price-completion', '2')
    same(done.returncode, 0, done.stderr)


class Load:
    """Clients that spend until the budget is spent."""

    def __init__(self, hub, key, streams, model='stories'):
        self.hub, self.key, self.streams, self.model = hub, key, streams, model
        self.lock = threading.Lock()
        self.cost, self.answers, self.held, self.wrong = 0, 0, 0, []

    def once(self, i):
        fields = {'model': self.model, 'max_tokens': TOKENS, 'temperature': 0}
        if self.streams and i % 2:
            with self.hub.stream(self.key, stream_options={'include_usage': True}, **fields) as s:
                if s.status == 200:
                    s.read()
                    return 200 if s.done and not s.error else s.error or 'cut', s.usage
                return s.status, None
        reply = self.hub.chat(self.key, **fields)
        return reply.status, reply.json().get('usage')

    def spend(self, i):
        while True:
            try:
                status, usage = self.once(i)
            except Exception as e:  # pylint: disable=broad-except
                status, usage = repr(e), None
            with self.lock:
                if status == 200:
                    self.cost += cost(usage)
                    self.answers += 1
                elif status == 429:
                    self.held += 1
                elif status != 402:
                    self.wrong.append(status)
            if status not in (200, 429):
                return

    def run(self, sample):
        threads = [threading.Thread(target=self.spend, args=(i,)) for i in range(CLIENTS)]
        for t in threads:
            t.start()
        samples = 0
        while any(t.is_alive() for t in threads):
            sample()
            samples += 1
        for t in threads:
            t.join()
        return samples


def books_agree(hub, tenant):
    """Records, the balance and each grouping of usage are one sum."""
    records = hub.records(tenant)
    spent = hub.tenant(tenant)['spent']
    same(sum(nano(r['cost']) for r in records), spent, 'sum of the records')
    for by in ('tenant', 'key', 'model', 'hour'):
        rows = hub.api('GET', f'/api/v1/usage?by={by}&tenant={tenant}')['data']
        same(sum(nano(r['cost']) for r in rows), spent, f'usage by {by}')
        for name in ('prompt_tokens', 'completion_tokens', 'cached_tokens'):
            same(sum(r[name] for r in rows), sum(r[name] for r in records), f'{name} by {by}')
        same(sum(r['requests'] for r in rows), sum('final' in r['flags'] for r in records), f'requests by {by}')
    return records


def spend_it_all(hub, name, streams, key_budget=False):
    one = cost(hub.chat(max_tokens=TOKENS, temperature=0).json()['usage'])
    budget = one * REQUESTS
    text = f'{budget / 1e9:.9f}'
    hub.api('POST', '/api/v1/tenants', {'name': name, 'budget': '1000' if key_budget else text})
    key = hub.add_key(name, tenant=name, **({'budget': text} if key_budget else {}))
    load = Load(hub, key['key'], streams)

    def sample():
        if key_budget:
            now = next(k for k in hub.api('GET', f'/api/v1/keys?tenant={name}')['data'] if k['id'] == key['id'])
            now = {k: nano(now[k]) for k in ('spent', 'held')}
        else:
            now = hub.tenant(name)
        if now['spent'] + now['held'] > budget:
            load.wrong.append(f'{now} of {budget}')
    start = time.monotonic()
    samples = load.run(sample)
    seconds = time.monotonic() - start
    same(load.wrong, [], 'failures other than 402 and 429, and moments with too much spent')
    spent = hub.settle(name)['spent']
    same(spent, load.cost, 'spent is what the answers cost')
    need(spent <= budget, spent, budget)
    need(spent * 100 >= budget * 99, f'only {spent / budget:.2%} of the budget was spent')
    replied(hub.chat(key['key'], max_tokens=TOKENS), 402, 'afterwards')
    records = books_agree(hub, name)
    same(sum('final' in r['flags'] for r in records), load.answers, 'final records')
    return (f'{load.answers} answers, {spent / budget:.2%} spent, {load.held} times 429, {samples} samples, '
            f'{seconds:.1f} s')


def key_within_tenant(hub):
    """Two keys, each within its own budget, together within the tenant's."""
    one = cost(hub.chat(max_tokens=TOKENS, temperature=0).json()['usage'])
    hub.api('POST', '/api/v1/tenants', {'name': 'house', 'budget': f'{one * 300 / 1e9:.9f}'})
    keys = [hub.add_key(f'k{i}', tenant='house', budget=f'{one * 200 / 1e9:.9f}') for i in range(2)]
    loads = [Load(hub, k['key'], False) for k in keys]
    for load in loads:
        threads = [threading.Thread(target=load.spend, args=(i,)) for i in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        same(load.wrong, [], 'failures')
    spent = hub.settle('house')['spent']
    same(sum(load.cost for load in loads), spent, 'spent')
    need(loads[0].cost <= one * 200 and loads[0].cost >= one * 196, loads[0].cost / one)
    need(spent <= one * 300 and spent >= one * 296, spent / one)
    books_agree(hub, 'house')


def free_model(hub):
    """A model without a price costs nothing and needs no budget."""
    with Engine(talk()) as engine:
        hub.add_url_model('gift', engine.url)
        hub.api('POST', '/api/v1/tenants', {'name': 'broke'})
        key = hub.add_key('broke', tenant='broke')['key']
        reply = hub.chat(key, model='gift', max_tokens=5)
        same(reply.status, 200, reply.body)
        bill = hub.billed(reply.fields['x-request-id'])
        same((bill['cost'], bill['completion_tokens']), (0, 5), 'bill')
        hub.api('DELETE', '/api/v1/deployments/gift')


def budget_is_lowered(hub):
    """Never below what is spent or held; exactly that is allowed, and then nothing more."""
    hub.api('POST', '/api/v1/tenants', {'name': 'less', 'budget': '1'})
    key = hub.add_key('less', tenant='less')['key']
    replied(hub.chat(key, max_tokens=TOKENS), 200, 'before')
    spent = hub.settle('less')['spent']
    for wrong in (0, spent - 1):
        reply = hub.request('PUT', '/api/v1/tenants/less/budget', {'budget': f'{wrong / 1e9:.9f}'}, local=True)
        same(reply.status, 409, reply.body)
    hub.api('PUT', '/api/v1/tenants/less/budget', {'budget': f'{spent / 1e9:.9f}'})
    t = hub.tenant('less')
    same((t['budget'], t['available']), (spent, 0), 'budget')
    replied(hub.chat(key, max_tokens=TOKENS), 402, 'afterwards')


def price_changes(hub):
    """A request is billed at the price it was admitted at, the next one at the new price."""
    with Engine(talk(0.01)) as engine:
        hub.add_url_model('dear', engine.url, price_prompt='1', price_completion='1')
        with hub.stream(model='dear', max_tokens=60) as s:
            s.read(10)
            hub.api('PUT', '/api/v1/models/dear/price', {'price_prompt': '3', 'price_completion': '5'})
            need(s.read().done, 'whole')
            same(hub.billed(s.id)['cost'], 5 * 1000 + 60 * 1000, 'cost of the request that ran')
        reply = hub.chat(model='dear', max_tokens=6)
        same(hub.billed(reply.fields['x-request-id'])['cost'], 5 * 3000 + 6 * 5000, 'cost of the next')
        hub.api('DELETE', '/api/v1/deployments/dear')


def aborted_stream(hub, keep, fast):
    """A client that goes away after some chunks: billed is what was written to its socket.

    The engine is stopped (SIGSTOP) while the client reads all there is: then what was written is what was read.
    """
    pid = hub.engines()[0]
    before = hub.engine_metric('tokens_predicted_total')
    with hub.stream(max_tokens=400, temperature=0.5, seed=keep, logprobs=True, top_logprobs=20,
                    stream_options={'include_usage': True}) as s:
        s.read(keep)
        if not fast:
            os.kill(pid, signal.SIGSTOP)
            s.sock.settimeout(0.4)
            try:
                s.read()
            except TimeoutError:
                pass
        got, over = s.chunks, s.done
    if not fast:
        time.sleep(0.05)
        os.kill(pid, signal.SIGCONT)
    bill = hub.billed(s.id)
    decoded = wait_for(lambda: (n := hub.engine_metric('tokens_predicted_total') - before) >= got and n,
                       'the engine to count its tokens', 15)
    same(sum('final' in r['flags'] for r in hub.records_of(s.id)), 1, 'final records')
    billed = bill['completion_tokens']
    if over:
        # An end-of-text token is decoded, counted and not shown.
        same(billed, s.usage['completion_tokens'], 'billed for a whole answer')
        need(got <= billed <= got + 1, f'read {got}, billed {billed}')
    elif fast:
        need('aborted' in bill['flags'] or bill['status'] == 200, bill)
        need(got <= billed <= decoded <= 400, f'read {got}, billed {billed}, decoded {decoded}')
    else:
        need('aborted' in bill['flags'] and bill['status'] == 499, bill)
        same(billed, got, 'billed is what was written')
        need(0 <= decoded - billed <= 400 - billed, f'billed {billed}, decoded {decoded}')
    return decoded - billed


def aborted_streams(hub):
    lost = [aborted_stream(hub, keep, False) for keep in ((1, 2, 3, 7, 20, 60) if not FULL else range(1, 120))]
    fast = [aborted_stream(hub, keep, True) for keep in ((1, 5, 40) if not FULL else range(1, 120))]
    return f'decoded and not billed: {lost}; without stopping the engine: {fast}'


def slow_reader(hub):
    """A client that does not read: what its socket has taken is billed, what waits in the hub is not."""
    n, before = 12000, hub.rss_kb()
    with Engine(talk(0, 'w' * 1000)) as engine:
        hub.add_url_model('flood', engine.url, context=100000, price_prompt='1', price_completion='1')
        with hub.stream(model='flood', max_tokens=n, rcvbuf=4096) as s:
            s.read(3)
            time.sleep(1.5)
            memory = hub.rss_kb() - before
        bill = hub.billed(s.id)
        hub.api('DELETE', '/api/v1/deployments/flood')
        need('aborted' in bill['flags'] and bill['status'] == 499, bill)
        need(3 <= bill['completion_tokens'] < n, bill)
        # About 1.2 KB a chunk: never more than the largest send buffer and what the hub may keep.
        need(memory < 200_000, f'{memory} KB more resident')  # sanitizers keep what was freed for a while
        return f"billed {bill['completion_tokens']} of {n}, {memory} KB more resident"


def upstream_is_cancelled(hub):
    """Within half a second of the client's end the engine is let go."""
    ended = []

    def script(request, path, body):
        try:
            talk(0.02)(request, path, body)
        except OSError:
            ended.append(time.monotonic())
            raise
    with Engine(script) as engine:
        hub.add_url_model('long', engine.url, price_prompt='1', price_completion='1')
        with hub.stream(model='long', max_tokens=400) as s:
            s.read(5)
        closed = time.monotonic()
        wait_for(lambda: ended, 'the engine sees the end', 3)
        bill = hub.billed(s.id)
        need(ended[0] - closed < 3, f'{ended[0] - closed:.2f} s')
        need(5 <= bill['completion_tokens'] <= 100, bill)
        # Before the first byte of an answer: nothing was produced, nothing is billed.
        with Engine(lambda request, path, body: time.sleep(3)) as mute:
            hub.add_url_model('mute', mute.url, price_prompt='1', price_completion='1')
            spent = hub.tenant()['spent']
            conn = hub.socket()
            data = b'{"model":"mute","messages":[{"role":"user","content":"x"}]}'
            conn.sendall(f'POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {hub.key}\r\n'
                         f'Content-Length: {len(data)}\r\n\r\n'.encode() + data)
            wait_for(lambda: mute.seen, 'the engine is asked', 5)
            conn.close()
            time.sleep(0.3)
            same(hub.tenant()['spent'], spent, 'spent')
        for name in ('long', 'mute'):
            hub.api('DELETE', f'/api/v1/deployments/{name}')
    hub.settle()


def long_stream_is_recorded(hub):
    """A stream leaves records at its start and every five seconds; the sum is the bill."""
    with Engine(talk(0.1)) as engine:
        hub.add_url_model('drip', engine.url, price_prompt='1', price_completion='1')
        with hub.stream(model='drip', max_tokens=70) as s:
            s.read(60)
            during = hub.records_of(s.id)
            need('start' in during[0]['flags'], during)
            need(s.read().done, 'whole')
            between = [r for r in hub.records_of(s.id) if not {'start', 'final'} & set(r['flags'])]
            need(between and between[0]['completion_tokens'] >= 25, f'after 5 s: {between}')
            bill = hub.billed(s.id)
            same((bill['completion_tokens'], bill['prompt_tokens'], bill['cost']), (70, 5, 75000), 'bill')
        hub.api('DELETE', '/api/v1/deployments/drip')


def drain_deadline():
    """Streams that outlive the drain end with an error event, and are metered."""
    with Engine(talk(0.05)) as engine, Bench(['--drain', '1']) as hub:
        hub.add_url_model('long', engine.url, price_prompt='1', price_completion='1')
        streams = [hub.stream(model='long', max_tokens=400) for _ in range(3)]
        for s in streams:
            s.read(3)
        start = time.monotonic()
        os.kill(hub.pid, signal.SIGTERM)
        for s in streams:
            s.read()
            need(not s.broken and not s.done, 'a proper end without [DONE]', s.broken, s.done)
            same((s.error or {}).get('code'), 'shutting_down', 'error event')
        seconds = time.monotonic() - start
        hub.process.wait(60)
        need(0.8 < seconds < 15, f'ended after {seconds:.1f} s')
        need(not alive(hub.pid), 'gone')
        hub.reader.join(2)
        hub.start()
        for s in streams:
            bill = hub.billed(s.id)
            need('cut' in bill['flags'] and bill['status'] == 503, bill)
            same(bill['completion_tokens'], s.chunks, 'billed')
            s.close()
        t = hub.tenant()
        same((t['held'], t['spent']), (0, sum(hub.billed(s.id)['cost'] for s in streams)), 'held and spent')


def hold_of_a_dead_client(hub):
    """Nothing stays held once all is over."""
    for name in ('default', 'whole', 'streams'):
        same(hub.settle(name)['held'], 0, f'held of {name}')
    hub.run('down')
    with sqlite3.connect(f'file:{hub.data}/busbar.db?mode=ro', uri=True) as db:
        need(db.execute('pragma integrity_check').fetchone()[0] == 'ok', 'integrity')


def main():
    tap = Tap()
    with Bench() as hub:
        set_price(hub)
        replied(hub.chat(messages=STORY, max_tokens=1), 200, 'ready')
        tap.case(f'{CLIENTS} clients spend {REQUESTS} requests', spend_it_all, hub, 'whole', False)
        tap.case(f'{CLIENTS} clients, half of them streaming', spend_it_all, hub, 'streams', True)
        tap.case("a key's own budget", spend_it_all, hub, 'keyed', False, True)
        for i in range(20 if FULL else 0):
            tap.case(f'round {i}', spend_it_all, hub, f'round{i}', bool(i % 2), i % 3 == 0)
        for case in (key_within_tenant, free_model, budget_is_lowered, price_changes, aborted_streams, slow_reader,
                     upstream_is_cancelled,
                     long_stream_is_recorded):
            tap.case(case.__name__.replace('_', ' '), case, hub)
        tap.case('streams at the drain deadline', drain_deadline)
        tap.case('nothing stays held', hold_of_a_dead_client, hub)
    tap.done()


if __name__ == '__main__':
    main()
