#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Models at a site that joined: weights fetched and checked, requests through tunnels, billed once; hub, agent and the way between
them may end at any moment.
"""
import http.client
import json
import os
import pathlib
import random
import re
import signal
import statistics
import threading
import time

from second_door import Door
from site_agent import Field, Site
from workbench import NOT_FOUND, OK, STORY, Tap, alive, find_processes, nano, need, replied, same, soon, wait_for

MODEL = pathlib.Path(os.environ['BUSBAR_BIN']).resolve().parent.parent / 'data' / 'models' / 'stories.gguf'
PRICES = ('--price-prompt', '1', '--price-completion', '2')


def add(f, name, path=MODEL):
    same(f.bench.run('model', 'add', name, str(path), *PRICES).returncode, OK, name)


def deploy(f, name, *options):
    done = f.bench.run('deploy', name, *options)
    same(done.returncode, OK, done.stderr)


def ready(f, name, n=1, limit_s=30):
    return f.bench.wait_ready(name, n, limit_s)


def replica(f, name, ordinal=0):
    found, = [r for r in f.bench.deployment(name)['replicas'] if r['ordinal'] == ordinal]
    return found


def at(f, name, site):
    """The one replica that is there."""
    found, = [r for r in f.bench.deployment(name)['replicas'] if r['site'] == site]
    return found


def engines(f):
    """Pids of the engines at the site."""
    return find_processes(str(f.site.data / 'run'))


def refused(f, status, words, **body):
    before = f.bench.api('GET', '/api/v1/deployments')
    reply = f.bench.request('POST', '/api/v1/deployments', body, local=True)
    same(reply.status, status, reply.body)
    need(words in reply.json()['error']['message'], reply.body)
    same(f.bench.api('GET', '/api/v1/deployments'), before, 'deployments')


def refusals(f):
    """Bad sites get a clear error, and nothing changes."""
    f.bench.api('POST', '/api/v1/sites', {'name': 'empty'})
    refused(f, 404, 'no site nowhere', model='story', sites=['nowhere'])
    refused(f, 400, 'list', model='story', sites='north')
    refused(f, 400, 'list', model='story', sites=[])
    refused(f, 400, 'twice', model='story', sites=['north', 'north'])
    refused(f, 409, 'has not joined', model='story', sites=['empty'])
    refused(f, 409, 'has 16 chips', model='story', sites=['north'], chips=16)
    own, = {p['chip'] for p in f.bench.api('GET', '/api/v1/pools')['data']} - {'h20'}
    refused(f, 409, f'of the kind {own}', model='story', sites=['north'], chip=own)
    refused(f, 404, 'no chip kind', model='story', sites=['north'], chip='abacus')
    refused(f, 404, 'no region, jurisdiction or site atlantis', model='story', near='atlantis')
    refused(f, 409, 'no such chips', model='story', near='empty')
    refused(f, 400, 'either sites or near', model='story', sites=['north'], near='north')
    for wrong in ({'min': 2, 'max': 1}, {'min': 0, 'max': 0}, {'min': 1}, {'max': 1}, {'min': 0, 'max': 1, 'replicas': 1}):
        refused(f, 400, 'either replicas', model='story', sites=['north'], **wrong)
    refused(f, 400, 'needs sites', model='story', min=0, max=1)
    f.bench.api('POST', '/api/v1/sites/north/cordon', {})
    refused(f, 409, 'cordoned', model='story', sites=['north'])
    f.bench.api('POST', '/api/v1/sites/north/resume', {})
    f.bench.api('POST', '/api/v1/models', {'name': 'far', 'source': 'http://127.0.0.1:9', 'engine': 'url', 'kind': 'chat', 'context': 64})
    refused(f, 501, 'URL', model='far', sites=['north'])
    same(f.bench.run('deploy', 'story', '--site', 'nowhere').returncode, NOT_FOUND, 'status')


def rules_forbid(f):
    f.bench.api('PUT', '/api/v1/rules',
                {'text': 'deny no-models-north when site.name = "north" and job.kind = "inference" because "x" cite "y"\n'})
    refused(f, 403, 'rules', model='story', sites=['north'])
    f.bench.api('DELETE', '/api/v1/rules')


def serves(f):
    """One at the site: its weights come there once, an answer and a stream are billed as they say."""
    deploy(f, 'story', '--site', 'north')
    ready(f, 'story')
    r = replica(f, 'story')
    same((r['site'], f.bench.deployment('story')['sites']), ('north', ['north']), 'where it is')
    # Its weights came over the corridor, once, and are nobody's to pay.
    wait_for(lambda: f.bench.api('GET', '/api/v1/corridors/north')['bytes_models'] == MODEL.stat().st_size, 'its weights are metered', 20)
    need(r['endpoint'].startswith(f'unix:{f.bench.data}/run/at-'), r)
    same((len(engines(f)), len(f.bench.engines())), (1, 1), 'engines: one is at the site')
    before = f.spent()
    reply = f.bench.chat(model='story', max_tokens=20)
    same(reply.status, 200, reply.body)
    usage = reply.json()['usage']
    bill = f.bench.billed(reply.fields['x-request-id'])
    same((bill['prompt_tokens'], bill['completion_tokens']), (usage['prompt_tokens'], usage['completion_tokens']), 'tokens')
    same(bill['records'], 1, 'records')
    told = f.bench.request('GET', f"/v1/receipts/{reply.fields['busbar-receipt']}", local=True).json()['records'][-1]['facts']
    same([x['value'] for x in told if x['name'] in ('site', 'chip')], ['north', 'h20'], 'where and on what, as its receipt says')
    version = f.bench.deployment('story')['replicas'][0]['version']
    same([x['value'] for x in told if x['name'] in ('engine', 'engine_version')], ['llama-server', version], 'what answered')
    need(re.fullmatch(r'b\d+-.+', version), version)
    with f.bench.stream(model='story', max_tokens=60, stream_options={'include_usage': True}) as s:
        s.read()
        need(s.done and s.text, s.events)
        second = f.bench.billed(s.id)
        same(second['completion_tokens'], s.usage['completion_tokens'], 'tokens of the stream')
    same(f.spent() - before, bill['cost'] + second['cost'], 'spent')
    need([p.stat().st_size for p in (f.site.data / 'blobs').iterdir()] == [MODEL.stat().st_size], 'weights')
    table = f.bench.run('deployments').stdout
    need('north 1' in table and 'h20: llama.cpp CUDA, documented' in table, table)
    where = {(r['site'], r['chip']): r for r in f.bench.api('GET', '/api/v1/models/story/where')['data']}
    same([(r['can'], r['recipe'], r['replica_chips']) for k, r in where.items() if k == ('north', 'h20')],
         [(True, 'llama.cpp CUDA, documented', 1)], 'where it can be')


def cached(f):
    """The site tells which weights it has: as many as there are, also after its file has gone, and to a hub that has forgotten."""
    digest = f.bench.api('GET', '/api/v1/models/story')['variants'][0]['sha256']
    whole = {'sha256': digest, 'size': MODEL.stat().st_size, 'models': sorted(['own', 'story', 'both', 'tide', 'wide'])}

    def told():
        found = f.bench.api('GET', '/api/v1/sites/north')['cached']
        return found and [{**c, 'models': sorted(c['models'])} for c in found]
    wait_for(lambda: told() == [whole], 'the weights are told', 10)
    shown = f.bench.run('site', 'show', 'north').stdout
    need('story' in shown and digest[:12] in shown, shown)
    same('cached' in f.bench.api('GET', '/api/v1/sites')['data'][0], False, 'a list of sites has none')
    hub = f.bench.args[f.bench.args.index('--site-listen') + 1]
    for body in ({}, {'cached': 'x'}, {'cached': [{'sha256': 'x', 'size': 1}]}, {'cached': [{'sha256': digest}]},
                 {'cached': [{'sha256': digest, 'size': 1}] * 65}):
        same(f.site.call(hub, '/site/v1/cached', body)[0], 400, body)
    same((told(), f.site.call(hub, '/site/v1/cached', {'cached': []}, cert=False)[0]), ([whole], 403), 'nothing has changed')


def environment(pid):
    return dict(line.split('=', 1) for line in pathlib.Path(f'/proc/{pid}/environ').read_text().split('\0') if '=' in line)


def indices(f):
    """Chips of the site's machine have one owner each: its replicas and its jobs are told of different ones."""
    with_chips = [e['CUDA_VISIBLE_DEVICES'] for e in map(environment, engines(f))]
    same((len(with_chips), len(set(with_chips)), used(f)), (2, 2, 2), with_chips)
    job = f.submit('echo $CUDA_VISIBLE_DEVICES', chips=2)
    same(f.ended(job)['code'], 0, 'the job')
    same(sorted([*with_chips, *f.logs(job).decode().strip().split(',')]), ['0', '1', '2', '3'], 'each chip once')
    same([environment(pid).get('CUDA_VISIBLE_DEVICES') for pid in f.bench.engines()], [None] * 2, "on the hub's own machine there are none")


def large(f):
    """A prompt of many kilobytes goes there, and an answer with all that can be said of each token comes back, while others go on."""
    answers = []

    def one(i):
        answers.append(f.bench.chat(model='story', max_tokens=40, logprobs=True, top_logprobs=20, seed=i,
                                    messages=[{'role': 'user', 'content': 'Once ' * 60}]))
    threads = [threading.Thread(target=one, args=(i,)) for i in range(12)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    same([a.status for a in answers], [200] * 12, [a.body[:200] for a in answers])
    need(all(len(a.body) > 20000 for a in answers), [len(a.body) for a in answers])


def descriptors(f):
    return len(os.listdir(f'/proc/{f.site.process.pid}/fd'))


def leave_early(f, pid, seed):
    """A stream whose client goes away while its engine is stopped: how long its way was open then. None: the engine was faster."""
    with f.bench.stream(model='story', max_tokens=400, temperature=0.5, seed=seed, logprobs=True, top_logprobs=20) as s:
        s.read(2)
        os.kill(pid, signal.SIGSTOP)
        try:
            s.sock.settimeout(0.4)
            try:
                s.read()
            except TimeoutError:
                pass
            if s.done:
                return None
            before = descriptors(f)
            s.close()
            closed = time.monotonic()
            wait_for(lambda: descriptors(f) <= before - 2, 'both ends of the way are closed', 5, 0.01)
            took = time.monotonic() - closed
        finally:
            os.kill(pid, signal.SIGCONT)
    bill = f.bench.billed(s.id)
    need('aborted' in bill['flags'] and bill['status'] == 499, bill)
    same(bill['completion_tokens'], s.chunks, 'billed is what was written')
    return took


def aborts(f):
    """A client that goes away ends its way to the engine within half a second; it pays for what was written to it."""
    pid, = find_processes(str(f.site.data / 'run' / 'story-0.sock'))
    seeds = iter(range(50))
    took = soon(0.5, lambda: next(t for seed in seeds if (t := leave_early(f, pid, seed)) is not None))
    replied(f.bench.chat(model='story', max_tokens=2), 200, 'and goes on')
    return f'closed after {took * 1000:.0f} ms'


def used(f):
    """Chips at the site that work has."""
    return sum(p['chips_in_use'] for p in f.bench.api('GET', '/api/v1/pools')['data'] if p['site'] == 'north')


def said(reply):
    """Its status; of one that is no answer, what it said."""
    return reply.status if reply.status == 200 else (reply.status, reply.body[-300:])


def together(n, function):
    threads = [threading.Thread(target=function, args=(i,)) for i in range(n)]
    for t in threads:
        t.start()
    return threads


def counts(f, name):
    d = f.bench.deployment(name)
    return d['replicas_wanted'], d['replicas_ready'], len(d['replicas'])


def follows(f):
    """None until somebody asks; who does waits for the start. More under load, fewer and none after it, and their chips come back."""
    had, before = engines(f), used(f)
    deploy(f, 'tide', '--near', 'coast', '--replicas', '0:2', '--slots', '1', '--hold', '2s', '--idle', '2s')
    d = f.bench.deployment('tide')
    same((d['min'], d['max'], d['near'], d['sites'], d['replicas']), (0, 2, 'coast', ['north'], []), 'what it is')
    answers = []

    def first(i):
        if i:
            answers.append(said(f.bench.chat(model='tide', max_tokens=4, timeout=130)))
            return
        with f.bench.stream(model='tide', max_tokens=4, timeout=130) as s:
            s.read()
            answers.append(200 if s.done else s.events)
    start = time.monotonic()
    for t in together(3, first):
        t.join()
    cold_s = time.monotonic() - start
    same(answers, [200] * 3, 'who waited for the start')
    done, seed = threading.Event(), iter(range(1000000))

    def load(_):
        while not done.is_set():
            answers.append(said(f.bench.chat(model='tide', max_tokens=60, seed=next(seed), timeout=130)))
    threads = together(5, load)
    try:
        ready(f, 'tide', 2)
        same(used(f), before + 2, 'chips')
        same(len(engines(f)), len(had) + 2, 'engines')
    finally:
        done.set()
        for t in threads:
            t.join()
    same(set(answers), {200}, 'answers')
    wait_for(lambda: counts(f, 'tide') == (0, 0, 0), 'none is left', 30)
    wait_for(lambda: set(engines(f)) == set(had), 'nor an engine', 5)
    same(used(f), before, 'chips')
    with f.bench.stream(model='tide', max_tokens=200) as s:  # while it lasts, its replica is there
        s.read(1)
        need(f.bench.deployment('tide')['replicas'][0]['ordinal'] >= 2, 'an ordinal was given twice')
        need(s.read().done, s.status, s.error, s.events[-1:])
    return f'first answers after {cold_s:.1f} s'


def another_door(f):
    """Through a gateway elsewhere: a replica at the site, and one that has to start first."""
    door = Door(f.bench, 'elsewhere')
    try:
        door.join()
        door.run()
        reply = door.chat(model='story', max_tokens=8)
        same(reply.status, 200, reply.body)
        same(f.bench.billed(reply.fields['x-request-id'])['completion_tokens'], reply.json()['usage']['completion_tokens'], 'tokens')
        with door.stream(model='story', max_tokens=40, stream_options={'include_usage': True}) as s:
            s.read()
            need(s.done and s.text, s.events)
            same(f.bench.billed(s.id)['completion_tokens'], s.usage['completion_tokens'], 'tokens of the stream')
        wait_for(lambda: counts(f, 'tide') == (0, 0, 0), 'none is left', 30)
        replied(door.chat(model='tide', max_tokens=4, timeout=130), 200, 'who waited for the start')
        wait_for(lambda: counts(f, 'tide') == (0, 0, 0), 'none is left again', 60)
        # As long as somebody waits at a door, a start is wanted, though there is no room for longer than `idle`.
        job = f.submit('sleep 12', chips=4 - used(f))
        wait_for(lambda: f.job(job)['state'] == 'running', 'the job runs', 10)
        start = time.monotonic()
        reply = door.chat(model='tide', max_tokens=4, timeout=130)
        took = time.monotonic() - start
        same(reply.status, 200, reply.body)
        need(took > 4, f'nobody had to wait: {took:.1f} s')
        wait_for(lambda: counts(f, 'tide') == (0, 0, 0), 'none is left then', 60)
    finally:
        door.end()


def here(f):
    """On the hub's own machine as well, where it is named."""
    had = f.bench.engines()
    deploy(f, 'tide', '--site', 'local', '--replicas', '0:1', '--hold', '1s', '--idle', '1s')
    with f.bench.stream(model='tide', max_tokens=200) as s:
        s.read(1)
        same(f.bench.deployment('tide')['where'], 'local 1', 'where')
        need(s.read().done, s.status, s.error, s.events[-1:])
    wait_for(lambda: counts(f, 'tide') == (0, 0, 0), 'none is left', 30)
    wait_for(lambda: f.bench.engines() == had, 'nor an engine', 5)
    same(f.bench.run('undeploy', 'tide').returncode, OK, 'undeploy')
    same(f.bench.deployment('tide'), None, 'deployment')


def too_late(f):
    """Who waits for a start that does not come is told after two minutes."""
    job = f.submit('sleep 600', chips=4 - used(f))
    wait_for(lambda: f.job(job)['state'] == 'running', 'the job runs', 10)
    deploy(f, 'wide', '--site', 'north', '--replicas', '0:1')
    start = time.monotonic()
    reply = f.bench.chat(model='wide', timeout=180)
    took = time.monotonic() - start
    same(reply.status, 503, reply.body)
    need('two minutes' in reply.json()['error']['message'] and 119 < took < 140, (took, reply.body))
    same(f.bench.run('undeploy', 'wide').returncode, OK, 'undeploy')
    same(f.bench.run('cancel', job).returncode, OK, 'cancel')
    wait_for(lambda: f.job(job)['state'] == 'cancelled', 'the job is gone', 10)


def competes(f):
    """A job and replicas have the same chips: who comes later waits, and is told why."""
    wait_for(lambda: counts(f, 'tide') == (0, 0, 0), 'no other replicas', 30)
    free = 4 - used(f)
    job = f.submit('trap "sleep 8; exit" TERM; echo; while :; do sleep 0.1; done', chips=free)
    wait_for(lambda: f.logs(job) == b'\n', 'the job runs', 20)
    deploy(f, 'wide', '--site', 'north', '--replicas', '2')
    d = wait_for(lambda: (d := f.bench.deployment('wide'))['waits_for'] and d, 'they wait', 10)
    same(([(r['site'], r['state']) for r in d['replicas']], d['waits_for']), ([(None, 'wanted')] * 2, 'other work has the chips'), 'why')
    need('other work has the chips' in f.bench.run('deployments').stdout, 'the table says it')
    same(used(f), 4, 'chips')
    same(f.bench.run('cancel', job).returncode, OK, 'cancel')
    # Core has taken them from it, but it needs a while to end: which chips are whose the site knows.
    wait_for(lambda: all('waits for its chips' in r['detail'] for r in f.bench.deployment('wide')['replicas']), 'they wait at the site', 5, 0.1)
    ready(f, 'wide', 2)
    told = [environment(pid)['CUDA_VISIBLE_DEVICES'] for pid in engines(f)]
    same(len(set(told)), len(told), told)
    second = f.submit('true', chips=free)
    same([j['id'] for j in f.bench.api('GET', '/api/v1/jobs')['data']][:2], [second, job], 'replicas are nobody\'s jobs')
    same((used(f), f.job(second)['state']), (4 - free + 2, 'queued'), 'chips')
    same(f.bench.run('undeploy', 'wide').returncode, OK, 'undeploy')
    wait_for(lambda: f.job(second)['state'] == 'ended', 'the second job has run', 30)
    wait_for(lambda: f.bench.deployment('wide') is None, 'the deployment is gone', 15)


def drains(f):
    """A site that is drained keeps a replica until another is ready elsewhere, and for as long as none is."""
    add(f, 'fast')
    deploy(f, 'fast', '--site', 'north')
    ready(f, 'fast')
    f.bench.api('POST', '/api/v1/sites/north/drain', {})
    wait_for(lambda: {r['site'] for r in f.bench.deployment('both')['replicas']} == {'local'}, 'it has moved', 30)
    d = wait_for(lambda: (d := f.bench.deployment('fast'))['waits_for'] and d, 'one waits', 10)
    same(sorted((r['state'], r['site'] or '') for r in d['replicas']), [('ready', 'north'), ('wanted', '')], 'it stays, and another one waits')
    replied(f.bench.chat(model='fast', max_tokens=3), 200, 'and serves')
    same(f.bench.run('undeploy', 'fast').returncode, OK, 'undeploy')
    wait_for(lambda: f.bench.deployment('fast') is None, 'it is gone', 15)
    f.bench.api('POST', '/api/v1/sites/north/resume', {})


def latency(f):
    """The same request to the hub's own machine and through a tunnel, in turn, over kept connections."""
    took = {'own': [], 'story': []}
    c = http.client.HTTPConnection('127.0.0.1', f.bench.port, timeout=30)
    for _ in range(60):
        for model, out in random.sample(sorted(took.items()), 2):
            body = json.dumps({'model': model, 'messages': STORY, 'max_tokens': 1, 'temperature': 0, 'seed': 1})
            start = time.perf_counter()
            c.request('POST', '/v1/chat/completions', body, {'Authorization': f'Bearer {f.bench.key}', 'Content-Type': 'application/json'})
            answer = c.getresponse()
            answer.read()
            out.append(time.perf_counter() - start)
            same(answer.status, 200, model)
    c.close()
    own, far = (statistics.median(took[m][5:]) * 1000 for m in ('own', 'story'))
    return f'median of 55: own machine {own:.2f} ms, through a tunnel {far:.2f} ms, {far - own:+.2f} ms'


def agent_dies(f):
    """kill -9: its engines go with it; who asks meanwhile is answered by the other site, or waits; and it comes back."""
    pids = engines(f)
    f.site.kill()
    for _ in range(8):
        replied(f.bench.chat(model='both', max_tokens=3), 200, 'failed over')
    wait_for(lambda: not any(map(alive, pids)), 'its engines are gone', 5)
    wait_for(lambda: replica(f, 'story')['state'] == 'backoff', 'the hub knows', 10)
    need('out of touch' in replica(f, 'story')['detail'], replica(f, 'story'))
    before, answers = f.spent(), []
    waiting = threading.Thread(target=lambda: answers.append(f.bench.chat(model='story', max_tokens=3)))
    waiting.start()
    time.sleep(0.3)
    f.site.run()
    waiting.join()
    same(answers[0].status, 200, answers[0].body)
    bill = f.bench.billed(answers[0].fields['x-request-id'])
    same((bill['records'], f.spent() - before), (1, bill['cost']), 'billed once')
    ready(f, 'both', 2)


def hangs(f):
    """An agent that neither ends nor answers: its ways are given up after a while, before the first byte others are asked."""
    os.kill(f.site.process.pid, signal.SIGSTOP)
    try:
        answers = []

        def one(i):  # each prefix has a replica that it goes to first
            story = [{'role': 'user', 'content': f'Story {i}'}]
            answers.append(f.bench.chat(model='both', max_tokens=3, timeout=130, messages=story))
        threads = [threading.Thread(target=one, args=(i,)) for i in range(8)]
        start = time.monotonic()
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        took = time.monotonic() - start
        same([a.status for a in answers], [200] * 8, [a.body for a in answers])
        need(took > 5, f'nobody was on the way there: {took:.1f} s')
        wait_for(lambda: replica(f, 'story')['state'] == 'backoff', 'the hub knows', 20)
    finally:
        os.kill(f.site.process.pid, signal.SIGCONT)
    ready(f, 'story')
    replied(f.bench.chat(model='story', max_tokens=3), 200, 'back')
    return f'all were answered after {took:.1f} s'


def hub_dies(f):
    """What runs at the site goes on, and is reached again by the next hub."""
    pids = engines(f)
    epochs = [at(f, name, 'north')['epoch'] for name in ('story', 'both')]
    f.bench.kill()
    f.bench.start()
    ready(f, 'story')
    ready(f, 'both', 2)
    same((engines(f), [at(f, name, 'north')['epoch'] for name in ('story', 'both')]), (pids, epochs), 'engines and epochs')
    same(counts(f, 'tide'), (0, 0, 0), 'none of this one')
    replied(f.bench.chat(model='tide', max_tokens=3, timeout=130), 200, 'but when it is asked')
    same(f.bench.run('undeploy', 'tide').returncode, OK, 'undeploy')
    wait_for(lambda: f.bench.deployment('tide') is None, 'it is gone', 15)
    same(wait_for(lambda: f.bench.chat(model='story', max_tokens=3), 'an answer').status, 200, 'answer')


def hub_moves(f):
    """The next hub has its folder elsewhere: what was ready at the site is reached there, though at the site nothing has changed."""
    pids, epoch = engines(f), replica(f, 'story')['epoch']
    os.kill(f.site.process.pid, signal.SIGSTOP)  # so that it is back before the hub takes it for gone, and says that all is new
    try:
        f.bench.kill()
        f.bench.data = f.bench.data.rename(f.bench.data.with_name(f.bench.data.name + '-moved'))
        f.bench.start()
    finally:
        os.kill(f.site.process.pid, signal.SIGCONT)
    wait_for(lambda: replica(f, 'story')['endpoint'].startswith(f'unix:{f.bench.data}/run/at-'), 'where the replica is reached', 20)
    replied(f.bench.chat(model='story', max_tokens=3), 200, 'answer')
    same((engines(f), replica(f, 'story')['epoch']), (pids, epoch), 'engines and epoch')
    ready(f, 'both', 2)


def weights(f):
    return sorted(p.name for p in (f.site.data / 'blobs').iterdir())


def other_bytes(f):
    """A file that is not what its digest says is not served, nor kept; when it is whole again, it is."""
    had = weights(f)
    source = f.site.marks / 'other.gguf'
    source.write_bytes(MODEL.read_bytes() + bytes(64))
    add(f, 'bad', source)
    variant, = f.bench.api('GET', '/api/v1/models/bad')['variants']
    path = f.bench.data / variant['location']
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b'x')
    deploy(f, 'bad', '--site', 'north')
    wait_for(lambda: 'digest' in replica(f, 'bad')['detail'], 'the digest is looked at', 15)
    same((replica(f, 'bad')['state'], f.bench.chat(model='both').status), ('backoff', 200), 'state')
    same(weights(f), had, 'what is kept')
    path.write_bytes(whole)
    ready(f, 'bad')
    same(weights(f), sorted([*had, variant['sha256']]), 'what is kept')


def goes_on(f):
    """What has come of a file counts: half of it with other bytes spoils the whole, which then comes anew."""
    name = f.bench.api('GET', '/api/v1/models/bad')['variants'][0]['sha256']
    path, part = (f.site.data / 'blobs' / (name + tail) for tail in ('', '.part'))
    whole, said = path.read_bytes(), f.site.said().count('they were removed')
    same(f.bench.run('undeploy', 'bad').returncode, OK, 'undeploy')
    wait_for(lambda: f.bench.deployment('bad') is None, 'it is gone', 15)
    path.unlink()
    wait_for(lambda: name not in [c['sha256'] for c in f.bench.api('GET', '/api/v1/sites/north')['cached']], 'it is not told any more', 20)
    part.write_bytes(b'x' * (len(whole) // 2))
    deploy(f, 'bad', '--site', 'north')
    ready(f, 'bad')
    need(f.site.said().count('they were removed') > said, 'the half was not used')
    need(path.read_bytes() == whole and not part.exists(), 'weights')
    wait_for(lambda: sorted(c['sha256'] for c in f.bench.api('GET', '/api/v1/sites/north')['cached']) == weights(f), 'what is told', 20)


def undeploys(f):
    pids = engines(f)
    with f.bench.stream(model='story', max_tokens=200) as s:
        s.read(3)
        same(f.bench.run('undeploy', 'story').returncode, OK, 'undeploy')
        s.read()
        need(s.done and not s.error, 'what it answered came to its end')
    wait_for(lambda: f.bench.deployment('story') is None, 'it is gone', 20)
    wait_for(lambda: len(engines(f)) == len(pids) - 1, 'and so is its engine', 5)
    replied(f.bench.chat(model='story'), 503, 'not deployed')


def stranger(f):
    """A tunnel is for members, who say what they want; a site gets weights that it serves, and no others."""
    hub = f.bench.args[f.bench.args.index('--site-listen') + 1]
    same(f.site.call(hub, '/site/v1/tunnel', {}, cert=False)[0], 403, 'no certificate')
    same(f.site.call(hub, '/site/v1/tunnel', {})[0], 400, 'no upgrade')
    same(f.site.call(hub, '/site/v1/blob', {'sha256': '00' * 32, 'offset': 0})[0], 404, 'weights')
    same(f.site.call(hub, '/site/v1/blob', {'sha256': '00', 'offset': 0})[0], 400, 'digest')
    same(f.site.call(hub, '/site/v1/replicas', {'replicas': [{}]})[0], 400, 'report')
    same(f.site.call(hub, '/site/v1/replicas', {'replicas': []}, cert=False)[0], 403, 'no certificate')
    with Site() as south:
        south.enter(f.bench, 'south')
        d = f.bench.deployment('both')
        there = at(f, 'both', 'north')
        told = {'deployment': d['id'], 'ordinal': there['ordinal'], 'epoch': there['epoch'], 'state': 'backoff', 'slots': 1, 'context': 1,
                'detail': 'x'}
        same(south.call(hub, '/site/v1/replicas', {'replicas': [told]})[1]['changes'], 0, "another site's replica")
        digest = f.bench.api('GET', '/api/v1/models/both')['variants'][0]['sha256']
        same(south.call(hub, '/site/v1/blob', {'sha256': digest, 'offset': 0})[0], 404, "another site's weights")
        south.call(hub, '/site/v1/orders', {'session': 0, 'ack': 0, 'can_serve': False})
        refused(f, 501, 'cannot serve models', model='story', sites=['south'])


def leaves(f):
    """A site that is removed has no tunnel from then on; its replica goes to the other site of the list."""
    same(f.bench.run('site', 'remove', 'north').returncode, OK, 'remove')
    ready(f, 'both', 2)
    same({r['site'] for r in f.bench.deployment('both')['replicas']}, {'local'}, 'where they are')
    refused(f, 409, 'has not joined', model='story', sites=['north'])
    wait_for(lambda: f.site.process.poll() is not None, 'the agent has ended', 15)
    need(not engines(f), 'an engine is left')
    need('Sanitizer' not in f.site.said(), f.site.said()[-3000:])
    for _ in range(4):
        replied(f.bench.chat(model='both', max_tokens=3), 200, 'answers')


def main():
    t = Tap()
    with Field() as f:
        for name in ('own', 'story', 'both', 'tide', 'wide'):
            add(f, name)
        deploy(f, 'own')
        ready(f, 'own')
        t.case('sites that cannot have it', refusals, f)
        t.case('rules forbid it there', rules_forbid, f)
        t.case('an answer and a stream', serves, f)
        t.case('weights that a site has', cached, f)
        deploy(f, 'both', '--site', 'local,north', '--replicas', '2')
        ready(f, 'both', 2)
        same(sorted(r['site'] for r in f.bench.deployment('both')['replicas']), ['local', 'north'], 'sites')
        t.case('who has which chips', indices, f)
        t.case("on the hub's own machine", here, f)
        if os.environ.get('BUSBAR_FULL'):
            t.case('a start that does not come', too_late, f)
        for name, case in (('latency', latency), ('large ones beside one another', large), ('a client goes away', aborts), ('the agent is killed', agent_dies),
                           ('the agent hangs', hangs), ('as many as are asked for', follows), ('at another door', another_door), ('jobs and replicas', competes), ('the hub is killed', hub_dies), ("the hub's folder is moved", hub_moves), ('other bytes', other_bytes),
                           ('half a file', goes_on), ('undeploy', undeploys), ('strangers', stranger), ('the site is drained', drains), ('the site leaves', leaves)):
            t.case(name, case, f)
    t.done()


if __name__ == '__main__':
    main()
