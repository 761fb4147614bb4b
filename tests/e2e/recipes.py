#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Recipes without a hub: the catalogue, where a model can be served, and which models outlive a loss. What `model without` says has to be what
a drill in the simulator does: the same replicas lost and running again, of each model on each kind of chip."""
import json
import os
import pathlib
import tempfile

from workbench import FAILED, NOT_FOUND, OK, ROOT, USAGE, Bench, Tap, busbar, need, same

NETWORK = str(ROOT / 'data' / 'network' / 'illustrative.yaml')
FULL = os.environ.get('BUSBAR_FULL') == '1'
US = ('nvidia', 'amd', 'intel')
CN = ('huawei', 'cambricon', 'moore-threads', 'metax', 'hygon', 'kunlunxin')


def run(status, *args):
    return busbar(status, *args, BUSBAR_HUB='http://127.0.0.1:9')


def data(*args):
    return json.loads(run(OK, *args, '--json').stdout)


def check_catalogue():
    families = data('model', 'catalogue')['families']
    same(len([f for f in families if f['name'] != 'stories']), 40, 'families')
    names = [m['name'] for f in families for m in f['models']]
    same(len(names), len(set(names)), 'models in one family each')
    for m in (m for f in families for m in f['models']):
        need(m['layers'] > 0 and m['heads'] > 0 and m['context'] > 0 and m['licence'] and len(m['origin']) == 2, m['name'])
        near = m['params'] * 4.5 / 8
        need(abs(m['bytes']['q4_0'] - near) <= 1, f"{m['name']} in q4_0")
    one = data('model', 'catalogue', 'phi-4-mini', '--format', 'bf16')['families']
    same([[m['name'] for m in f['models']] for f in one], [['phi-4-mini']], 'one of a family')
    same(list(one[0]['models'][0]['bytes']), ['bf16'], 'one format')
    need('deepseek-v3' in run(OK, 'model', 'catalogue').stdout, 'in a table')
    need('671.03 B' in run(OK, 'model', 'catalogue', 'deepseek-v3').stdout, 'its sizes')
    need('did you mean phi-4' in run(NOT_FOUND, 'model', 'catalogue', 'phi-44').stderr, 'near')


def kinds(*args):
    return {k['chip']: k for k in data('model', 'where', *args, '--network', NETWORK)['kinds']}


def check_where():
    got = kinds('qwen2.5-72b')
    same((got['h100']['recipe'], got['h100']['status'], got['h100']['format']), ('vllm CUDA', 'documented', 'bf16'), 'an h100')
    same(got['ascend910b']['recipe'], 'vllm-ascend', 'an Ascend')
    need(got['ascend910b']['chips_least'] > got['h100']['chips_least'] == 2, 'less memory, more chips')
    for k in got.values():
        same(k['can'], bool(k['sites']), f"sites of {k['chip']}")
        if k['can']:
            same(k['tokens_s'], k['replicas'] * k['replica']['tokens_s'], f"all of {k['chip']}")
    same((got['gaudi3']['why'], got['mlu590']['why'], got['p800']['why']), ('untested', 'not-published', 'no-recipe'), 'why not')
    same(kinds('qwen2.5-72b', '--untested')['gaudi3']['recipe'], 'vllm-gaudi', 'what nobody tested')
    q4 = kinds('qwen2.5-72b', '--format', 'q4_0')
    same((q4['h100']['recipe'], q4['h100']['chips_least'], q4['metax-c500']['why']), ('llama.cpp CUDA', 1, 'no-format'), 'in q4_0')
    with tempfile.TemporaryDirectory() as tmp:
        rules = pathlib.Path(tmp) / 'r.rules'
        rules.write_text('deny chinese-models-in-the-us\n    when model.origin = CN and site.jurisdiction = US\n'
                         '    because "of a test"\n    cite "this file"\n')
        ruled = kinds('qwen2.5-72b', '--rules', str(rules))
    need('us-houston' in got['h100']['sites'] and 'us-houston' not in ruled['h100']['sites'], 'rules that forbid a site')
    need('fr-paris' in ruled['h100']['sites'], 'and not another')


def check_sums(told, with_again):
    """Both are printed by the same code, so its sums are done here once more, from what each kind of chips has."""
    for m in told['models']:
        kept = [k['before'] - k['lost'] for k in m['kinds']]
        same(min(kept + [0]), 0, f"{m['model']}: no more is lost than there was")
        for name, count in (('replicas', 'before'), ('lost', 'lost'), ('again', 'again')):
            same(m[name], sum(k[count] for k in m['kinds']), f"{m['model']}: {name}")
        same(m['left'], sum(kept) + m['again'], f"{m['model']}: left")
        same(m['tokens_s'], sum(k['before'] * k['tokens_s'] for k in m['kinds']), f"{m['model']}: tokens/s")
        same(m['tokens_s_after'], sum((n + k['again']) * k['tokens_s'] for n, k in zip(kept, m['kinds'])), f"{m['model']}: tokens/s after")
    same(told['again'], sum(m['again'] for m in told['models']), 'again')
    need(told['again'] > 0 or not with_again, 'some run again')
    for m in told['models'] if FULL else told['models'][::8]:
        got = kinds(m['model'])
        for k in m['kinds']:
            one = got[k['chip']]
            same((k['chips'], k['tokens_s']), (one['replica']['chips'], one['replica']['tokens_s']), f"{m['model']} on {k['chip']}")


def check_equal(share, losses, with_again=False):
    """The simulator counts core's effects; `model without` counts what a copy of core has."""
    for what, vendors in losses:
        told = data('model', 'without', what, '--share', str(share))
        drill = ','.join(f'lose:vendor={v}@10m' for v in vendors) if vendors else f'lose:{what}@10m'
        played = data('sim', '--network', NETWORK, '--standing', 'all', '--share', str(share), '--until', '20m', '--drill', drill)
        same(played['violations'], 0, 'what the checker found')
        same(len(told['models']), 40, 'families')
        same(told['models'], played['models'], f'without {what}, {share} %')
        need(told['lost'] > 0 and told['tokens_s_lost'] > 0, f'{what} is something')
        check_sums(told, with_again)
        left = {m['model'] for m in played['models'] if m['left'] > 0}
        fates = told['fates']
        same({m for m, f in fates.items() if f in ('survives', 'untouched')}, left, 'survivors')
        same(told['survive'] + told['untouched'] + told['die'] + told['no_place'], 40, 'each has a fate')
        same(told['tokens_s'] - told['tokens_s_lost'] + told['tokens_s_again'], sum(m['tokens_s_after'] for m in played['models']),
             'what is left of the throughput')
        print(f"# without {what}, {share} %: {told['survive']} survive, {told['untouched']} untouched, {told['die']} die; "
              f"{told['lost']} of {told['replicas']} replicas lost, {told['again']} again; "
              f"{100 * told['tokens_s_lost'] / told['tokens_s']:.1f} % of tokens/s lost, "
              f"{100 * told['tokens_s_again'] / told['tokens_s']:.1f} % back")


def check_without():
    check_equal(30, [('vendor=nvidia', None)], with_again=True)
    if FULL:
        check_equal(60, [('vendor=nvidia', None), ('vendor=huawei', None), ('vendor=amd', None), ('site=cn-guian', None), ('origin=US', US), ('origin=CN', CN)])
        check_equal(30, [('vendor=huawei', None), ('origin=US', US), ('origin=CN', CN)])
    got = data('model', 'without', 'vendor=nvidia', 'minimax-m2', 'phi-2', '--replicas', '4')
    same([m['model'] for m in got['models']], ['minimax-m2', 'phi-2'], 'two of them')
    same([m['wanted'] for m in got['models']], [4, 4], 'as many as asked for')
    # Only AMD, Gaudi and NVIDIA have a recipe for it in fp8, all of one country.
    got = data('model', 'without', 'origin=US', 'mistral-large', '--format', 'fp8', '--replicas', '2')
    same(got['fates'], {'mistral-large-2411': 'dies-no-recipe'}, 'nothing is left that has a recipe')
    same(data('model', 'without', 'origin=US', 'baichuan2', '--format', 'fp8', '--replicas', '2')['fates'],
         {'baichuan2-13b': 'no-recipe'}, 'there was none before')
    need('without vendor=amd: of 1 models' in run(OK, 'model', 'without', 'vendor=amd', 'phi-2', '--replicas', '1').stdout, 'words')


def check_mistakes():
    bad = (((USAGE, 'model', 'without', 'chip=h100'), 'vendor=NAME'), ((NOT_FOUND, 'model', 'without', 'vendor=acme'), 'nothing of it'),
           ((NOT_FOUND, 'model', 'without', 'site=nowhere'), 'nothing of it'), ((USAGE, 'model', 'without'), ''),
           ((NOT_FOUND, 'model', 'without', 'vendor=amd', 'llama-9'), 'no such model'),
           ((USAGE, 'model', 'without', 'vendor=amd', '--share', '101'), '--share'),
           ((USAGE, 'model', 'without', 'vendor=amd', '--share', '3', '--replicas', '3'), '--replicas'),
           ((NOT_FOUND, 'model', 'where', 'phi-2', '--network', NETWORK, '--format', 'q9'), 'no format q9'),
           ((USAGE, 'model', 'where', 'phi-2', '--format', 'f16'), 'goes with --network'),
           ((FAILED, 'model', 'where', 'phi-2', '--network', '/nowhere.yaml'), ''),
           ((USAGE, 'sim', '--standing', 'all'), ''), ((USAGE, 'sim', '--network', NETWORK, '--share', '3', '--until', '1m'), 'goes with'))
    for args, words in bad:
        need(words in run(*args).stderr, f'{args}: {words}')
    with tempfile.TemporaryDirectory() as tmp:
        own = pathlib.Path(tmp) / 'r.yaml'
        text = (ROOT / 'data' / 'recipes.yaml').read_text()
        own.write_text(text.replace('chips: [cpu]', 'chips: [abacus]', 1))
        said = run(FAILED, 'model', 'catalogue', '--recipes', str(own)).stderr
        line = next(i for i, t in enumerate(own.read_text().splitlines(), 1) if 'abacus' in t)
        need(f'r.yaml:{line}: recipes[' in said and 'there is no chip abacus' in said, said)


def check_hub():
    """A hub's own models: matched by name, or by what their file is built as; a URL needs no recipe."""
    model = str(ROOT / 'data' / 'models' / 'stories.gguf')
    with Bench() as hub:
        for name in ('phi-2', 'mine'):
            same(hub.run('model', 'add', name, model).returncode, OK, f'model add {name}')
        hub.api('POST', '/api/v1/models', {'name': 'far', 'source': 'http://127.0.0.1:9', 'engine': 'url'})
        by_name = {m['name']: m for m in json.loads(hub.run('model', 'list', '--json').stdout)['data']}
        same(by_name['phi-2']['catalogue'], {'licence': 'MIT', 'origin': 'US', 'use': 'free'}, 'what the catalogue knows')
        need('catalogue' not in by_name['mine'], 'of one that is not in it nothing is known')
        got = {}
        for name in ('stories', 'phi-2', 'mine'):
            done = hub.run('model', 'where', name, '--json')
            same(done.returncode, OK, done.stderr)
            row, = json.loads(done.stdout)['data']
            same((row['site'], row['chip'], row['can'], row['replica_chips'], row['text']), ('local', 'cpu', True, 1, ''), name)
            got[name] = row['recipe'], row['status']
        same(got, {'stories': ('llama.cpp CPU, measured', 'measured'), 'phi-2': ('llama.cpp CPU, documented', 'documented'),
                   'mine': ('llama.cpp CPU, documented', 'documented')}, 'recipes')
        done = hub.run('model', 'where', 'far')
        need(done.returncode == FAILED and 'needs no recipe' in done.stderr, done.stderr)
        need('nobody' in hub.run('model', 'where', 'nobody').stderr, 'no such model')
        same(hub.run('undeploy', 'stories').returncode, OK, 'undeploy')
        done = hub.run('deploy', 'mine', '--site', 'local', '--json')
        same(done.returncode, OK, done.stderr)
        d = json.loads(done.stdout)
        same((d['recipes'], d['chip'], d['chips']), ('cpu: llama.cpp CPU, documented', 'cpu', 1), 'what it goes by')
        need('cpu: llama.cpp CPU' in hub.run('deployments').stdout, 'the table says it')


def main():
    tap = Tap()
    for case in (check_catalogue, check_where, check_without, check_mistakes, check_hub):
        tap.case(case.__name__.replace('_', ' '), case)
    tap.done()


if __name__ == '__main__':
    main()
