#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The official `openai` npm package against the hub, and its usage numbers against the hub's records."""
import json
import os
import shutil
import subprocess

from workbench import ROOT, Bench, Engine, Tap, need, same, talk

FOLDER = ROOT / '.deps' / 'npm'


def install():
    """Why there is no client, or None."""
    for program in ('node', 'npm'):
        if not shutil.which(program):
            return f'{program} is not installed'
    if (FOLDER / 'node_modules' / 'openai' / 'package.json').exists():
        return None
    FOLDER.mkdir(parents=True, exist_ok=True)
    for _ in range(2):  # a registry may be slow once
        try:
            done = subprocess.run(['npm', 'install', '--no-audit', '--no-fund', '--prefix', '.', 'openai'], cwd=FOLDER,
                                  text=True, capture_output=True, timeout=120, check=False)
        except subprocess.TimeoutExpired:
            why = 'npm install openai: no end after 120 s'
            continue
        if done.returncode == 0:
            return None
        why = f'npm install openai: {done.stdout}{done.stderr}'.replace('\n', ' ')[-300:]
    return why


def call_tools(request, path, body):
    """An engine that calls the tool it is offered, in pieces when it streams."""
    if 'tools' not in body:
        talk(0.01)(request, path, body)
        return
    same([body['tool_choice'], body['parallel_tool_calls'], body['tools'][0]['function']['name']],
         ['required', False, 'go'], 'what the engine was given')
    usage = {'prompt_tokens': 9, 'completion_tokens': 4, 'total_tokens': 13}
    head = {'index': 0, 'id': 'c1', 'type': 'function'}
    base = {'id': 'x', 'object': 'chat.completion.chunk', 'created': 1, 'model': body['model']}
    if not body.get('stream'):
        call = {'id': 'c1', 'type': 'function', 'function': {'name': 'go', 'arguments': '{"to":true}'}}
        request.reply(200, {**base, 'object': 'chat.completion', 'usage': usage, 'choices': [
            {'index': 0, 'finish_reason': 'tool_calls', 'message': {'role': 'assistant', 'tool_calls': [call]}}]})
        return
    request.begin()
    for piece in ({**head, 'function': {'name': 'go', 'arguments': ''}},
                  {'index': 0, 'function': {'arguments': '{"to":'}},
                  {'index': 0, 'function': {'arguments': 'true}'}}):
        request.event({**base, 'choices': [{'index': 0, 'delta': {'tool_calls': [piece]}, 'finish_reason': None}]})
    request.event({**base, 'choices': [{'index': 0, 'delta': {}, 'finish_reason': 'tool_calls'}]})
    request.event({**base, 'choices': [], 'usage': usage})
    request.end()


def check_facts(hub, facts):
    """What the client saw is what the hub recorded."""
    if not facts:
        return
    bill = hub.billed(facts['id'])
    if 'aborted' in facts:
        need('aborted' in bill['flags'] and bill['status'] == 499, bill)
        need(facts['aborted'] <= bill['completion_tokens'] < 400, facts, bill)
        return
    for name, n in facts['usage'].items():
        if name in bill:
            same(bill[name], n, f'recorded {name}')


def main():
    tap = Tap()
    why = install()
    if why:
        tap.skip('the openai package', why)
        tap.done()
    with Engine(call_tools) as engine, Bench() as hub:
        hub.add_url_model('slow', engine.url)
        hub.add_url_model('tooled', engine.url)
        hub.api('POST', '/api/v1/tenants', {'name': 'poor', 'budget': '0.000001'})
        keys = {'good': hub.key,
                'admin': hub.add_key('admin', scopes=['admin'])['key'],
                'limited': hub.add_key('limited', models=['slow'])['key'],
                'poor': hub.add_key('poor', tenant='poor')['key'],
                'rated': hub.add_key('rated', rpm=1)['key'],
                'patient': hub.add_key('patient', rpm=30)['key']}
        revoked = hub.add_key('revoked')
        keys['revoked'] = revoked['key']
        hub.api('DELETE', f"/api/v1/keys/{revoked['public_id']}")
        script = FOLDER / 'openai_client.mjs'  # beside node_modules, where node looks for the package
        shutil.copyfile(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'openai_client.mjs'), script)
        done = subprocess.run(['node', str(script)], text=True, capture_output=True, timeout=120, check=False,
                              env={**os.environ, 'BASE': f'{hub.address}/v1', 'KEYS': json.dumps(keys)})
        for line in done.stdout.splitlines():
            found = json.loads(line)
            if found['ok']:
                tap.case(found['name'], check_facts, hub, found['facts'])
            else:
                tap.ok(False, found['name'], found['error'])
        tap.ok(done.returncode == 0, 'the client ran to its end', done.stderr)
    tap.done()


if __name__ == '__main__':
    main()
