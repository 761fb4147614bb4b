#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A model that no one worker may hold, served by several: at one site and at two, the same text as of one process; a worker that goes,
a site that goes; and nobody reaches a worker but the head of its cluster."""
import http.client
import json
import os
import pathlib
import signal
import ssl
import statistics
import tempfile
import time

import random_model
from ref_peers import llama
from site_agent import CONFIG, Field, Site
from workbench import FULL, Tap, find_processes, need, replied, same, wait_for

CAP_MIB = 56  # of a worker; the model has 41 MiB in layers, and room to compute is counted besides
LARGE = {'dim': 512, 'layers': 12, 'ffn': 1536, 'heads': 8, 'kv_heads': 4, 'vocab': 2048}
CONTEXT, SLOTS, TOKENS = 256, 1, 12
PROMPTS = ['bada beda bodu', 'One day a', 'cuda fofe gige hohe', 'once'][:4 if FULL else 2]
TWO = ('--cluster', '--members', '2', '--memory-mib', str(CAP_MIB), '--site', 'north,south', '--corridors', '--slots', str(SLOTS))


class Two(Field):
    """A hub and two sites of four chips each, and a third one that has no part in anything."""

    def __init__(self):
        super().__init__()
        self.others = {}
        for name in ('south', 'east'):
            site = self.others[name] = Site()
            site.enter(self.bench, name)
            (site.data / 'site.yaml').write_text(CONFIG.format(data=site.data))
            site.run()
        wait_for(lambda: all(self.bench.api('GET', f'/api/v1/sites/{name}')['serves'] for name in ('south', 'east')), 'they serve', 30)
        self.hub = self.bench.args[self.bench.args.index('--site-listen') + 1]

    def __exit__(self, *exc):
        for site in self.others.values():
            site.end()
        super().__exit__(*exc)


def cluster(f):
    return f.bench.deployment('large')['cluster']


def head(f):
    found, = [r for r in f.bench.deployment('large')['replicas'] if r['role'] == 'head']
    return found


def serving(f, generation=1, limit_s=30):
    """Once the head of such a generation is ready, or of a later one."""
    wait_for(lambda: cluster(f)['generation'] >= generation and head(f)['state'] == 'ready', f'generation {generation} serves', limit_s)
    return cluster(f)


def deploy(f, *options):
    same(f.bench.run('deploy', 'large', *options).returncode, 0, options)


def undeploy(f):
    same(f.bench.run('undeploy', 'large').returncode, 0, 'undeploy')
    wait_for(lambda: not f.bench.api('GET', '/api/v1/deployments')['data'], 'nothing is deployed', 30)


def servers(*sites):
    """Pids of the RPC servers of the sites."""
    heads = [p for site in sites for p in find_processes(f'rpc-worker\0--socket\0{site.data}')]
    out = []
    for pid in heads:
        for task in pathlib.Path(f'/proc/{pid}/task').iterdir():
            out += map(int, (task / 'children').read_text(encoding='ascii').split())
    return out


def ask(f, prompt, **fields):
    body = {'model': 'large', 'prompt': prompt, 'max_tokens': TOKENS, 'temperature': 0, 'seed': 1, **fields}
    return f.bench.request('POST', '/v1/completions', body, key=f.bench.key)


def texts(f):
    return [replied(ask(f, p), 200, p).json()['choices'][0]['text'] for p in PROMPTS]


def refused(f, status, words, **body):
    reply = f.bench.request('POST', '/api/v1/deployments', {'model': 'large', **body}, local=True)
    same(reply.status, status, reply.body)
    need(words in reply.json()['error']['message'], reply.body)
    same(f.bench.api('GET', '/api/v1/deployments')['data'], [], 'deployments')


def refusals(f):
    refused(f, 400, 'must be an object', cluster=True)
    refused(f, 400, 'either sites or near', cluster={}, sites=['north'], near='north')
    refused(f, 400, 'no member workers', cluster={'workers': 2})
    refused(f, 400, 'members must be a number', cluster={'members': 0})
    refused(f, 400, 'members must be a number', cluster={'members': 16})
    refused(f, 400, 'in place of members', cluster={'members': 2, 'kinds': {'h20': 2}}, sites=['north'])
    refused(f, 404, 'no chip kind abacus', cluster={'kinds': {'abacus': 2}}, sites=['north'])
    refused(f, 409, 'and there are 4', cluster={'kinds': {'h20': 5}}, sites=['north'])
    refused(f, 400, 'not of a cluster', cluster={}, replicas=2)
    refused(f, 400, 'at one site', cluster={'members': 2}, sites=['north', 'south'])
    refused(f, 501, 'served by llama-server', cluster={'members': 2}, engine='reference')
    need('only with --cluster' in f.bench.run('deploy', 'large', '--members', '2').stderr, 'an option without its other')


def one_is_short(f):
    """What no worker may hold alone is not held, and says how much is lacking."""
    deploy(f, '--cluster', '--members', '1', '--memory-mib', str(CAP_MIB), '--site', 'north', '--slots', str(SLOTS))
    words = wait_for(lambda: (d := cluster(f)['detail']).startswith('1 of 1 workers: ') and d, 'it says what is lacking', 20)
    need(words.endswith(' MiB short'), words)
    same((cluster(f)['generation'], head(f)['state']), (0, 'wanted'), 'no plan')
    undeploy(f)
    return words


def at_two_sites(f, texts_alone):
    deploy(f, *TWO)
    c = serving(f)
    same((sum(p['layers'] for p in c['parts']), sorted(p['site'] for p in c['parts'])), (LARGE['layers'], ['north', 'south']), 'parts')
    same(texts(f), texts_alone, 'text beside that of one process')
    need('layers, generation 1' in f.bench.run('deployments').stdout, 'the table')
    return c['summary']


def speed_is_learnt(f):
    """Ways are measured soon; and what the check of the head measured is predicted of the plan from then on."""
    c = wait_for(lambda: (c := cluster(f))['samples'] == 1 and not c['way_guessed'] and c, 'the check is a sample, and both ways are known', 30)
    need('from what was measured' in c['summary'] and 'guessed' not in c['summary'], c['summary'])
    found, = [a for a in f.bench.api('GET', '/api/v1/acceptance')['data'] if a['model'] == 'large' and a['site'] == head(f)['site']]
    need(abs(c['tokens_s_predicted'] - found['tokens_s']) <= found['tokens_s'] / 20 + 0.1, (c['summary'], found))
    return c['summary']


def way(f, site, body, cert=True):
    """Asks the hub for a way to a worker, as a head's site does; the status."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if cert:
        context.load_cert_chain(site.data / 'pki' / 'site.pem', site.data / 'pki' / 'site.key')
    host, port = f.hub.split(':')
    c = http.client.HTTPSConnection(host, int(port), timeout=10, context=context)
    c.request('POST', '/site/v1/peer', json.dumps(body), {'Connection': 'Upgrade', 'Upgrade': 'busbar-peer'})
    status = c.getresponse().status
    c.close()
    return status


def nobody_else(f):
    """The port is in no network of ours, its socket is its owner's alone, and the hub makes a way for nobody but the head's site."""
    here = os.readlink('/proc/self/ns/net')
    found = servers(f.site, f.others['south'])
    same((len(found), [p for p in found if os.readlink(f'/proc/{p}/ns/net') == here]), (2, []), 'servers in our network')
    d = f.bench.deployment('large')
    at_head = f.site if head(f)['site'] == 'north' else f.others['south']
    far, = [p for p in d['cluster']['parts'] if p['site'] != head(f)['site']]
    worker = {'deployment': d['id'], 'ordinal': far['ordinal'], 'epoch': far['epoch']}
    same([path.stat().st_mode & 0o777 for path in at_head.data.glob('run/by-*')], [0o600], 'the way to the far worker')
    east = f.others['east']
    same(way(f, east, worker), 403, 'another site')
    same(way(f, f.others['south'] if at_head is f.site else f.site, worker), 403, "the worker's own site")
    same(way(f, at_head, worker, cert=False), 403, 'nobody')
    same(way(f, at_head, {**worker, 'epoch': worker['epoch'] + 1}), 403, 'another epoch')
    same(way(f, at_head, {**worker, 'ordinal': 0}), 403, 'the head itself')
    same(way(f, at_head, {**worker, 'deployment': '01a206d4-8ea8-7798-896c-f973da8af738'}), 403, 'another cluster')
    same(way(f, at_head, {'deployment': 'x'}), 400, 'no worker')
    same(way(f, at_head, worker), 101, "the head's site itself")


def kill_worker(f, site):
    """Its server is killed: how long until requests are answered again."""
    before = cluster(f)['generation']
    start = time.monotonic()
    os.kill(servers(site)[0], signal.SIGKILL)
    serving(f, before + 1)
    replied(ask(f, 'again', max_tokens=1), 200, 'an answer after it')
    return time.monotonic() - start


def a_worker_goes(f, texts_alone):
    """A stream ends with an error and is billed for what it gave; then the same text again, under the next generation."""
    with f.bench.stream(key=f.bench.key, model='large', path='/v1/completions', prompt='bada', max_tokens=CONTEXT - 32, temperature=0) as s:
        same(s.status, 200, 'a stream')
        s.next()
        took = kill_worker(f, f.others['south'])
        s.read()
        need(not s.done, 'the stream was cut')
        bill = f.bench.billed(s.id)
    need(s.chunks <= bill['completion_tokens'] < CONTEXT - 32 and bill['cost'] > 0, f'billed for the {s.chunks} that it got: {bill}')
    same(texts(f), texts_alone, 'text afterwards')
    c = cluster(f)
    same(c['breaks'], 1, 'breaks')
    need(c['outage_ms'] > 0, c)
    times = [took]
    for site in (f.others['south'], f.site) * (10 if FULL else 0):
        undeploy(f)  # so that pauses do not grow: each is the first end of its worker
        deploy(f, *TWO)
        serving(f)
        times.append(kill_worker(f, site))
    return f'{len(times)} kills: answered again after {statistics.median(times):.2f} s in the median, {max(times):.2f} s at most'


def a_site_goes(f, texts_alone):
    """Its agent is killed: the rest cannot hold the model, and says so; then it is back."""
    before = cluster(f)['generation']
    f.others['south'].kill()
    wait_for(lambda: 'short' in cluster(f)['detail'], 'it says what is lacking', 40)
    need(head(f)['state'] != 'ready', 'nobody serves')
    need(ask(f, 'x').status in (502, 503), 'a clear error')
    start = time.monotonic()
    f.others['south'].run()
    serving(f, before + 1, 60)
    same(texts(f), texts_alone, 'text afterwards')
    return f'{time.monotonic() - start:.1f} s after the agent was back'


def four_at_one_site(f, texts_alone):
    deploy(f, '--cluster', '--on', 'h20:4', '--memory-mib', '44', '--site', 'north', '--slots', str(SLOTS))
    c = serving(f)
    same((len(c['parts']), {p['site'] for p in c['parts']}), (4, {'north'}), 'parts')
    same(texts(f), texts_alone, 'text of four workers')
    same(len(servers(f.site)), 4, 'servers')
    undeploy(f)
    wait_for(lambda: not servers(f.site, f.others['south']), 'no server is left', 20)
    return c['summary']


def main():
    tap = Tap()
    with tempfile.TemporaryDirectory(prefix='bb-cluster-', dir='/tmp') as folder:
        path = pathlib.Path(folder) / 'large.gguf'
        random_model.write(path, **LARGE)
        with llama(path, folder, 'alone', context=CONTEXT, more=('--no-repack',)) as one:
            alone = [one.greedy(p, TOKENS)['text'] for p in PROMPTS]
        with Two() as f:
            same(f.bench.run('model', 'add', 'large', str(path), '--context', str(CONTEXT), '--price-prompt', '1', '--price-completion',
                             '2').returncode, 0, 'model')
            tap.case('what cannot be is refused', refusals, f)
            tap.case('one worker of that size cannot hold it', one_is_short, f)
            tap.case('two sites serve it together', at_two_sites, f, alone)
            tap.case('its measured speed is learnt from', speed_is_learnt, f)
            tap.case('nobody else reaches a worker', nobody_else, f)
            tap.case('a worker goes', a_worker_goes, f, alone)
            if FULL:
                tap.case('a site goes, and is back', a_site_goes, f, alone)
            undeploy(f)
            tap.case('four workers at one site', four_at_one_site, f, alone)
    return tap.done()


if __name__ == '__main__':
    raise SystemExit(main())
