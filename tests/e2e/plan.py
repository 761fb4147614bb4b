#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""busbar plan, without a hub: what is set up from files and options, what is printed, and every mistake in words."""
import json
import pathlib
import re
import tempfile

from workbench import FAILED, NOT_FOUND, OK, ROOT, USAGE, Tap, busbar, need, same

MODEL = str(ROOT / 'data' / 'models' / 'stories.gguf')


def run(status, *args, verb='plan'):
    return busbar(status, verb, *args, BUSBAR_HUB='http://127.0.0.1:9')


def predictions(status, *args):
    return run(status, *args, verb='predictions')


def plan(*args):
    return json.loads(run(OK, *args, '--json').stdout)


def near(a, b, share, what):
    need(abs(a - b) <= share * abs(b), f'{what}: {a} is not {b}')


def check_numbers():
    """One request on one chip, memory-bound: by hand from data/chips.yaml and data/models.yaml."""
    got = plan('llama-3.1-8b', '--on', 'h100:1', '--goal', 'latency', '--context', '1000')
    replica = got['replicas'][0]
    weights = got['weights_bytes']
    near(weights, 16.06e9, 0.001, 'weights')
    same(got['kv_bytes_token'], 32 * 2 * 2 * 8 * 128, 'keys and values')
    table = 2 * 128256 * 4096  # of which a step reads one of two
    read = (weights - table + got['kv_bytes_token'] * 1000) / (3.35e12 * 0.8)
    near(replica['tpot_us'], read * 1e6, 0.001, 'a token')
    near(got['tokens_s'], 1e6 / replica['tpot_us'], 0.001, 'tokens a second')
    same(replica['stages'], [{'chip': 'h100', 'site': '', 'chips': 1, 'layers': 32, 'head': True}], 'stages')
    near(got['equivalent']['chips'], 1, 0.001, 'it is itself')
    # A quarter of the bytes, a bit more than a quarter of the time.
    less = plan('llama-3.1-8b', '--on', 'h100:1', '--goal', 'latency', '--context', '1000', '--quant', 'q4_0')
    near(less['weights_bytes'], weights * 4.5 / 16, 0.001, 'q4_0')
    need(0.28 < less['replicas'][0]['tpot_us'] / replica['tpot_us'] < 0.3, 'a quarter of the bytes')
    # Half of the bandwidth, twice the time.
    half = plan('llama-3.1-8b', '--on', 'h100:1', '--goal', 'latency', '--context', '1000', '--efficiency', 'bandwidth=0.4')
    near(half['replicas'][0]['tpot_us'], 2 * replica['tpot_us'], 0.001, 'half of the bandwidth')


def check_sums():
    """What is told is consistent with itself: chips, layers, tokens."""
    for on, want in (('ascend910b:16,mtt-s4000:8', {'ascend910b': 16, 'mtt-s4000': 8}), ('h100:11', {'h100': 11}),
                     ('a100:4@north,a100:4@south', {'a100': 8})):
        got = plan('llama-3.1-70b', '--on', on, '--goal', 'throughput,tpot=100ms')
        used, tokens = {}, 0
        for replica in got['replicas']:
            same(sum(s['layers'] for s in replica['stages']), 80, 'layers')
            same(sum(s['head'] for s in replica['stages']), 1, 'heads')
            same(len({s['site'] for s in replica['stages']}), 1, 'sites of a replica')
            need(replica['tpot_us'] <= 100e3, 'the goal is met')
            near(replica['tokens_s'], replica['batch'] * replica['in_flight'] / replica['tpot_us'] * 1e6, 0.001, 'tokens')
            tokens += replica['count'] * replica['tokens_s']
            for stage in replica['stages']:
                used[stage['chip']] = used.get(stage['chip'], 0) + replica['count'] * stage['chips']
        near(got['tokens_s'], tokens, 0.001, 'in all')
        for idle in got['idle']:
            used[idle['chip']] = used.get(idle['chip'], 0) + idle['chips']
        same(used, want, 'chips')
        text = run(OK, 'llama-3.1-70b', '--on', on, '--goal', 'throughput,tpot=100ms').stdout
        need(f'in all      {got["tokens_s"]:.1f} tokens/s' in text, 'the text says the same', text)


def check_spread():
    """Experts over all chips of a replica, by hand: one request each on 8 chips, all of it read from memory."""
    args = ('deepseek-r1', '--on', 'h200:8', '--quant', 'fp8', '--context', '1000', '--batch', '1', '--goal', 'tpot=20ms')
    got = plan(*args)
    replica = got['replicas'][0]
    same(replica['stages'], [{'chip': 'h200', 'site': '', 'chips': 8, 'layers': 61, 'head': True, 'attention': 1}], 'stages')
    same((replica['count'], replica['batch']), (1, 8), 'a request on each')
    hidden, heads = 7168, 128
    expert = 3 * hidden * 2048
    common = 61 * (1536 * (hidden + heads * 192) + hidden * 576 + 512 * heads * 256 + heads * 128 * hidden)
    common += 3 * 3 * hidden * 18432 + 58 * (expert + hidden * 256)
    met = 32 * (1 - (1 - 8 / 256) ** 8)  # of the 32 experts of a chip
    read = (common + 58 * met * expert + 129280 * hidden + 61 * 1000 * 1152) / (4.8e12 * 0.8)
    sent = 61 * (2 * 3e-6 + 8 * hidden * 3 * 7 / 8 / (450e9 * 0.9))
    near(replica['tpot_us'], (read + sent) * 1e6, 0.01, 'a token')
    near(replica['tokens_s'], 8e6 / replica['tpot_us'], 0.001, 'tokens a second')
    need('--tensor-parallel-size 1 --data-parallel-size 8 --enable-expert-parallel' in replica['command'], 'its command', replica)
    need('experts spread over all, attention in 8 groups of 1' in run(OK, *args).stdout, 'it is said')
    for stage in plan(*args, '--groups', '1', '--goal', 'latency')['replicas'][0]['stages']:
        need('attention' not in stage, 'without groups none is spread', stage)
    # One guessed token that is kept in 7 of 10 steps: 1.7 tokens for a step that meets more experts, but not twice as many.
    drafted = plan(*args, '--draft', '1:1.7')['replicas'][0]
    need(1 / 1.7 < drafted['tpot_us'] / replica['tpot_us'] < 1, 'guessed tokens', drafted)
    # Half of the bits, half of the bytes.
    same(plan(*args, '--kv', '8')['kv_bytes_token'] * 2, got['kv_bytes_token'], 'keys and values')
    # Where no engine spreads experts over the chips, that is said instead of a command that does something else.
    need('no engine that spreads' in run(OK, 'deepseek-r1', '--on', 'mtt-s4000:64', '--quant', 'fp8').stdout, 'no engine')


def check_many():
    """512 chips of 6 kinds: each is used or idle, and the whole does what its replicas do."""
    on = {'h100': 96, 'ascend910b': 96, 'mtt-s4000': 96, 'h20': 96, 'a100': 64, 'mi300x': 64}
    got = plan('llama-3.1-405b', '--on', ','.join(f'{c}:{n}' for c, n in on.items()), '--quant', 'fp8', '--goal', 'tpot=200ms')
    used, tokens = {i['chip']: i['chips'] for i in got['idle']}, 0
    for replica in got['replicas']:
        tokens += replica['count'] * replica['tokens_s']
        for stage in replica['stages']:
            used[stage['chip']] = used.get(stage['chip'], 0) + replica['count'] * stage['chips']
    same(used, on, 'chips')
    near(got['tokens_s'], tokens, 0.001, 'in all')


def check_engines():
    got = plan('llama-3.1-70b', '--on', 'h100:4', '--goal', 'latency')['replicas'][0]['command']
    need('vllm serve llama-3.1-70b --tensor-parallel-size 4 --pipeline-parallel-size 1 ' in got, 'vLLM', got)
    got = plan('llama-3.1-70b', '--on', 'mlu370-x8:8', '--goal', 'latency')['replicas'][0]['command']
    need('lmdeploy serve api_server --backend pytorch --device camb llama-3.1-70b --tp 8' in got, 'LMDeploy', got)
    # Unequal chips: shares of layers for llama.cpp, side by side with the stages, but that with the head is last and has one more.
    whole = plan('llama-3.1-70b', '--on', 'a100:1,l40s:2', '--goal', 'latency', '--groups', '1')['replicas'][0]
    ordered = sorted(whole['stages'], key=lambda s: s['head'])
    shares = ','.join(str(s['layers'] + s['head']) for s in ordered)
    need(len(whole['stages']) == 3 and f'-ts {shares} ' in whole['command'], 'shares', whole)
    need('--rpc HOST1:50052,HOST2:50052,HOST3:50052' in whole['command'], 'servers', whole)
    need('llama-server' in plan('llama-3.1-8b', '--on', 'h100:1', '--quant', 'q4_0')['replicas'][0]['command'], 'a GGUF')
    # Chips of two sites are one replica only if corridors may be crossed.
    apart = ('llama-3.1-70b', '--on', 'l40s:2@north,l40s:2@south', '--goal', 'latency')
    run(FAILED, *apart)
    same({s['site'] for s in plan(*apart, '--corridors')['replicas'][0]['stages']}, {'north', 'south'}, 'sites')


def check_file():
    got = plan(MODEL, '--on', 'cpu:1', '--context', '256')
    same(got['weights_bytes'], pathlib.Path(MODEL).stat().st_size, 'its size')
    need(got['tokens_s'] > 0, 'it is served')
    need(f'llama-server -m {MODEL} ' in got['replicas'][0]['command'], 'its command', got)


def check_refusals():
    def told(status, words, *args):
        done = run(status, *args)
        need(words in done.stderr, f'{" ".join(args)}: {words}', done.stderr)
        same(done.stdout, '', 'nothing on standard output')

    told(NOT_FOUND, 'no such model; did you mean llama-3-70b', 'llama3-70b', '--on', 'h100:1')
    told(NOT_FOUND, 'no such chip; did you mean h100', 'llama-3-8b', '--on', 'h10:1')
    told(NOT_FOUND, 'no such format; did you mean q4_0', 'llama-3-8b', '--on', 'h100:1', '--quant', 'q4-0')
    told(NOT_FOUND, 'no such chip', 'llama-3-8b', '--on', 'h100:1', '--reference', 'abacus')
    told(FAILED, 'GB too little', 'llama-3-70b', '--on', 'h100:1')
    told(FAILED, 'nothing meets the goal: the least time for a token is', 'llama-3-70b', '--on', 'h100:8', '--goal', 'tpot=1ms')
    told(FAILED, 'is not published', 'llama-3-8b', '--on', 'hygon-k100:8')
    told(FAILED, 'too many chips', 'llama-3-8b', '--on', 'h100:400,a100:400')
    for on in ('h100', 'h100:', 'h100:0', 'h100:x', 'h100:600', 'h100:1@', 'h100:1@No', ':1', '@a:1', ',h100:1', 'h100:1,,a100:1'):
        told(USAGE, '--on', 'llama-3-8b', '--on', on)
    for goal in ('fast', 'tpot=', 'tpot=50', 'tpot=0ms', 'tpot=-1ms', 'ttft=1h', 'tpot=5000s', 'throughput,,latency'):
        told(USAGE, '--goal', 'llama-3-8b', '--on', 'h100:1', '--goal', goal)
    for shares in ('compute', 'compute=', 'compute=0', 'compute=1.1', 'speed=1'):
        told(USAGE, '--efficiency', 'llama-3-8b', '--on', 'h100:1', '--efficiency', shares)
    for draft in ('1', '1:', '0:1', '1:2.1', '1:0.9', '17:2', ':2', '1:x'):
        told(USAGE, '--draft', 'llama-3-8b', '--on', 'h100:1', '--draft', draft)
    for bits in ('4', '12', '32'):
        told(USAGE, '--kv', 'llama-3-8b', '--on', 'h100:1', '--kv', bits)
    told(USAGE, 'on which chips', 'llama-3-8b')
    told(USAGE, 'on which chips', 'llama-3-8b', '--on', '')
    told(USAGE, '--context', 'llama-3-8b', '--on', 'h100:1', '--context', '8193')
    told(USAGE, '--prompt', 'llama-3-8b', '--on', 'h100:1', '--context', '100', '--prompt', '101')
    told(USAGE, '--batch', 'llama-3-8b', '--on', 'h100:1', '--batch', '0')
    told(USAGE, '--quant', MODEL, '--on', 'h100:1', '--quant', 'q4_0')
    told(FAILED, 'no-such.gguf', 'no-such.gguf', '--on', 'h100:1')


def check_catalogues():
    with tempfile.TemporaryDirectory() as folder:
        own = pathlib.Path(folder) / 'models.yaml'
        text = (ROOT / 'data' / 'models.yaml').read_text(encoding='utf-8')
        own.write_text(text.replace('name: llama-3-8b,', 'name: mine,'), encoding='utf-8')
        need(plan('mine', '--on', 'h100:1', '--models', str(own))['tokens_s'] > 0, 'a catalogue of one\'s own')
        own.write_text(text.replace('layers: 32', 'layers: many', 1), encoding='utf-8')
        done = run(FAILED, 'llama-3-8b', '--on', 'h100:1', '--models', str(own))
        need(f'{own}:' in done.stderr and '.layers: ' in done.stderr, 'where the mistake is', done.stderr)
        run(FAILED, 'llama-3-8b', '--on', 'h100:1', '--chips', folder + '/none.yaml')


def check_published():
    """The table of predictions is made of the same steps as a plan, and its errors are what it says."""
    got = json.loads(predictions(OK, '--json').stdout)
    rows = got['predictions']
    same({r['what'] for r in rows}, {'tokens_s_chip', 'first_ms', 'answers_s_chip', 'prompts_s_chip'}, 'kinds of rows')
    same(len({r['chip'] for r in rows} - {'a100', 'h100', 'h200', 'gaudi3', 'mi300x', 'ascend910c', 'h20'}), 0, 'chips')
    need(len(rows) >= 60, f'{len(rows)} published figures')
    for row in rows:
        need(abs(row['off_percent'] - 100 * (row['predicted'] / row['published'] - 1)) < 0.02, row)
    errors = sorted(abs(row['off_percent']) for row in rows)
    near(got['off_percent_median'], errors[len(errors) // 2], 0.001, 'the median')
    first = next(r for r in rows if r['model'] == 'llama-2-7b' and r['chip'] == 'a100' and r['prompt'] == 2048 and r['what'] == 'first_ms')
    same_case = plan('llama-2-7b', '--on', 'a100:1', '--goal', 'latency', '--context', '2049', '--prompt', '2048', '--quant', 'f16')
    near(first['predicted'], same_case['replicas'][0]['ttft_us'] / 1e3, 0.001, 'as a plan has it')
    text = predictions(OK).stdout
    need(text.count('\n') == len(rows) + 2, text)
    near(float(re.search(r'half of them are off by at most ([0-9.]+) %', text)[1]), got['off_percent_median'], 0.01, 'the median')
    with tempfile.TemporaryDirectory() as folder:
        own = pathlib.Path(folder) / 'own.yaml'
        row = 'predictions:\n  - {model: llama-2-7b, format: bf16, chip: a100, chips: 1, batch: 1, prompt: 10, out: 10, '
        own.write_text(row + 'what: tokens_s_chip, published: "50 measured, here"}\n', encoding='utf-8')
        own_row = json.loads(predictions(OK, str(own), '--json').stdout)['predictions'][0]
        need(80 < own_row['predicted'] < 130, own_row)
        own.write_text(row + 'what: speed, published: 50}\n', encoding='utf-8')
        done = predictions(FAILED, str(own))
        need(f'{own}:2: predictions[0].what' in done.stderr and 'predictions[0].published' in done.stderr, done.stderr)
        good = row + 'what: tokens_s_chip, published: "50 measured, here"'
        for more, words in (('attention: 2', 'attention'), ('kv: 9', '8 or 16 bits'), ('draft: 1', 'together'),
                            ('draft: 1, accepted: "2.1 measured, here"', 'together')):
            own.write_text(f'{good}, {more}}}\n', encoding='utf-8')
            need(words in predictions(FAILED, str(own)).stderr, more)
        own.write_text(good.replace('chips: 1', 'chips: 17') + '}\n', encoding='utf-8')
        need('are no group' in predictions(FAILED, str(own)).stderr, 'more than a group')
        own.write_text(good.replace('chips: 1', 'chips: 16') + ', attention: 1}\n', encoding='utf-8')
        need('cannot be predicted' in predictions(FAILED, str(own)).stderr, 'a model without experts is not spread')
        own.write_text(row.replace('llama-2-7b', 'llama-9') + 'what: first_ms, published: "50 measured, here"}\n', encoding='utf-8')
        need('cannot be predicted' in predictions(FAILED, str(own)).stderr, 'a model that is not there')
        predictions(FAILED, folder + '/none.yaml')


def main():
    tap = Tap()
    for case in (check_numbers, check_sums, check_spread, check_many, check_engines, check_file, check_refusals, check_catalogues, check_published):
        tap.case(case.__name__.replace('_', ' '), case)
    tap.done()


if __name__ == '__main__':
    main()
