#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every status of the OpenAI surface, what each refusal says, and that an answer's usage is what was recorded."""
import concurrent.futures
import json
import threading
import time

from workbench import STORY, Bench, Engine, Tap, nano, need, replied, same, talk

TYPES = {400: 'invalid_request_error', 401: 'authentication_error', 402: 'insufficient_quota', 403: 'permission_error',
         404: 'invalid_request_error', 405: 'invalid_request_error', 413: 'invalid_request_error',
         429: 'rate_limit_error', 503: 'server_error'}


def refused(reply, status, code=None, param=None):
    """The reply is an error in OpenAI's form."""
    same(reply.status, status, f'status of {reply.body[:300]!r}')
    error = reply.json()['error']
    same(sorted(error), ['code', 'message', 'param', 'type'], 'members of the error')
    need(error['message'] and 'bb_' not in error['message'].replace('bb_...', ''), 'a message, and no key in it', error)
    same(error['type'], TYPES[status], 'type')
    if code:
        same(error['code'], code, 'code')
    if param:
        same(error['param'], param, 'param')
    return reply


def post(hub, body, key='', path='/v1/chat/completions'):
    return hub.request('POST', path, body, key=key)


def chat_body(**fields):
    return {'model': 'stories', 'messages': STORY, **fields}


def keys_are_refused(hub):
    for key in (None, 'x', 'sk-123', hub.key[:-1] + ('0' if hub.key[-1] != '0' else '1'), hub.key + 'a',
                hub.key.replace('_', '-'), 'bb_' + 'a' * 70):
        reply = refused(post(hub, chat_body(), key=key), 401, 'invalid_api_key')
        need('www-authenticate' in reply.fields, 'a 401 names the scheme')
    basic = hub.request('POST', '/v1/chat/completions', chat_body(), key=None,
                        fields=[f'Authorization: Basic {hub.key}'])
    refused(basic, 401)
    other = hub.add_key('short')
    replied(hub.chat(other['key'], max_tokens=1), 200, 'before it is revoked')
    hub.api('DELETE', f"/api/v1/keys/{other['public_id']}")
    refused(hub.chat(other['key'], max_tokens=1), 401, 'invalid_api_key')


def key_expires(hub):
    for _ in range(5):  # this machine may stall for longer than the key lives
        expires = int(time.time()) + 2
        key = hub.add_key('brief', expires=expires)['key']
        reply = hub.chat(key, max_tokens=1)
        if time.time() < expires:
            break
    replied(reply, 200, 'before it expires')
    time.sleep(2.1)
    refused(hub.chat(key, max_tokens=1), 401, 'invalid_api_key')
    refused(hub.request('GET', '/v1/models', key=key), 401)


def scope_and_model(hub):
    admin = hub.add_key('desk', scopes=['admin'])['key']
    refused(hub.chat(admin), 403, 'forbidden')
    limited = hub.add_key('limited', models=['away'])['key']
    refused(hub.chat(limited), 403)
    same([m['id'] for m in hub.request('GET', '/v1/models', key=limited).json()['data']], ['away'],
         'models of the limited key')
    refused(hub.request('GET', '/v1/models/stories', key=limited), 404)


def unknown_things(hub):
    for name in ('nope', '', 'Stories', 'stories ', '../stories', 'x' * 5000):
        refused(hub.chat(model=name), 404, 'model_not_found')
    refused(hub.request('GET', '/v1/models/nope'), 404)
    for path in ('/v1/nothing', '/v1', '/v1/', '/nothing', '/v1/chat/completions/x', '/v2/chat/completions'):
        refused(hub.request('POST', path, chat_body()), 404)
    for method, path in (('GET', '/v1/chat/completions'), ('PUT', '/v1/completions'), ('DELETE', '/v1/models'),
                         ('POST', '/v1/models'), ('PATCH', '/v1/embeddings')):
        refused(hub.request(method, path), 405)


def budget_spent(hub):
    hub.api('POST', '/api/v1/tenants', {'name': 'poor', 'budget': '0.000001'})
    poor = hub.add_key('poor', tenant='poor')['key']
    reply = refused(hub.chat(poor, max_tokens=8), 402, 'insufficient_quota')
    need('retry-after' not in reply.fields, 'no retry-after: it would not help')
    same(hub.tenant('poor')['spent'], 0, 'spent')
    hub.api('PUT', '/api/v1/tenants/poor/budget', {'budget': '1'})
    replied(hub.chat(poor, max_tokens=8), 200, 'with a budget')
    small = hub.add_key('small', tenant='poor', budget='0.000001')['key']
    refused(hub.chat(small, max_tokens=8), 402, 'insufficient_quota')


def too_large(hub):
    body = json.dumps(chat_body(messages=[{'role': 'user', 'content': 'x' * (9 << 20)}])).encode()
    refused(post(hub, body), 413)
    replied(hub.request('GET', '/v1/models'), 200, 'afterwards')


def rate_requests(hub):
    key = hub.add_key('rpm', rpm=3)['key']
    left = []
    for _ in range(3):
        reply = hub.chat(key, max_tokens=1)
        same(reply.status, 200, 'within the rate')
        same(reply.fields.get('x-ratelimit-limit-requests'), '3', 'limit')
        left.append(int(reply.fields['x-ratelimit-remaining-requests']))
        need(reply.fields['x-ratelimit-reset-requests'].endswith('ms'), 'reset')
    same(left, [2, 1, 0], 'remaining')
    reply = refused(hub.chat(key, max_tokens=1), 429, 'rate_limit_exceeded')
    need(1 <= int(reply.fields['retry-after']) <= 20, 'retry-after', reply.fields)
    same(reply.fields.get('x-ratelimit-remaining-requests'), '0', 'remaining')
    other = hub.add_key('rpm2', rpm=60)['key']
    stream = hub.stream(other, max_tokens=1).read()
    same(stream.fields.get('x-ratelimit-remaining-requests'), '59', 'on a stream')
    stream.close()


def rate_tokens(hub):
    key = hub.add_key('tpm', tpm=600)['key']
    reply = hub.chat(key, max_tokens=8)
    same(reply.status, 200, 'first')
    same(reply.fields.get('x-ratelimit-limit-tokens'), '600', 'limit')
    need('x-ratelimit-remaining-tokens' in reply.fields, reply.fields)
    # What the first reserved and did not use is free again, so the next fits too.
    replied(hub.chat(key, max_tokens=8), 200, 'second')
    seen = []
    for _ in range(40):
        seen.append(hub.chat(key, max_tokens=100).status)
        if seen[-1] != 200:
            break
    reply = refused(hub.chat(key, max_tokens=100), 429, 'rate_limit_exceeded')
    need(1 <= int(reply.fields['retry-after']) <= 60, 'retry-after', reply.fields)
    # Only what was used counts: 600 tokens a minute and about 110 a request.
    need(3 <= len(seen) <= 7, f'{len(seen)} requests went through: {seen}')


def start_without_replica(hub):
    """A deployed model whose engine does not answer: the request waits for a slot, in the background of this test."""
    refused(hub.chat(model='away'), 503, 'no_replica')
    hub.api('POST', '/api/v1/deployments', {'model': 'away'})
    found = {}

    def wait():
        start = time.monotonic()
        found['reply'], found['seconds'] = hub.chat(model='away', timeout=90), time.monotonic() - start
    found['thread'] = threading.Thread(target=wait)
    found['thread'].start()
    return found


def no_replica(hub, found):
    found['thread'].join()
    reply = refused(found['reply'], 503, 'no_replica')
    need('retry-after' in reply.fields, 'retry-after')
    hub.api('DELETE', '/api/v1/deployments/away')
    refused(hub.chat(model='away'), 503, 'no_replica')
    return f"deployed without a working engine: 503 after {found['seconds']:.1f} s"


LENGTHENING = [{'n_predict': 400}, {'ignore_eos': True}, {'best_of': 4}, {'num_predict': 400}, {'min_tokens': 400},
               {'max_new_tokens': 400}, {'max_length': 400}, {'num_ctx': 100000}, {'n_keep': 1}, {'echo': True},
               {'cache_prompt': False}, {'n_cmpl': 4}, {'id_slot': 1}, {'use_beam_search': True}, {'min_new_tokens': 9},
               {'truncate_prompt_tokens': 1}, {'guided_regex': 'a'}, {'extra_body': {'n': 4}}, {'options': {}}]
BAD_COUNTS = [0, -1, 1 << 31, 1 << 63, 1 << 64, 10**30, '5', 5.0, 1.5, True, [], {}]


def lengthening_fields(hub):
    for path, body in (('/v1/chat/completions', chat_body()), ('/v1/completions', {'model': 'stories', 'prompt': 'x'})):
        for field in LENGTHENING:
            name = next(iter(field))
            reply = refused(post(hub, {**body, **field, 'max_tokens': 1}, path=path), 400, None, name)
            need(name in reply.json()['error']['message'], 'the message names', name)


def wrong_counts(hub):
    for name in ('max_tokens', 'max_completion_tokens', 'n'):
        for value in BAD_COUNTS:
            refused(post(hub, chat_body(**{name: value})), 400, None, name)
    for value in (17, 100, 1 << 20):
        refused(post(hub, chat_body(n=value)), 400, None, 'n')
    refused(post(hub, chat_body(max_tokens=4, max_completion_tokens=4)), 400, None, 'max_completion_tokens')
    refused(post(hub, {'model': 'stories', 'prompt': 'x', 'max_completion_tokens': 4}, path='/v1/completions'), 400,
            None,
            'max_completion_tokens')
    raw = b'{"model":"stories","messages":[{"role":"user","content":"x"}],"max_tokens":1e2}'
    refused(post(hub, raw), 400, None, 'max_tokens')


def wrong_bodies(hub):
    for body in (b'', b'{', b'[]', b'null', b'"x"', b'{"model":1}', b'{}', b'\xff\xfe', b'{"model":"stories"}',
                 b'{"model":"stories","messages":"x"}', b'{"model":"stories","messages":[]}',
                 b'{"model":"stories","messages":[1]}', b'{"model":"stories","messages":[{"content":"x"}]}',
                 b'{"model":"stories","messages":[{"role":"user","content":"x"}]} x',
                 b'{"model":"stories","messages":[{"role":"user","content":"x"}],}',
                 b'{"model":"stories","messages":[{"role":"user","content":NaN}]}',
                 b'[' * 100000, b'{"a":' * 50000,
                 b'{"model":"stories","messages":[{"role":"user","content":"\\ud800"}]}'):
        refused(post(hub, body), 400)
    for body in (chat_body(stream='yes'), chat_body(stream=1), chat_body(stream_options={'include_usage': True}),
                 chat_body(stream=False, stream_options={'include_usage': True}),
                 chat_body(stream=True, stream_options=[]), chat_body(stream=True,
                                                                      stream_options={'include_usage': 1})):
        refused(post(hub, body), 400)
    refused(post(hub, {'model': 'stories', 'prompt': []}, path='/v1/completions'), 400, None, 'prompt')
    refused(post(hub, {'model': 'stories', 'prompt': ['x'] * 2049}, path='/v1/completions'), 400, None, 'prompt')
    refused(post(hub, {**chat_body(), 'prompt': 'x'}), 400, None, 'prompt')


def words_are_cut_whole(hub):
    """A refusal that quotes the caller quotes whole characters: its body is always UTF-8."""
    for pad in ('', 'x', 'xx', 'xxx'):
        for name in (pad + 'é' * 400, pad + '漢' * 400, pad + '😀' * 400):
            for reply in (hub.chat(model=name), hub.chat(**{name: 1}),
                          hub.request('POST', '/api/v1/tenants', {'name': 'x', name: 1}, key=hub.operator),
                          hub.request('POST', '/api/v1/deployments', {'model': name[:20]}, key=hub.operator)):
                need(400 <= reply.status < 500, reply.status)
                reply.body.decode()
                reply.json()


def wrong_kind(hub):
    refused(post(hub, {'model': 'stories', 'input': 'x'}, path='/v1/embeddings'), 400, None, 'model')
    refused(post(hub, {'model': 'stories', 'query': 'x', 'documents': ['y']}, path='/v1/rerank'), 400, None, 'model')


def only_answers_are_billed(hub):
    same(hub.tenant()['spent'], sum(nano(r['cost']) for r in hub.records('default')), 'spent')
    need(all(r['status'] == 200 for r in hub.records()), 'only answers were recorded')


def dropped_fields(hub):
    extra = {'user': 'u', 'metadata': {'a': 'b'}, 'store': True, 'service_tier': 'auto', 'safety_identifier': 's',
             'prompt_cache_key': 'k'}
    replied(hub.chat(**extra, max_tokens=2), 200, 'llama-server')
    with Engine(talk()) as engine:
        hub.add_url_model('spy', engine.url)
        replied(hub.chat(model='spy', **extra, max_tokens=2), 200, 'engine at a URL')
        hub.api('DELETE', '/api/v1/deployments/spy')
        same(sorted(engine.seen[-1]), ['max_tokens', 'messages', 'model'], 'what the engine was given')
        same(engine.seen[-1]['max_tokens'], 2, 'max_tokens')


def duplicate_keys(hub):
    """Whatever a duplicate key means, it means the same to the price and to the engine."""
    with Engine(talk()) as engine:
        hub.add_url_model('twice', engine.url)
        for first, second in ((3, 400), (400, 3)):
            raw = (f'{{"model":"twice","model":"twice","max_tokens":{first},"messages":[{{"role":"user","content":"x"}}],'
                   f'"max_tokens":{second},"\\u006dax_tokens":{second},"temperature":0,"temperature":1}}')
            reply = post(hub, raw.encode())
            if reply.status == 400:
                continue
            same(reply.status, 200, 'status')
            body = engine.seen[-1]
            need(body['max_tokens'] in (3, 400), body)
            same(hub.billed(reply.fields['x-request-id'])['completion_tokens'], body['max_tokens'], 'billed')
        raw = b'{"model":"stories","model":"twice","messages":[{"role":"user","content":"x"}],"max_tokens":3}'
        reply = post(hub, raw)
        if reply.status == 200:
            found = hub.records_of(reply.fields['x-request-id'])[0]['model']
            model = reply.json()['model']
            same(hub.api('GET', f'/api/v1/models/{model}')['id'], found, 'the billed model is the one that answered')
        hub.api('DELETE', '/api/v1/deployments/twice')


def output_is_cut(hub):
    for n in (1, 2, 7, 40):
        for fields in ({'max_tokens': n}, {'max_completion_tokens': n}):
            reply = hub.chat(**fields, temperature=0, seed=1)
            same(reply.status, 200, reply.body)
            usage = reply.json()['usage']
            same(usage['completion_tokens'], n, 'completion tokens')
            same(reply.json()['choices'][0]['finish_reason'], 'length', 'finish reason')
            bill = hub.billed(reply.fields['x-request-id'])
            same({k: bill[k] for k in ('prompt_tokens', 'completion_tokens')},
                 {k: usage[k] for k in ('prompt_tokens', 'completion_tokens')}, 'record and usage')
            same(bill['cached_tokens'], usage['prompt_tokens_details']['cached_tokens'], 'cached')
        with hub.stream(max_tokens=n, temperature=0, stream_options={'include_usage': True}).read() as s:
            need(s.done and not s.broken, 'a whole stream')
            same(s.usage['completion_tokens'], n, 'streamed completion tokens')
            same(s.chunks, n, 'chunks with text')
            same(hub.billed(s.id)['completion_tokens'], n, 'billed')
        with hub.stream(max_tokens=n, temperature=0).read() as s:
            need(all('usage' not in e and 'timings' not in e for e in s.events), 'usage without being asked for')
            same(hub.billed(s.id)['completion_tokens'], n, 'billed')
    reply = hub.request('POST', '/v1/completions', {'model': 'stories', 'prompt': 'Once', 'max_tokens': 9,
                                                    'temperature': 0})
    same(reply.json()['usage']['completion_tokens'], 9, 'completions')
    same(hub.billed(reply.fields['x-request-id'])['completion_tokens'], 9, 'completions billed')


def default_is_context(hub):
    """Without max_tokens the context is the bound, and it is never passed."""
    reply = hub.chat(temperature=1, seed=3)
    usage = reply.json()['usage']
    need(usage['total_tokens'] <= 512, usage)
    same(hub.billed(reply.fields['x-request-id'])['completion_tokens'], usage['completion_tokens'], 'billed')


def answer_is_clean(hub):
    reply = hub.chat(max_tokens=3)
    same(sorted(set(reply.json()) & {'timings', '__verbose'}), [], 'members of the engine in a whole answer')
    same(reply.json()['model'], 'stories', 'model')


def choices_are_metered(hub):
    """n=2 decodes twice, so it is billed twice; whole answers and streams alike."""
    before = hub.engine_metric('tokens_predicted_total')
    reply = hub.chat(n=2, max_tokens=11, temperature=0)
    if reply.status == 400:
        same(reply.json()['error']['param'], 'n', 'refused, and says why')
        return 'n=2 is refused'
    same(reply.status, 200, reply.body)
    same(len(reply.json()['choices']), 2, 'choices')
    same(hub.engine_metric('tokens_predicted_total') - before, 22, 'decoded by the engine')
    same(reply.json()['usage']['completion_tokens'], 22, 'usage in the answer')
    same(hub.billed(reply.fields['x-request-id'])['completion_tokens'], 22, 'billed')
    return None


def streamed_choices_are_metered(hub):
    with hub.stream(n=2, max_tokens=11, temperature=0, stream_options={'include_usage': True}) as s:
        if s.status == 400:
            return 'n=2 is refused'
        s.read()
        same(s.chunks, 22, 'chunks')
        same(hub.billed(s.id)['completion_tokens'], 22, 'billed')
        same(s.usage['completion_tokens'], 22, 'usage in the stream')
    return None


def several_prompts(hub):
    before = hub.engine_metric('tokens_predicted_total')
    reply = hub.request('POST', '/v1/completions', {'model': 'stories', 'prompt': ['Once', 'The cat'], 'max_tokens': 6,
                                                    'temperature': 0})
    if reply.status in (400, 501, 502):
        return f'several prompts: {reply.status}'
    same(reply.status, 200, reply.body)
    need(isinstance(reply.json(), dict), 'the answer is an object')
    decoded = hub.engine_metric('tokens_predicted_total') - before
    same(hub.billed(reply.fields['x-request-id'])['completion_tokens'], decoded, 'billed')
    same(reply.json()['usage']['completion_tokens'], decoded, 'usage')
    return None


def every_answer_has_an_id(hub):
    replies = {'200': hub.chat(max_tokens=1), '401': hub.chat('x'), '404': hub.chat(model='nope'),
               '400': hub.chat(max_tokens=-1), '400 field': hub.chat(best_of=2),
               'models': hub.request('GET', '/v1/models'),
               'path': hub.request('POST', '/v1/nothing', {}), 'method': hub.request('GET', '/v1/chat/completions'),
               'mine': hub.request('POST', '/v1/chat/completions', chat_body(max_tokens=1),
                                   fields=['x-request-id: mine'])}
    ids = {name: reply.fields.get('x-request-id') for name, reply in replies.items()}
    same([name for name, found in ids.items() if not found], [], 'answers without x-request-id')
    same(len(set(ids.values())), len(ids), 'different ids')
    need(ids['mine'] != 'mine', "a client cannot choose the record's id")


def waiting_gets_a_slot(hub):
    """More requests than slots: all are answered, none is refused."""
    stream = hub.stream(max_tokens=60, temperature=0)
    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        found = list(pool.map(lambda _: hub.chat(max_tokens=20).status, range(48)))
    same(set(found), {200}, 'statuses')
    need(stream.read().done, 'the stream too')
    stream.close()


def main():
    tap = Tap()
    with Bench() as hub:
        hub.add_url_model('away', 'http://127.0.0.1:9', deploy=False)
        waiting = start_without_replica(hub)
        for case in (keys_are_refused, key_expires, scope_and_model, unknown_things, budget_spent, too_large,
                     lengthening_fields, wrong_counts, wrong_bodies, words_are_cut_whole, wrong_kind,
                     only_answers_are_billed, rate_requests,
                     rate_tokens, dropped_fields, duplicate_keys, output_is_cut, default_is_context,
                     answer_is_clean, choices_are_metered, streamed_choices_are_metered, several_prompts,
                     every_answer_has_an_id,
                     waiting_gets_a_slot):
            tap.case(case.__name__.replace('_', ' '), case, hub)
        tap.case('no replica', no_replica, hub, waiting)
        tap.case('the hub stops cleanly', lambda: same(hub.stop(), 0, 'exit status'))
    tap.done()


if __name__ == '__main__':
    main()
