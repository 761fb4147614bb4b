#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The reference engine: beside the real llama-server on 200 prompts and two models, the same bytes however it is run, hostile
requests, and through a hub that has no llama-server at all."""
import concurrent.futures
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time

from ref_peers import BIN, EXACT, MODELS, as_floats, llama, reference
from ref_prompts import prompts
from workbench import FULL, Bench, Tap, need, replied, same, soon, wait_for

TOKENS = 48
# How far apart two logits may lie for llama-server to take the other one. It rounds what goes into a product with Q8_0 weights to 8
# bits, and keys and values to halves; where it rounds neither, only the order of sums is another.
MARGIN = {'stories': 0.6, 'stories260K': 0.05, 'exact': 0.002}


def parting(ref, other):
    """Where the first token is another: its place, and how far ahead the reference's own choice was; None: nowhere."""
    ours, theirs = ref['logprobs']['content'], other['logprobs']['content']
    for i, (a, b) in enumerate(zip(ours, theirs)):
        if a['id'] != b['id']:
            level = {t['id']: t['logprob'] for t in a['top_logprobs']}
            same(a['top_logprobs'][0]['id'], a['id'], 'the likeliest is what was taken')
            need(b['id'] in level, f'at token {i} the other engine took {b}, which is none of {a["top_logprobs"]}')
            return i, level[a['id']] - level[b['id']]
    same(len(ours), len(theirs), 'tokens of equal answers')
    same(ref['text'], other['text'], 'text of equal tokens')
    same(ref['finish_reason'], other['finish_reason'], 'end of equal answers')
    return None


def compare(ref, other, bound, what):
    equal, margins, off = 0, [], 0.0
    for prompt in prompts():
        a, b = ref.greedy(prompt, TOKENS), other.greedy(prompt, TOKENS)
        found = parting(a, b)
        for x, y in zip(a['logprobs']['content'], b['logprobs']['content'][:found[0] if found else None]):
            off = max(off, abs(x['logprob'] - y['logprob']))
        if found is None:
            equal += 1
        else:
            margins.append((found[1], found[0], prompt))
    margins.sort(reverse=True)
    for margin, place, prompt in margins[:3]:
        need(margin < bound, f'{what}: {prompt!r} parts at token {place}, where the choice is clear: {margin:.4f}')
    widest = f'; where they part the two logits are {margins[0][0]:.4f} apart at most' if margins else ''
    return f'{what}: {equal} of {len(prompts())} answers are the same{widest}; logprobs differ by {off:.5f} at most'


def beside_llama(folder, name):
    with reference(MODELS[name], folder) as ref, llama(MODELS[name], folder) as other:
        for prompt in prompts():
            body = {'content': prompt, 'add_special': True}
            same(ref.post('/tokenize', body)['tokens'], other.post('/tokenize', body)['tokens'], f'tokens of {prompt!r}')
        return compare(ref, other, MARGIN[name], f'{name}, llama-server -t 1')


def beside_exact_llama(folder, name):
    """llama-server on the same weights, written as floats, so that it rounds nothing on the way: what is left is the order of sums."""
    model = pathlib.Path(folder) / f'{name}-f32.gguf'
    as_floats(MODELS[name], model)
    with reference(MODELS[name], folder) as ref, reference(model, folder, name='floats') as floats, \
            llama(model, folder, more=EXACT) as other:
        for prompt in prompts()[::10]:
            same(floats.greedy(prompt, TOKENS), ref.greedy(prompt, TOKENS), f'floats of {name}: {prompt!r}')
        words = compare(ref, other, MARGIN['exact'], f'{name} as floats, llama-server with nothing rounded')
    return words


# ---- the same bytes ----

WAYS = [{'threads': 1}, {'threads': 1}, {'threads': 2}, {'threads': 2, 'slots': 4}, {'threads': 1, 'slots': 4}]
HOW = [{'temperature': 0}, {'temperature': 0.8, 'seed': 5}, {'temperature': 1.5, 'top_k': 0, 'top_p': 1, 'min_p': 0, 'seed': 6},
       {'temperature': 0, 'frequency_penalty': 0.5, 'presence_penalty': 0.2}]


def answers(peer, slots):
    """What is said to some prompts in four ways, everything but ids and times: bytes. As many at a time as there are slots."""
    asked = [{'prompt': p, 'max_tokens': 60, 'logprobs': 3, **how} for p in prompts()[::9 if FULL else 7] for how in HOW]
    with concurrent.futures.ThreadPoolExecutor(slots) as pool:
        got = list(pool.map(lambda body: json.dumps(peer.post('/v1/completions', body)['choices']), asked))
    return got


def same_bytes(folder, name):
    want = None
    for way in WAYS:
        with reference(MODELS[name], folder, **way) as peer:
            got = answers(peer, way.get('slots', 1))
            same(got == answers(peer, 1), True, 'again from the same process, where prompts were read before')
        want = want or got
        for a, b in zip(want, got):
            same(b, a, f'{way}')
    return f'{name}: {len(want)} answers, each {2 * len(WAYS)} times'


# ---- what it says ----

def stream_of(peer, body):
    reply = peer.request('POST', '/v1/chat/completions', {'stream': True, 'stream_options': {'include_usage': True}, **body})
    same(reply.status, 200, 'status')
    events = [e[6:] for e in reply.body.decode().split('\n\n') if e]
    same(events[-1], '[DONE]', 'the last event')
    return [json.loads(e) for e in events[:-1]]


def surface(folder):
    with reference(MODELS['stories'], folder, name='stories', slots=2) as peer:
        same(peer.request('GET', '/v1/models').json()['data'][0]['id'], 'stories', 'model')
        body = {'messages': [{'role': 'user', 'content': 'Tell me a story about a brave fox'}], 'temperature': 0, 'max_tokens': 40}
        whole = peer.post('/v1/chat/completions', {**body, 'logprobs': True, 'top_logprobs': 2})
        same(peer.request('GET', '/version').json()['version'], whole['system_fingerprint'], 'version')
        text = whole['choices'][0]['message']['content']
        same(''.join(t['token'] for t in whole['choices'][0]['logprobs']['content']), text, 'tokens and text')
        same((whole['usage']['completion_tokens'], whole['choices'][0]['finish_reason']), (40, 'length'), 'usage')
        events = stream_of(peer, {**body, 'timings_per_token': True})
        same(''.join((e['choices'][0]['delta'].get('content') or '') if e['choices'] else '' for e in events), text, 'streamed')
        counts = [e['timings']['predicted_n'] for e in events if 'timings' in e]
        same(counts[:40], list(range(1, 41)), 'each chunk says how many tokens there are')
        same(events[-1]['usage']['completion_tokens'], 40, 'usage of the stream')
        same(events[-1]['usage']['prompt_tokens'], whole['usage']['prompt_tokens'], 'prompt of the stream')
        need(events[-1]['usage']['prompt_tokens_details']['cached_tokens'] > 0, 'the prompt was read before')
        cut = peer.post('/v1/chat/completions', {**body, 'stop': ['zzz', 'time,']})['choices'][0]
        same((cut['message']['content'], cut['finish_reason']), (text.split('time,')[0], 'stop'), 'stop')
        parts = stream_of(peer, {**body, 'stop': ['time,']})
        same(''.join((e['choices'][0]['delta'].get('content') or '') if e['choices'] else '' for e in parts),
             text.split('time,')[0], 'a stop that comes in parts is never shown')
        ends = peer.post('/v1/chat/completions', {**body, 'max_tokens': 400})['choices'][0]
        same(ends['finish_reason'], 'stop', 'a story ends by itself')
        full = peer.post('/v1/completions', {'prompt': 'Once', 'temperature': 0, 'ignore_eos': True})
        same((full['usage']['total_tokens'], full['choices'][0]['finish_reason']), (513, 'length'), 'a full context')


REFUSED = [('{', 'JSON'), ({}, 'prompt'), ({'prompt': 'x', 'no_such_field': 1}, 'no_such_field'), ({'prompt': 'x', 'n': 2}, 'n:'),
           ({'prompt': 'x', 'temperature': -1}, 'temperature'), ({'prompt': 'x', 'temperature': 'hot'}, 'temperature'),
           ({'prompt': 'x', 'top_p': 1.5}, 'top_p'), ({'prompt': 'x', 'max_tokens': 0}, 'max_tokens'),
           ({'prompt': 'x', 'logprobs': 21}, 'logprobs'), ({'prompt': 'x', 'stop': ['']}, 'stop'),
           ({'prompt': 'x', 'stop': ['a'] * 17}, 'stop'), ({'prompt': 'x', 'stop': 7}, 'stop'), ({'prompt': 7}, 'prompt'),
           ({'prompt': []}, 'prompt'), ({'prompt': ['a', 'b']}, 'prompt'), ({'prompt': [1, 4000000000]}, 'prompt'),
           ({'prompt': [1, -1]}, 'prompt'), ({'prompt': 'word ' * 600}, 'tokens'), ({'prompt': [5] * 512}, 'tokens'),
           ({'prompt': 'x', 'seed': 'a'}, 'seed'), ({'prompt': 'x', 'stream': 1}, 'stream'),
           ({'prompt': 'x', 'messages': []}, 'messages'), ({'prompt': 'x', 'top_k': -1}, 'top_k'),
           ({'prompt': 'x', 'model': 3}, 'model'), ({'prompt': 'x', 'stream_options': 3}, 'stream_options')]


def refusals(folder):
    with reference(MODELS['stories'], folder) as peer:
        before = peer.greedy('Once', 8)
        for body, word in REFUSED:
            reply = peer.request('POST', '/v1/completions', body.encode() if isinstance(body, str) else body)
            same(reply.status, 400, f'{body!r}: {reply.body!r}')
            need(word in reply.json()['error']['message'], f'{str(body)[:80]}: {reply.body!r}')
        for method, path, status in (('GET', '/nothing', 404), ('GET', '/v1/completions', 405), ('POST', '/health', 405)):
            same(peer.request(method, path, {} if method == 'POST' else None).status, status, path)
        same(peer.request('POST', '/v1/completions', b'x' * (9 << 20)).status, 413, 'a body of 9 MB')
        need('longer than a slot' in replied(peer.request('POST', '/tokenize', {'content': 'a' * (1 << 20)}), 413, 'what no context holds').body.decode())
        same(peer.greedy('Once', 8), before, 'afterwards')
    with reference(MODELS['stories'], folder, name='b', context=64) as peer:
        need('64' in peer.request('POST', '/v1/completions', {'prompt': 'word ' * 60}).json()['error']['message'], 'the context')


def files_refused(folder):
    data = MODELS['stories'].read_bytes()
    bad = pathlib.Path(folder) / 'bad.gguf'
    for content, word in ((b'', 'empty'), (b'not a model' * 99, 'not a GGUF'), (data[:50000], 'not within the file'),
                          (data[:2000], 'cut'), (data.replace(b'llama', b'gemma', 1), 'architecture "gemma"'),
                          (data.replace(b'blk.3.ffn_up.weight', b'blk.3.ffn_up.wait__'), 'does not know this tensor')):
        bad.write_bytes(content)
        done = subprocess.run([BIN, 'engine-ref', '--model', str(bad), '--host', str(bad) + '.sock'], capture_output=True, text=True,
                              timeout=60, check=False)
        same(done.returncode, 1, f'exit status: {done.stderr}')
        need(word in done.stderr, f'{word}: {done.stderr}')
    with reference(MODELS['stories'], folder, name='t', threads=4000) as peer:
        same(peer.request('GET', '/health').status, 200, 'more threads than there may be')
    for args in ([], ['--model'], ['--model', 'x'], ['--model', 'x', '--host', 'y', '--slots', '0'], ['--what', '1']):
        done = subprocess.run([BIN, 'engine-ref', *args], capture_output=True, text=True, timeout=60, check=False)
        same(done.returncode, 64, f'{args}: {done.stderr}')


def goes_away(folder):
    """One slot, and a client that leaves while it is written for: the next one need not wait for the end of that."""
    with reference(MODELS['stories'], folder, context=65536) as peer:
        def measure():
            s = peer.connect()
            peer.send(s, 'POST', '/v1/completions', {'prompt': 'Once', 'stream': True, 'ignore_eos': True, 'temperature': 0})
            need(b'200 OK' in s.recv(4096), 'it began')
            s.close()
            start = time.monotonic()
            peer.post('/v1/completions', {'prompt': 'One day', 'max_tokens': 1})
            return time.monotonic() - start
        soon(0.5, measure)
        idle = peer.cpu_s()
        time.sleep(0.5)
        need(peer.cpu_s() - idle < 0.25, 'nothing is written for nobody')


def stops(folder):
    """SIGTERM: an idle one ends at once; one that writes an answer for longer than two seconds ends it there; a second one ends it. An
    answer that was written is sent whole, even to a client that takes it slowly."""
    peer = reference(MODELS['stories'], folder)
    start = time.monotonic()
    same(peer.stop(), 0, 'exit status')
    need(time.monotonic() - start < 5, 'at once')
    need(not pathlib.Path(peer.path).exists(), 'the socket is gone')
    for signals in (1, 2):
        peer = reference(MODELS['stories'], folder, context=200000)
        with peer.connect() as s:
            peer.send(s, 'POST', '/v1/completions', {'prompt': 'Once', 'stream': True, 'ignore_eos': True, 'temperature': 0})
            need(b'200 OK' in s.recv(4096), 'it began')
            for _ in range(signals):
                os.kill(peer.process.pid, signal.SIGTERM)
                time.sleep(0.3)
            same(peer.stop(), 0, 'exit status')
            rest = b''
            while chunk := s.recv(65536):
                rest += chunk
            need(not rest.endswith(b'0\r\n\r\n'), 'what is cut does not look whole')
    peer = reference(MODELS['stories'], folder, context=2048)
    with peer.connect() as s:
        peer.send(s, 'POST', '/v1/completions', {'prompt': 'Once', 'ignore_eos': True, 'max_tokens': 1500, 'logprobs': 20})
        got = s.recv(16)
        os.kill(peer.process.pid, signal.SIGTERM)
        time.sleep(0.3)
        while chunk := s.recv(65536):
            got += chunk
        need(len(got) > 1 << 20, 'more than a socket holds')
        same(len(json.loads(got.split(b'\r\n\r\n', 1)[1])['choices'][0]['logprobs']['content']), 1500, 'tokens of the whole answer')
        same(peer.stop(), 0, 'exit status')


# ---- through a hub ----

class OwnHub(Bench):
    """One that finds no llama-server."""

    def __init__(self):
        super().__init__(env={'PATH': '/usr/bin:/bin', 'BUSBAR_ENGINE_PATH': '/nonexistent'})


def hub_serves(hub):
    hub.wait_ready()
    need(any('engine' in line and 'reference' in line and 'llama-server was not found' in line for line in hub.lines), hub.lines[:5])
    status = hub.cli('status')
    need('reference' in status and 'llama-server was not found' in status, status)
    model = hub.api('GET', '/api/v1/models/stories')
    same(model['variants'][0]['engine'], 'reference', 'engine of the model')
    reply = replied(hub.chat(temperature=0, max_tokens=30), 200, 'chat')
    usage = reply.json()['usage']
    billed = hub.billed(reply.fields['x-request-id'])
    same((billed['prompt_tokens'], billed['completion_tokens']), (usage['prompt_tokens'], 30), 'billed')
    same(hub.chat(tools=[]).status, 400, 'a field that it does not know')


def hub_streams(hub):
    with hub.stream(temperature=0, max_tokens=25, stream_options={'include_usage': True}) as s:
        s.read()
        same((s.done, s.usage['completion_tokens']), (True, 25), 'a whole stream')
        need(all('timings' not in e for e in s.events if isinstance(e, dict)), 'timings are for the gateway')
        billed = hub.billed(s.id)
    same((billed['completion_tokens'], billed['status']), (25, 200), 'billed')


def hub_cuts(hub):
    """A client that leaves is billed what it got, exactly, since each chunk says how many tokens there are. An answer takes a tenth of
    a second at most, so some are over before the client is gone."""
    cut = 0
    for _ in range(10):
        s = hub.stream(temperature=1.5, max_tokens=490, rcvbuf=4096)
        s.read(chunks=5)
        s.close()
        billed = hub.billed(s.id, 20)
        need(5 <= billed['completion_tokens'] <= 490 and 'estimated' not in billed['flags'], billed)
        cut += billed['status'] == 499 and billed['completion_tokens'] < 490
    need(cut > 0, 'none was cut')
    replied(hub.chat(max_tokens=1), 200, 'afterwards')


def hub_restarts_engine(hub):
    pids = hub.engines()
    need(pids, 'an engine')
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: hub.engines() and hub.engines() != pids, 'another engine')
    hub.wait_ready()
    replied(hub.chat(max_tokens=1), 200, 'with the other engine')


def hub_adds(hub):
    """What --engine names, beside whatever is found; and who cannot be run says why."""
    hub.cli('model', 'add', 'own', str(MODELS['stories']), '--engine', 'reference')
    hub.cli('deploy', 'own')
    hub.wait_ready('own')
    a, b = (hub.chat(model=m, temperature=0, max_tokens=60).json()['choices'][0]['message']['content'] for m in ('own', 'stories'))
    same(a, b, 'two replicas of one file')
    def again(engine):
        hub.cli('undeploy', 'own')
        wait_for(lambda: hub.deployment('own') is None, 'it is gone')
        hub.cli('deploy', 'own', '--engine', engine)

    def detail():
        replicas = (hub.deployment('own') or {}).get('replicas') or [{}]
        return 'was not found' in (replicas[0].get('detail') or '')
    again('llama-server')
    wait_for(detail, 'the reason')
    again('reference')
    hub.wait_ready('own')
    same(hub.chat(model='own', temperature=0, max_tokens=60).json()['choices'][0]['message']['content'], a, 'it is back')
    hub.cli('undeploy', 'own')
    wait_for(lambda: hub.deployment('own') is None, 'it is gone')
    for engine in ('url', 'nothing'):
        need('engine' in hub.api('POST', '/api/v1/deployments', {'model': 'own', 'engine': engine}, status=400)['error']['message'])
    need(hub.deployment('own') is None, 'what is refused changes nothing')
    with tempfile.TemporaryDirectory() as tmp:
        other = pathlib.Path(tmp) / 'other.gguf'
        other.write_bytes(MODELS['stories'].read_bytes().replace(b'blk.3.ffn_up.weight', b'blk.3.ffn_up.wait__'))
        hub.cli('model', 'add', 'other', str(other))
        hub.cli('deploy', 'other')
        log = hub.data / 'logs' / 'other-0.log'
        wait_for(lambda: log.exists() and 'does not know this tensor' in log.read_text(errors='replace'), 'the reason in its log')
        need(hub.deployment('other')['replicas'][0]['state'] != 'ready', 'it is not ready')


def speed(folder, name):
    """CPU time a token beside llama-server's, in the same minute; told, not judged."""
    out = []
    with reference(MODELS[name], folder) as ref, llama(MODELS[name], folder) as other:
        for what, body in (('writing', {'prompt': 'Once upon a time', 'max_tokens': 300, 'ignore_eos': True}),
                           ('reading', {'prompt': '{} The cat sat on the mat. ' * 12, 'max_tokens': 1})):
            took = {}
            for _ in range(4):
                for who, peer in (('reference', ref), ('llama-server', other)):
                    start = peer.cpu_s()
                    timings = peer.post('/v1/completions', {'temperature': 0, **body,
                                                            'prompt': body['prompt'].replace('{}', str(len(took)))})['timings']
                    n = timings['predicted_n'] if what == 'writing' else max(1, timings['prompt_n'])
                    took[who] = min(took.get(who, 9), (peer.cpu_s() - start) / n)
            ours, theirs = took['reference'], took['llama-server']
            out.append(f'{what}: {1 / ours:.0f} tokens a CPU second beside {1 / theirs:.0f}, {theirs / ours:.2f} times')
    return f'{name}: ' + '; '.join(out)


def main():
    tap = Tap()
    for name in MODELS:
        with tempfile.TemporaryDirectory(prefix='bb-ref-', dir='/tmp') as folder:
            tap.case(f'{name}: greedy beside llama-server', beside_llama, folder, name)
            tap.case(f'{name}: greedy beside llama-server that rounds nothing', beside_exact_llama, folder, name)
            tap.case(f'{name}: the same bytes at 1 and 2 threads, alone and side by side', same_bytes, folder, name)
            tap.case(f'{name}: speed', speed, folder, name)
    for function in (surface, refusals, files_refused, goes_away, stops):
        with tempfile.TemporaryDirectory(prefix='bb-ref-', dir='/tmp') as folder:
            tap.case(function.__name__.replace('_', ' '), function, folder)
    with OwnHub() as hub:
        for function in (hub_serves, hub_streams, hub_cuts, hub_restarts_engine, hub_adds):
            tap.case('a hub without llama-server: ' + function.__name__[4:].replace('_', ' '), function, hub)
    tap.done()


if __name__ == '__main__':
    main()
