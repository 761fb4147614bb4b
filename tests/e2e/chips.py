#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""busbar chips: this machine, captured ones, a bus with tools that lie, and a chip that falls off while it is watched; busbar bench-chip."""
import json
import os
import pathlib
import signal
import subprocess
import tempfile

from workbench import FULL, NOT_FOUND, OK, ROOT, USAGE, Tap, busbar, need, same

FIXTURES = ROOT / 'tests' / 'probe' / 'fixtures'
# What a probe may look at here is this test's own.
CLEAN = {'BUSBAR_SYSFS': '', 'BUSBAR_CHIP_TOOLS': '', 'BUSBAR_CHIP_LIBS': '', 'BUSBAR_HUB': 'http://127.0.0.1:9'}


def chips(*args, status=OK, **env):
    return busbar(status, 'chips', *args, **{**CLEAN, **env})


def scan(*args, **env):
    return json.loads(chips(*args, '--json', **env).stdout)


def check_here():
    """Processors are always there, and agree with what the system says by other ways."""
    found = scan()
    cpu = found['cpu']
    same(cpu['threads'], os.cpu_count(), 'threads')
    total = int(pathlib.Path('/proc/meminfo').read_text(encoding='ascii').split()[1]) // 1024
    same(cpu['memory_mib'], total, 'memory')
    need(cpu['model'] or cpu.get('vendor'), 'a processor without a name')
    flags = pathlib.Path('/proc/cpuinfo').read_text(encoding='ascii').split()
    for flag, isa in (('sse4_2', 'sse4.2'), ('avx2', 'avx2'), ('avx512f', 'avx512'), ('amx_tile', 'amx'), ('asimd', 'neon'), ('sve', 'sve')):
        same(isa in cpu.get('isa', '').split(), flag in flags, isa)
    ids = {(p / 'vendor').read_text(encoding='ascii').strip()[2:] for p in pathlib.Path('/sys/bus/pci/devices').glob('*')}
    for chip in found['chips']:
        need(chip['id'].split(':')[0] in ids, f'{chip["id"]} is not on the bus')
    text = chips().stdout
    need(text.startswith('CPU: '), text)
    need(found['chips'] or 'No accelerator is on the PCI bus.' in text, text)


def check_captured():
    """Captured machines by the command line (in full all of them, as the unit test has them always); as text a line a chip."""
    seen = 0
    for path in sorted(FIXTURES.glob('*/*/expected.json'))[::1 if FULL else 5]:
        expected = json.loads(path.read_text(encoding='utf-8'))
        same(scan('--from', str(path.parent)), expected, str(path.parent.relative_to(FIXTURES)))
        seen += len(expected['chips'])
    need(seen > 15, f'{seen} chips')
    text = chips('--from', str(FIXTURES / 'nvidia' / 'lost')).stdout
    lines = text.splitlines()
    need(lines[1].startswith('ADDRESS') and len(lines) == 6, text)
    need('failed' in lines[3] and 'GPU is lost' in lines[3], text)
    need('GPU is lost' not in lines[2], text)


def check_refusals():
    with tempfile.TemporaryDirectory(prefix='bb-chips-') as empty:
        need('neither `pci` nor `sys`' in chips('--from', empty, status=NOT_FOUND).stderr, 'an empty folder')
    need(chips('--from', '/nothing/there', status=NOT_FOUND).stderr, 'no folder')
    chips('x', status=USAGE)
    chips('--from', status=USAGE)
    chips('--every', '0', status=USAGE)
    chips('--every', 'soon', status=USAGE)
    need(chips('--help').stdout.startswith('usage: busbar chips'), 'help')


def make_bus(folder, addresses, ids='10de:2330', kind='0x030200'):
    vendor, device = ids.split(':')
    for address in addresses:
        path = folder / 'sys' / 'bus' / 'pci' / 'devices' / address
        path.mkdir(parents=True)
        for name, text in (('vendor', '0x' + vendor), ('device', '0x' + device), ('class', kind), ('numa_node', '-1')):
            (path / name).write_text(text + '\n', encoding='ascii')
        (path / 'driver').symlink_to('../../../drivers/nvidia')


def make_tool(folder, name, text):
    path = folder / name
    path.write_text('#!/bin/sh\n' + text + '\n', encoding='utf-8')
    path.chmod(0o700)


ROW = "{}, NVIDIA H100 80GB HBM3, GPU-{}, 16500000{}, 00000000:{}, 81559, 4, 71.2, 700.00, 31, 0, 550.1, 0"


def rows(addresses):
    return 'case $1 in topo) exit 1;; esac\n' + '\n'.join(
        f"echo '{ROW.format(i, i, i, a[5:].upper())}'" for i, a in enumerate(addresses))


def check_tools():
    """A bus with tools: they are asked for what the bus has and nothing else, without a shell, and may not spoil the scan."""
    with tempfile.TemporaryDirectory(prefix='bb-chips-') as tmp:
        folder = pathlib.Path(tmp)
        buses = ['0000:19:00.0', '0000:3b:00.0']
        make_bus(folder, buses)
        env = {'BUSBAR_SYSFS': str(folder / 'sys'), 'BUSBAR_CHIP_TOOLS': str(folder), 'BUSBAR_CHIP_LIBS': str(folder)}
        make_tool(folder, 'npu-smi', f'touch {folder}/asked')
        make_tool(folder, 'nvidia-smi', f'echo "$@" >> {folder}/args\n' + rows(buses))
        found = scan(**env)['chips']
        same([(c['pci'], c['kind'], c['serial'], c['health']) for c in found],
             [(a, 'h100', f'16500000{i}', 'ok') for i, a in enumerate(buses)], 'chips')
        need(not (folder / 'asked').exists(), 'a tool of a maker that has nothing here was run')
        asked = (folder / 'args').read_text(encoding='ascii').splitlines()
        need(asked[0].startswith('--query-gpu=index,name,uuid,serial,') and asked[1] == 'topo -m', str(asked))
        # Nothing of the tool's children is left, and its folder neither.
        make_tool(folder, 'nvidia-smi', 'sleep 977 & pwd > ' + str(folder / 'where') + '; ' + rows(buses))
        same(len(scan(**env)['chips']), 2, 'chips')
        need(not pathlib.Path((folder / 'where').read_text(encoding='ascii').strip()).exists(), 'its folder')
        make_tool(folder, 'nvidia-smi', 'echo "NVIDIA-SMI has failed"; exit 9')
        found = scan(**env)
        same([c.get('serial') for c in found['chips']], [None, None], 'without a tool')
        need(any('NVIDIA-SMI has failed' in n for n in found['notes']), str(found['notes']))
        (folder / 'nvidia-smi').unlink()
        need(any('nvidia-smi is not here' in n for n in scan(**env)['notes']), 'no tool')


def check_watch():
    """Hot loss and return, seen by --watch: the chip and no other."""
    with tempfile.TemporaryDirectory(prefix='bb-chips-') as tmp:
        folder = pathlib.Path(tmp)
        make_bus(folder, ['0000:19:00.0', '0000:3b:00.0'], '1e36:c035', '0x120000')
        env = {**os.environ, **CLEAN, 'BUSBAR_SYSFS': str(folder / 'sys'), 'BUSBAR_CHIP_TOOLS': str(folder), 'BUSBAR_CHIP_LIBS': str(folder)}
        watch = subprocess.Popen([os.environ['BUSBAR_BIN'], 'chips', '--every', '1'], stdout=subprocess.PIPE, text=True, env=env)
        try:
            line = watch.stdout.readline()
            while '0000:3b' not in line:
                line = watch.stdout.readline()
                need(line, 'it ended')
            device = folder / 'sys' / 'bus' / 'pci' / 'devices' / '0000:3b:00.0'
            device.rename(folder / 'away')
            while not line.startswith(('went', 'came', 'changed')):
                line = watch.stdout.readline()
                need(line, 'it ended')
            need(line.startswith('went: 0000:3b:00.0 s60'), line)
            (folder / 'away').rename(device)
            line = watch.stdout.readline()
            need(line.startswith('came: 0000:3b:00.0 s60'), line)
            watch.send_signal(signal.SIGINT)
            same(watch.wait(timeout=60), 0, 'status')
        finally:
            watch.kill()
            watch.wait()
            watch.stdout.close()


def bench(*args, **env):
    return busbar(OK, 'bench-chip', '--quick', *args, **{**CLEAN, **env}).stdout


FIGURES = {'matrix_mflops', 'matrix_all_mflops', 'copy_mb_s', 'allreduce_mb_s'}


def check_bench():
    """Processors are measured, on no more threads than they may run on; accelerators are told as what was not."""
    allowed = os.sched_getaffinity(0)
    with tempfile.TemporaryDirectory(prefix='bb-chips-') as tmp:
        folder = pathlib.Path(tmp)
        make_bus(folder, ['0000:19:00.0'])
        make_tool(folder, 'nvidia-smi', rows(['0000:19:00.0']))
        env = {'BUSBAR_SYSFS': str(folder / 'sys'), 'BUSBAR_CHIP_TOOLS': str(folder), 'BUSBAR_CHIP_LIBS': str(folder)}
        try:
            os.sched_setaffinity(0, {min(allowed)})
            found = json.loads(bench('--json', **env))
        finally:
            os.sched_setaffinity(0, allowed)
    same((found['tier'], found['quick']), ('measured', True), found)
    cpu, other = found['chips']
    same((cpu['kind'], cpu['verdict'], cpu['threads']), ('cpu', 'measured', 1), cpu)
    need(all(cpu[f] > 0 for f in FIGURES - {'allreduce_mb_s'}), cpu)
    same((cpu.get('allreduce_mb_s'), cpu['reasons']['allreduce_mb_s']), (None, 'not measured: there is one thread only'), cpu)
    same((other['kind'], other['pci'], other['verdict'], other['reason']),
         ('h100', '0000:19:00.0', 'unmeasured', 'not measured: no kernel for this kind'), other)
    text = bench()
    need(text.startswith('cpu: ') and f' {min(len(allowed), 64)} thread' in text and 'GFLOP/s' in text and 'wrong' not in text, text)
    busbar(USAGE, 'bench-chip', 'h100')
    busbar(USAGE, 'bench-chip', '--slow')


def main():
    tap = Tap()
    for case in (check_here, check_captured, check_refusals, check_tools, check_watch, check_bench):
        tap.case(case.__name__.replace('_', ' '), case)
    tap.done()


if __name__ == '__main__':
    main()
