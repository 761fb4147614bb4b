#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""busbar plan --measured: what clusters did teaches what their chips deliver, and every mistake in the file is told in words."""
import json
import pathlib
import tempfile

from workbench import FAILED, OK, Tap, busbar, need, same

MODEL, LAYERS = 'llama-3.1-8b', 32
ALONE = {'a100': 60.0, 'l40s': 24.0}  # tokens a second with the whole model: less than their data sheets promise


def plan(folder, text, *args, status=OK, on='a100:1,l40s:1'):
    path = pathlib.Path(folder) / 'measured.yaml'
    if text is not None:
        path.write_text(text, encoding='utf-8')
    more = ('--measured', str(path)) if text is not None else ()
    done = busbar(status, 'plan', MODEL, '--on', on, '--goal', 'latency', '--groups', '1', '--context', '256', *more, *args, '--json',
                  BUSBAR_HUB='http://127.0.0.1:9')
    return json.loads(done.stdout) if status == OK else done.stderr


def row(tokens_s, *stages, **more):
    told = ', '.join(f'{{chip: {chip}, layers: {n}{", head: yes" if i == len(stages) - 1 else ""}}}' for i, (chip, n) in enumerate(stages))
    rest = ''.join(f', {k}: {v}' for k, v in more.items())
    return f'  - {{tokens_s: {tokens_s}{rest}, stages: [{told}]}}\n'


def near(a, b, share, what):
    need(abs(a - b) <= share * abs(b), f'{what}: {a} is not {b}')


def alone():
    return ''.join(row(v, (chip, LAYERS)) for chip, v in ALONE.items())


def teaches(folder):
    text = 'hop_us: 150\nmeasured:\n' + alone() + row(30, ('a100', 12), ('l40s', 20), check='yes')
    got = plan(folder, text)
    rows = got['measured']['rows']
    for taught, (chip, v) in zip(rows, ALONE.items()):
        near(taught['corrected'], v, 0.001, f'{chip} alone, with what was measured')
        need(taught['predicted'] > 1.1 * v, taught)
    # The head is with the last stage; it is some twentieth of what all layers are.
    layer = {chip: 1 / v / (LAYERS * (1 + 0.075)) for chip, v in ALONE.items()}
    near(rows[2]['corrected'], 1 / (12 * layer['a100'] + 22.4 * layer['l40s'] + 0.0003), 0.02, 'the split')
    same([r['check'] for r in rows], [False, False, True], 'what is a check')
    shares = {c['chip']: c for c in got['measured']['chips']}
    same(sorted(shares), ['a100', 'l40s'], 'chips')
    need(all('compute' not in c and 0.2 < c['bandwidth'] < 0.8 for c in shares.values()), shares)
    replica = got['replicas'][0]
    same([s['chip'] for s in replica['stages']], ['a100'], 'the slow one is left out, and the fast one is as measured')
    near(replica['tokens_s'], ALONE['a100'], 0.001, 'tokens a second')
    need(plan(folder, None)['tokens_s'] > 1.1 * replica['tokens_s'], 'without what was measured the data sheet counts')
    text = busbar(OK, 'plan', MODEL, '--on', 'a100:1', '--measured', f'{folder}/measured.yaml').stdout
    need('of its data sheet\'s bandwidth' in text and '(a check)' in text and 'corrected by what was measured' in text, text)


def changes_the_choice(folder):
    """Of two chips that each could hold the model, the one is taken that was measured to be faster, whatever the data sheets say."""
    told = 'measured:\n' + row(1.0, ('a100', LAYERS)) + row(30.0, ('l40s', LAYERS))
    before, after = plan(folder, None)['replicas'][0], plan(folder, told)['replicas'][0]
    same((before['stages'][0]['chip'], after['stages'][0]['chip']), ('a100', 'l40s'), 'which is taken')


def compute_bound(folder):
    """With many requests in a step the chip waits for its computing, so that is what is learnt."""
    got = plan(folder, 'measured:\n' + row(5000, ('a100', LAYERS), batch=2048, context=16), on='a100:1')
    chip = got['measured']['chips'][0]
    need('compute' in chip and 'bandwidth' not in chip, chip)
    near(got['measured']['rows'][0]['corrected'], 5000, 0.01, 'as measured')


def in_its_format(folder):
    """A row that names no model is of the planned one in its format: with 8 bits a chip computes faster, so that is no news of it."""
    told = 'measured:\n' + row(9000, ('h100', LAYERS), batch=2048, context=16)
    shares = [plan(folder, told, '--quant', quant, on='h100:1')['measured']['chips'][0]['compute'] for quant in ('bf16', 'fp8')]
    need(shares[1] < 0.85 * shares[0], shares)


def other_models(folder):
    """A row of another model teaches of the same chip."""
    other = row(30, ('a100', 80), model='llama-3.1-70b', format='q4_0')
    got = plan(folder, 'measured:\n' + other, on='a100:1')
    near(got['measured']['rows'][0]['corrected'], 30, 0.001, 'as measured')


def mistakes(folder):
    for text, words in ((row(1, ('none', LAYERS)), 'none is not in the catalogue of chips'), (row(1, ('a100', 31)), '31 layers'),
                        (row(1, ('a100', LAYERS), model='llama-9', format='f16'), 'llama-9 in f16 is not in the catalogue'),
                        (row(1, ('a100', LAYERS), model='llama-3.1-8b'), 'model and format go together'),
                        (row(0, ('a100', LAYERS)), 'tokens_s'), (row(1, ('a100', LAYERS), speed=1), 'speed'),
                        (row(1), 'stages'), (row(1, ('a100', LAYERS)).replace('head: yes', 'head: no'), '0 heads'), ('  a: 1\n', 'measured')):
        said = plan(folder, 'measured:\n' + text, status=FAILED)
        need(words in said and 'measured.yaml' in said, f'{text}: {said}')
    need('hop_us' in plan(folder, 'hop_us: -1\nmeasured:\n' + alone(), status=FAILED), 'a hop before it begins')
    pathlib.Path(folder, 'measured.yaml').unlink()
    done = busbar(FAILED, 'plan', MODEL, '--on', 'a100:1', '--measured', f'{folder}/measured.yaml')
    need('measured.yaml' in done.stderr, done.stderr)


def main():
    tap = Tap()
    for case in (teaches, changes_the_choice, compute_bound, in_its_format, other_models, mistakes):
        with tempfile.TemporaryDirectory() as folder:
            tap.case(case.__name__.replace('_', ' '), case, folder)
    tap.done()


if __name__ == '__main__':
    main()
