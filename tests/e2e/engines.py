#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Engines at a URL: embeddings, reranking, counting, and everything that an engine can do wrong.

The engine is scripted here, so each fault is exact. The gateway must answer each one in its own form, bill what it
delivered, and never more than the bound that it had admitted.
"""
import json
import threading
import time

from workbench import FULL, Bench, Engine, Tap, need, replied, same, talk, wait_for

PRICES = {'price_prompt': '1', 'price_completion': '1'}


def only(hub, name, script, engine='url', kind='chat', **fields):
    """A context: the model `name` on an engine of its own."""
    class Served:
        def __enter__(self):
            self.engine = Engine(script)
            hub.add_url_model(name, self.engine.url + fields.pop('alias', ''), kind, engine=engine,
                              context=fields.pop('context', 512), **PRICES)
            return self.engine

        def __exit__(self, *_):
            hub.api('DELETE', f'/api/v1/deployments/{name}')
            wait_for(lambda: hub.deployment(name) is None, 'undeployed', 40)
            hub.api('DELETE', f'/api/v1/models/{name}')
            self.engine.shutdown()
            self.engine.server_close()
    return Served()


def error_of(reply, status, code):
    same(reply.status, status, reply.body[:300])
    same(reply.json()['error']['code'], code, 'code')
    return reply.json()['error']


def embeddings(hub):
    def script(request, path, body):
        same(path, '/v1/embeddings', 'path')
        inputs = body['input'] if isinstance(body['input'], list) else [body['input']]
        n = sum(len(x.split()) for x in inputs)
        request.reply(200, {'object': 'list', 'model': body['model'], 'usage': {'prompt_tokens': n, 'total_tokens': n},
                            'data': [{'object': 'embedding', 'index': i, 'embedding': [0.5, -1.25]}
                                     for i in range(len(inputs))]})
    with only(hub, 'emb', script, kind='embedding') as engine:
        reply = hub.request('POST', '/v1/embeddings', {'model': 'emb', 'input': ['a b', 'c d e'], 'dimensions': 2,
                                                       'encoding_format': 'float', 'user': 'u'})
        same(reply.status, 200, reply.body)
        same([d['embedding'] for d in reply.json()['data']], [[0.5, -1.25]] * 2, 'embeddings')
        same(engine.seen[-1], {'model': 'emb', 'input': ['a b', 'c d e'], 'dimensions': 2, 'encoding_format': 'float'},
             'what the engine was given')
        bill = hub.billed(reply.fields['x-request-id'])
        same((bill['prompt_tokens'], bill['completion_tokens'], bill['cost']), (5, 0, 5000), 'bill')
        for field in ({'max_tokens': 5}, {'stream': True}, {'n': 2}, {'messages': []}, {'truncate': True}):
            wrong = hub.request('POST', '/v1/embeddings', {'model': 'emb', 'input': 'x', **field})
            same((wrong.status, wrong.json()['error']['param']), (400, next(iter(field))), wrong.body)
        wrong = hub.chat(model='emb')
        same((wrong.status, wrong.json()['error']['param']), (400, 'model'), 'chat of an embedding model')
        same([m['kind'] for m in hub.request('GET', '/v1/models').json()['data'] if m['id'] == 'emb'], ['embedding'],
             'kind')


def reranking(hub):
    def script(request, path, body):
        same(path, '/v1/rerank', 'path')
        request.reply(200, {'model': body['model'], 'usage': {'total_tokens': 17},
                            'results': [{'index': i, 'relevance_score': 1 / (i + 1)}
                                        for i in range(len(body['documents']))][:body.get('top_n', 99)]})
    with only(hub, 'rank', script, kind='rerank') as engine:
        reply = hub.request('POST', '/v1/rerank', {'model': 'rank', 'query': 'q', 'documents': ['a', 'b', 'c'],
                                                   'top_n': 2})
        same(reply.status, 200, reply.body)
        same(len(reply.json()['results']), 2, 'results')
        same(engine.seen[-1], {'model': 'rank', 'query': 'q', 'documents': ['a', 'b', 'c'], 'top_n': 2}, 'forwarded')
        same(hub.billed(reply.fields['x-request-id'])['prompt_tokens'], 17, 'billed')
        for body in ({'documents': ['a']}, {'query': 'q'}, {'query': 'q', 'documents': []},
                     {'query': 1, 'documents': ['a']},
                     {'query': 'q', 'documents': 'a'}):
            replied(hub.request('POST', '/v1/rerank', {'model': 'rank', **body}), 400, body)


def alias(hub):
    """http://…#name: the engine knows the model by another name; the client never sees it."""
    with only(hub, 'ours', talk(), alias='#their/name') as engine:
        reply = hub.chat(model='ours', max_tokens=3)
        same(reply.status, 200, reply.body)
        same(engine.seen[-1]['model'], 'their/name', 'name upstream')
        with hub.stream(model='ours', max_tokens=3) as s:
            s.read()
            same({e['model'] for e in s.events}, {'ours'}, 'names in the stream')
        same(reply.json()['model'], 'ours', 'name in a whole answer')


def counting_chunks(hub):
    """One token a chunk until the final usage says it exactly."""
    def script(request, _path, body):
        request.begin()
        request.event({'choices': [{'index': 0, 'delta': {'role': 'assistant', 'content': ''}}]})
        for _ in range(4):
            request.word('two words ')
        if body['max_tokens'] == 20:
            request.event({'choices': [], 'usage': {'prompt_tokens': 11, 'completion_tokens': 8, 'total_tokens': 19}})
        request.end()
    with only(hub, 'count', script):
        with hub.stream(model='count', max_tokens=20) as s:
            need(s.read().done and all('usage' not in e for e in s.events), s.events)
            bill = hub.billed(s.id)
            same((bill['prompt_tokens'], bill['completion_tokens']), (11, 8), 'billed by the final usage')
            need('estimated' not in bill['flags'], bill)
        with hub.stream(model='count', max_tokens=21) as s:
            need(s.read().done, s.events)
            bill = hub.billed(s.id)
            same(bill['completion_tokens'], 4, 'billed by chunks')
            need('estimated' in bill['flags'], bill)


def counting_usage(hub):
    """continuous_usage_stats: each chunk says how far it is; a client that goes away pays for what it got."""
    def script(request, _path, body):
        need(body['stream_options'] == {'include_usage': True, 'continuous_usage_stats': True}, body)
        request.begin()
        for i in range(1, body['max_tokens'] + 1):
            request.word('w ', usage={'prompt_tokens': 9, 'completion_tokens': 2 * i, 'total_tokens': 9 + 2 * i})
            time.sleep(0.02)
        request.end()
    with only(hub, 'vllm', script, engine='vllm-url') as engine:
        engine.healthy = True
        with hub.stream(model='vllm', max_tokens=10) as s:
            need(s.read().done, s.events)
            need(all('usage' not in e for e in s.events), 'usage that nobody asked for')
            # Twice as many tokens as it may decode: an engine's count is cut at what was agreed.
            same(hub.billed(s.id)['completion_tokens'], 10, 'billed')
        with hub.stream(model='vllm', max_tokens=100) as s:
            s.read(6)
        bill = hub.billed(s.id)
        need(12 <= bill['completion_tokens'] <= 20 and bill['prompt_tokens'] == 9, bill)


def greedy_engine(hub):
    """An engine that says more than was agreed is not believed."""
    def script(request, _path, body):
        usage = {'prompt_tokens': 10**9, 'completion_tokens': 10**12, 'total_tokens': 1, 'prompt_tokens_details':
                 {'cached_tokens': 10**15}, 'completion_tokens_details': {'reasoning_tokens': -5}}
        if body.get('stream'):
            request.begin()
            request.word('a')
            request.event({'choices': [], 'usage': usage})
            request.end()
        else:
            request.reply(200, {'choices': [], 'usage': usage})
    with only(hub, 'greedy', script):
        reply = hub.chat(model='greedy', max_tokens=7)
        bill = hub.billed(reply.fields['x-request-id'])
        need(bill['completion_tokens'] <= 7 and bill['prompt_tokens'] <= 512, bill)
        with hub.stream(model='greedy', max_tokens=7) as s:
            s.read()
            bill = hub.billed(s.id)
            need(bill['completion_tokens'] <= 7 and bill['prompt_tokens'] <= 512, bill)


def silent_about_usage(hub):
    """No usage in a whole answer: billed at the bound that was agreed to, and flagged."""
    def script(request, _path, _body):
        request.reply(200, {'choices': [{'index': 0, 'message': {'role': 'assistant', 'content': 'x'}}]})
    with only(hub, 'silent', script):
        bill = hub.billed(hub.chat(model='silent', max_tokens=7).fields['x-request-id'])
        need('estimated' in bill['flags'] and bill['completion_tokens'] <= 7, bill)


def breaks_off(hub):
    """In the middle of a stream: an error event, and what was delivered is billed."""
    def script(request, _path, body):
        request.begin()
        for _ in range(5):
            request.word('w ')
        how = body['max_tokens']
        if how == 11:
            request.break_off()
        elif how == 12:
            request.end(done=False)
        elif how == 13:
            request.event({'error': {'message': 'out of memory', 'type': 'server_error'}})
            request.end()
        elif how == 14:
            request.raw(b'data: {"choices":[{"index":0,"del\n\n')
            request.end()
        elif how == 15:
            request.raw(b'data: [1,2]\n\n')
            request.end()
        elif how == 16:
            request.event(b'[DONE]')
            request.word('after the end')
            request.end(done=False)
        elif how == 17:
            request.raw(b'data: ' + b'x' * (5 << 20))
            request.break_off()
    with only(hub, 'frail', script):
        for how in range(11, 18):
            with hub.stream(model='frail', max_tokens=how) as s:
                s.read()
                need(not s.broken, f'{how}: the answer ends properly')
                if how == 16 and s.done:
                    continue
                need(s.error and not s.done, f'{how}: {s.events[-1:]} {s.done}')
                bill = hub.billed(s.id)
                same((bill['completion_tokens'], bill['status']), (5, 502), f'{how}: bill')
                need('cut' in bill['flags'], bill)
        replied(hub.chat(max_tokens=1), 200, 'the rest works')


def whole_answers_go_wrong(hub):
    def script(request, _path, body):
        how = body['max_tokens']
        if how == 1:
            request.reply(200, b'not json')
        elif how == 2:
            request.reply(200, b'[1]')
        elif how == 3:
            request.reply(200, b'')
        elif how == 4:
            request.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"a":')
            request.break_off()
        elif how == 5:
            request.wfile.write(b'garbage\r\n\r\n')
            request.break_off()
        elif how == 6:
            request.break_off()
        elif how == 7:
            request.reply(500, {'error': {'message': 'it broke'}})
        elif how == 8:
            request.reply(500, b'<html>oops</html>', 'text/html')
        elif how == 9:
            request.reply(302, b'', 'text/plain')
        elif how == 10:
            request.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} ')
            request.break_off()
        elif how == 11:
            request.reply(429, {'error': {'message': 'busy'}})
        elif how == 12:
            request.reply(401, {'error': {'message': 'their key is wrong'}})
    with only(hub, 'wrong', script):
        spent = hub.tenant()['spent']
        for how in range(1, 13):
            for stream in (False, True):
                reply = hub.chat(model='wrong', max_tokens=how, **({'stream': True} if stream else {}))
                found = reply.json()['error']
                what = f'{how}, stream {stream}: {reply.status} {found}'
                if how <= 10:
                    same((reply.status, found['code']), (502, 'engine_error'), what)
                else:
                    # The engine's own limits and credentials are not the client's: it must not be told 400 or 401.
                    need(reply.status in (502, 503), what)
                need('bb_' not in found['message'] and found['message'], what)
        same(hub.tenant()['spent'], spent, 'nothing is billed')


def error_mapping(hub):
    """The engine's words arrive, in our form; its status becomes one that is true of us."""
    cases = {400: (400, None), 422: (400, None), 413: (413, None), 501: (501, None), 503: (503, 'no_replica'),
             429: (503, 'overloaded'), **{n: (502, 'engine_error') for n in (401, 403, 404, 408, 500, 502, 504)}}

    def script(request, _path, body):
        request.reply(body['max_tokens'],
                      {'error': {'message': f"because {body['max_tokens']}", 'type': 't', 'code': 'c'}})
    with only(hub, 'says', script, context=1000):
        found = {}
        for status, (expected, code) in cases.items():
            reply = hub.chat(model='says', max_tokens=status)
            same(f'because {status}', reply.json()['error']['message'], 'message')
            found[status] = reply.status
            same((reply.status, reply.json()['error']['code']), (expected, code), f'{status} became {reply.body!r}')
        long = 'x' * 5000
        with only(hub, 'long', lambda r, p, b: r.reply(400, {'error': {'message': long + '\n"\\\u0001é'}})):
            need(len(hub.chat(model='long').json()['error']['message']) < 1000, 'a long message is cut')
        text = 'é' * 400
        with only(hub, 'wide', lambda r, p, b: r.reply(400, {'error': {'message': text}})):
            for _ in range(2):
                hub.chat(model='wide').json()['error']['message'].encode()  # cut, and still UTF-8
                text = 'x' + text
        return found


def llama_words(hub):
    """The real engine's own refusal, in our form: a prompt longer than the context."""
    reply = hub.chat(messages=[{'role': 'user', 'content': 'word ' * 3000}], max_tokens=3)
    same(reply.status, 400, reply.body[:300])
    need('context' in reply.json()['error']['message'], reply.json())
    bad = hub.chat(response_format={'type': 'json_schema', 'json_schema': {'schema': {'type': 'nonsense'}}},
                   max_tokens=2)
    need(bad.status in (200, 400), bad.body[:300])
    same(bad.json().get('error', {}).get('type', 'invalid_request_error'), 'invalid_request_error', 'type')


def never_answers(hub):
    """It takes the request and is silent: others are served meanwhile, and a client that goes away ends it."""
    gate = threading.Event()
    def script(request, _path, _body):
        gate.wait(20)
        request.break_off()
    with only(hub, 'mute', script) as engine:
        results = []
        t = threading.Thread(target=lambda: results.append(hub.chat(model='mute', max_tokens=2)))
        t.start()
        wait_for(lambda: engine.seen, 'asked')
        for _ in range(10):
            replied(hub.chat(max_tokens=2), 200, 'other models')
        gate.set()
        t.join()
        error_of(results[0], 502, 'engine_error')


def refuses_connections(hub):
    def script(request, path, body):
        talk()(request, path, body)
        request.close_connection = True  # without having said so: the gateway finds out
    with only(hub, 'gone', script) as engine:
        for _ in range(20):
            replied(hub.chat(model='gone', max_tokens=2), 200, 'while it runs')
        engine.shutdown()
        engine.socket.close()
        start = time.monotonic()
        reply = hub.chat(model='gone', max_tokens=2, timeout=150)
        need(reply.status in (502, 503), reply.body)
        return f'{reply.status} after {time.monotonic() - start:.1f} s'


def unhealthy_engine(hub):
    """Its health check fails: it gets no requests; well again, it does."""
    with only(hub, 'ill', talk()) as engine:
        engine.healthy = False
        wait_for(lambda: hub.deployment('ill')['replicas'][0]['state'] != 'ready', 'not ready', 15)
        engine.healthy = True
        hub.wait_ready('ill', limit_s=40)
        replied(hub.chat(model='ill', max_tokens=2), 200, 'well again')


def version_told(hub):
    """A receipt names the version that the engine told when it became ready; what it tells is a word, and nothing it does holds it up."""
    def fact(model):
        ident = hub.chat(model=model, max_tokens=2).fields['busbar-receipt']
        record = hub.request('GET', f'/v1/receipts/{ident}').json()['records'][-1]
        return {f['name']: f['value'] for f in record['facts']}.get('engine_version')

    def again(engine, version):
        """The engine goes, and comes back as another one."""
        engine.healthy = False
        wait_for(lambda: hub.deployment('told')['replicas'][0]['state'] != 'ready', 'not ready', 15)
        engine.version, engine.healthy = version, True
        hub.wait_ready('told', limit_s=40)
    with only(hub, 'told', talk(), engine='vllm-url') as engine:
        same((fact('told'), hub.deployment('told')['replicas'][0]['version']), ('unknown',) * 2, 'it tells none')
        again(engine, {'version': '0.11.0rc2+cu128'})
        same((fact('told'), hub.deployment('told')['replicas'][0]['version']), ('0.11.0rc2+cu128',) * 2, 'as it says')
        again(engine, {'version': 'a\nb\x7f\u00fc' + 'c' * 100})
        same(fact('told'), 'ab' + 'c' * 61, 'one line, and short')
        for odd in ({'version': 7}, ['version'], {'version': ''}, b'{', {'version': 'x' * (2 << 20)}):
            again(engine, odd)
            same(fact('told'), 'unknown', str(odd)[:40])
        silent = threading.Event()
        again(engine, lambda _request: silent.wait(30))
        silent.set()
        same(fact('told'), 'unknown', 'it said nothing in time')
    with only(hub, 'mute', talk()):
        same(fact('mute'), 'unknown', 'nobody knows where to ask')


def strange_streams(hub):
    """What SSE allows: comments, CR LF, several data lines, events split at every byte, other fields."""
    event = json.dumps({'choices': [{'index': 0, 'delta': {'content': 'w'}}]})
    split = event.index('"delta"')
    forms = {21: f': comment\r\ndata: {event}\r\n\r\ndata: [DONE]\r\n\r\n',
             22: f'event: x\nid: 4\nretry: 9\ndata:{event}\n\ndata:[DONE]\n\n',
             23: f'data: {event[:split]}\ndata: {event[split:]}\n\ndata: [DONE]\n\n',
             24: f'data: {event}\r\rdata: [DONE]\r\r'}

    def script(request, _path, body):
        request.begin()
        data = forms[body['max_tokens']].encode()
        for i in range(len(data)):
            request.raw(data[i:i + 1])
        request.end(done=False)
    with only(hub, 'odd', script):
        for how in forms:
            with hub.stream(model='odd', max_tokens=how) as s:
                s.read()
                need(s.done and s.text == 'w' and not s.error, f'{how}: {s.events} {s.done}')


def tricky_words(hub):
    """Text arrives as it was sent: escapes, surrogates, NUL, wide characters."""
    text = 'a"\\\n\t\u0000é漢😀</script>\u2028'

    def script(request, _path, body):
        same(body['messages'][0]['content'], text, 'what the engine was given')
        request.begin()
        request.word(text)
        request.end()
    with only(hub, 'wide', script, alias='#x'):
        with hub.stream(model='wide', max_tokens=4, messages=[{'role': 'user', 'content': text}]) as s:
            same(s.read().text, text, 'text')


def many_streams(hub):
    """Many at once over all workers: none gets another's words."""
    def script(request, _path, body):
        word = body['messages'][0]['content']
        request.begin()
        for _ in range(body['max_tokens']):
            request.word(word + ' ')
        request.end()
    with only(hub, 'mirror', script):
        wrong = []

        def one(i):
            with hub.stream(model='mirror', max_tokens=30, messages=[{'role': 'user', 'content': f'n{i}'}]) as s:
                if s.read().text != f'n{i} ' * 30 or not s.done:
                    wrong.append((i, s.text[:100]))
        threads = [threading.Thread(target=one, args=(i,)) for i in range(400 if FULL else 100)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        same(wrong, [], 'streams that differ')


def main():
    tap = Tap()
    with Bench() as hub:
        for case in (embeddings, reranking, alias, counting_chunks, counting_usage, greedy_engine, silent_about_usage,
                     breaks_off, whole_answers_go_wrong, error_mapping, llama_words, never_answers, refuses_connections,
                     unhealthy_engine, version_told, strange_streams, tricky_words, many_streams):
            if case is refuses_connections and not FULL:
                continue  # the gateway tries for a minute
            tap.case(case.__name__.replace('_', ' '), case, hub)
        tap.case('the hub stops cleanly', lambda: same(hub.stop(), 0, 'exit status'))
    tap.done()


if __name__ == '__main__':
    main()
