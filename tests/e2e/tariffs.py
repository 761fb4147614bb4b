#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What is in force, shown as a tariff: applied again it changes nothing, whatever was applied before, now or at any time to come.

Tariffs are made at random with BUSBAR_SEED over everything that one can say; each is applied over those before it.
"""
import datetime
import json
import os
import random

from site_agent import CONFIG, Field, Site
from workbench import FAILED, FULL, OK, Tap, need, replied, same, wait_for

SEED = int(os.environ.get('BUSBAR_SEED') or 1)
ROUNDS = 60 if FULL else 12
MODELS = ('oak', 'elm', 'ash')
TENANTS = ('default', 'user', 'other')


def shown(f, *options):
    done = f.bench.run('tariff', 'show', *options)
    same(done.returncode, OK, done.stderr)
    return done.stdout


def differs(f, text):
    """What a tariff would change."""
    done = f.bench.run('tariff', 'diff', '-', '--json', stdin=text)
    same(done.returncode, OK, f'{done.stderr}\n{text}')
    return json.loads(done.stdout)['data']


def coming(f):
    return json.loads(shown(f, '--json'))['to_come']


def moment(seconds):
    then = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return then.strftime('%Y-%m-%dT%H:%M:%SZ')


def figure(rng, decimals=9):
    return f'{rng.randrange(10 ** rng.randrange(1, 12)) / 10 ** decimals:.{decimals}f}'


def prices(rng, own=False):
    if own and rng.random() < .3:
        return 'general: yes'
    words = f'input: {figure(rng)}, output: {figure(rng)}'
    return words + (f', cached: {figure(rng)}' if rng.random() < .5 else '') + (f', reasoning: {figure(rng)}' if rng.random() < .5 else '')


def terms(rng):
    out = f'hour: {figure(rng)}'
    if rng.random() < .6:
        out += f', deferrable: {rng.randrange(501) / 10}, interruptible: {rng.randrange(501) / 10}'
    if rng.random() < .5:
        edge = rng.randrange(1, 24)
        out += f', bands: [{{hours: 0-{edge}, factor: {rng.randrange(5000) / 1000}}}, {{hours: {edge}-24, factor: {rng.randrange(5000) / 1000}}}]'
    elif rng.random() < .5:
        out += f', bands: [{{hours: 22-7, factor: {rng.randrange(5000) / 1000}}}]'
    if rng.random() < .5:
        out += f', signal: {{min: {rng.randrange(1000) / 1000}, max: {rng.randrange(1000, 2000) / 1000}}}'
    return out + rng.choice(('', ', energy: pass-through', ', energy: included'))


def some(rng, names):
    return rng.sample(names, rng.randrange(len(names) + 1))


def owner(rng, kinds):
    lines = [f'    minimum: {figure(rng)}']
    for key, names, text in (('models', MODELS, lambda n: f'{{name: {n}, {prices(rng, True)}}}'),
                             ('chips', kinds, lambda n: f'{{kind: {n}, {rng.choice(("general: yes", "hour: " + figure(rng)))}}}')):
        items = [text(n) for n in some(rng, names)]
        lines += [f'    {key}: [{", ".join(items)}]'] if items else []
    free = [f'{{model: {n}, tokens: {rng.randrange(3) * rng.randrange(10 ** 6)}}}' for n in some(rng, MODELS)]
    free += [f'{{chip: {n}, {rng.choice((f"hours: {rng.randrange(5000) / 1000}", f"chip_ms: {rng.randrange(10 ** 7)}"))}}}' for n in some(rng, kinds)]
    return '\n'.join(lines + ([f'    free: [{", ".join(free)}]'] if free else []))


def any_tariff(rng, kinds, start):
    text = f'tariff: any\ncurrency: USD\n{start}models:\n'
    text += ''.join(f'  - {{name: {n}, {prices(rng)}}}\n' for n in some(rng, MODELS) or ['oak'])
    text += 'chips:\n' + ''.join(f'  - {{kind: {n}, {terms(rng)}}}\n' for n in some(rng, kinds) or [kinds[0]])
    if rng.random() < .7:
        text += f'corridors:\n  - {{a: north, b: local, gb: {figure(rng)}}}\n'
    tenants = some(rng, TENANTS)
    return text + ('tenants:\n' + ''.join(f'  {n}:\n{owner(rng, kinds)}\n' for n in tenants) if tenants else '')


def all_there(f, kinds, *options):
    """What `tariff diff` says there is now, of everything that there can be, is what is shown; where nothing is shown it is the general one, or 0."""
    found = json.loads(shown(f, *options, '--json'))['tariff']
    odd = 'input: 999999, output: 999999, cached: 999999, reasoning: 999999'
    probe = 'tariff: odd\ncurrency: USD\n' + (f'from: {found["from"]}\n' if 'from' in found else '')
    probe += 'models:\n' + ''.join(f'  - {{name: {n}, {odd}}}\n' for n in MODELS)
    probe += 'chips:\n' + ''.join(f'  - {{kind: {n}, hour: 999999}}\n' for n in kinds) + 'corridors:\n  - {a: local, b: north, gb: 999999}\ntenants:\n'
    for tenant in TENANTS:
        probe += f'  {tenant}:\n    minimum: 999999\n    models: [{", ".join(f"{{name: {n}, {odd}}}" for n in MODELS)}]\n'
        probe += f'    chips: [{", ".join(f"{{kind: {n}, hour: 999999}}" for n in kinds)}]\n    free: ['
        probe += ', '.join([f'{{model: {n}, tokens: 999999999999999}}' for n in MODELS] + [f'{{chip: {n}, hours: 999999}}' for n in kinds]) + ']\n'
    told = {}
    for name, part in [(None, found)] + [(t['name'], t) for t in found['tenants']]:
        told[(name, 'all', 'minimum')] = part.get('minimum', '0')
        for m in part['models']:
            told.update({(name, m['name'], key): m[key] for key in ('input', 'cached', 'output', 'reasoning')})
        told.update({(name, c['kind'], 'chip-hour'): c['hour'] for c in part['chips']})
        for free in part.get('free', []):
            if 'model' in free:
                told[(name, free['model'], 'free tokens')] = str(free['tokens'])
            else:
                told[(name, free['chip'], 'free chip-hours')] = f'{free["chip_ms"] // 3600000}.{free["chip_ms"] // 3600 % 1000:03}'
    told.update({(None, f'{c["a"]}/{c["b"]}', 'GB'): c['gb'] for c in found['corridors']})
    rows, zero = differs(f, probe), {'minimum': '0', 'free tokens': '0', 'free chip-hours': '0.000'}
    need(len(rows) > 4 * len(MODELS) * (1 + len(TENANTS)), rows)
    for row in rows:
        key = (row.get('tenant'), row['what'], row['price_of'])
        if row['price_of'] in ('bands', 'signal', 'energy', 'deferrable', 'interruptible'):
            chip = next(c for c in found['chips'] if c['kind'] == row['what'])
            need(chip[row['price_of']] not in (0, [], 'included'), row, chip)
        else:
            same(row['now'], told.get(key, zero.get(row['price_of'], 'general')), row)


def round_trip(f):
    """After each tariff, at once or for a time to come: what is shown, for now and for every time at which something changes, says what
    holds then, to the nano-unit; a tenant's part is a tariff too."""
    rng = random.Random(SEED)
    kinds = sorted({p['chip'] for p in f.bench.api('GET', '/api/v1/pools')['data']})
    same(len(kinds), 2, kinds)
    for i in range(ROUNDS):
        later = rng.random() < .5
        text = any_tariff(rng, kinds, f'from: {moment(3600 * rng.randrange(1, 9))}\n' if later else '')
        done = f.bench.run('tariff', 'apply', '-', stdin=text)
        same(done.returncode, OK, f'{done.stderr}\n{text}')
        same(differs(f, text), [], f'round {i}: as it was told\n{text}')
        now = shown(f)
        same(differs(f, now), [], f'round {i}: now\n{now}\n{text}')
        all_there(f, kinds)
        for at in coming(f):
            all_there(f, kinds, '--at', at)
            then = shown(f, '--at', at)
            need(f'from: {at}' in then, then)
            same(differs(f, then), [], f'round {i}: at {at}\n{then}')
    for name in TENANTS:
        own = shown(f, '--tenant', name)
        same(differs(f, own), [], own)
        need(not any(f'  {n}:\n' in own for n in TENANTS if n != name), 'nobody else is in it', own)
    need(coming(f), 'there is something to come')


def complete(f):
    """Each figure of it counts: with another one in its place something would change. Applied as it is, it is shown again."""
    before = shown(f)
    for key in ('input: ', 'hour: ', 'gb: ', 'minimum: ', 'tokens: ', 'deferrable: '):
        at = before.find(key)
        need(at >= 0, key, before)
        end = min(x for x in (before.find(c, at + len(key)) for c in ',}\n') if x >= 0)
        other = before[:at + len(key)] + ('17' if key == 'tokens: ' else '17.5') + before[end:]
        need(differs(f, other), f'{key}: another figure is a change', other)
    same(f.bench.run('tariff', 'apply', '-', stdin=before).returncode, OK, 'applied once more')
    same(shown(f), before, 'nothing has changed')


def left_out(f):
    """Pools of a kind at two prices are in no tariff; that is said, and the rest is there."""
    pools = f.bench.api('GET', '/api/v1/pools')['data']
    own = next(p for p in pools if p['site'] == 'local')
    text = shown(f)
    need(f'kind: {own["chip"]},' in text, text)
    second = Site()
    second.enter(f.bench, 'south')
    (second.data / 'site.yaml').write_text(CONFIG.format(data=second.data))
    second.run()
    wait_for(lambda: len([p for p in f.bench.api('GET', '/api/v1/pools')['data'] if p['chip'] == 'h20']) == 2, 'two pools of h20', 20)
    other = next(p for p in f.bench.api('GET', '/api/v1/pools')['data'] if p['site'] == 'south')
    f.bench.api('PUT', f'/api/v1/pools/{other["id"]}/price', {'price': '77'})
    text = shown(f)
    need('# Left out: the pools of h20 cost different amounts.' in text and 'kind: h20, hour: 77' not in text, text)
    same(differs(f, text), [], text)
    second.end()


def refusals(f):
    replied(f.bench.request('GET', '/api/v1/tariff?at=soon', local=True), 400, 'no time')
    replied(f.bench.request('GET', f'/api/v1/tariff?at={moment(-60)}', local=True), 400, 'over')
    replied(f.bench.request('GET', '/api/v1/tariff?tenant=nobody', local=True), 404, 'nobody')
    replied(f.bench.request('GET', '/api/v1/tariff', key=f.bench.add_key('t', tenant='user', scopes=['admin'])['key']), 403, 'an operator\'s')
    f.bench.api('POST', '/api/v1/tenants', {'name': 'abroad', 'budget': '1', 'currency': 'EUR'})
    done = f.bench.run('tariff', 'show')
    need(done.returncode == FAILED and 'different currencies' in done.stderr, done)
    need('currency: EUR' in shown(f, '--tenant', 'abroad') and 'currency: USD' in shown(f, '--tenant', 'user'), 'of one tenant')
    done = f.bench.run('tariff', 'diff', '-', stdin='tariff: x\n')
    need(done.returncode == FAILED and 'currency' in done.stderr, done)


def main():
    tap = Tap()
    with Field() as f:
        for name in TENANTS[1:]:
            f.bench.api('POST', '/api/v1/tenants', {'name': name, 'budget': '1'})
        for name in MODELS:
            f.bench.api('POST', '/api/v1/models', {'name': name, 'source': 'http://127.0.0.1:9', 'engine': 'url', 'kind': 'chat', 'context': 64})
        tap.note(f'seed {SEED}, {ROUNDS} tariffs')
        tap.case('shown and applied, nothing changes', round_trip, f)
        tap.case('whatever changes is seen', complete, f)
        tap.case('what no tariff can say', left_out, f)
        tap.case('refused', refusals, f)
    tap.done()


if __name__ == '__main__':
    main()
