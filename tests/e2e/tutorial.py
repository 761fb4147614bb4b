#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs/tutorial.md, done as it says: each command that it shows, in its order, with the output that it promises.

A block of `sh` is run in one shell, line by line as a reader would, and stops the test when a command fails. After
`<!-- terminal: NAME -->` it is a terminal of its own, which stays. A block of `text` is what the commands before it
print, where `...` may be anything. Ports of the tutorial become ports that are free.
"""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import threading

from site_agent import free_port
from slurm_site import missing
from workbench import ROOT, Tap, nano, need, same

BLOCK = re.compile(r'(?:<!-- terminal: (?P<terminal>[\w -]+) -->\n+)?^```(?P<kind>sh|text)\n(?P<body>.*?)^```$', re.M | re.S)
PORTS = ('7070', '7443')
LIMIT_S = 240  # for one block


class Shell:
    """A shell that ends with the first command that fails; its output comes back a block at a time."""

    def __init__(self, folder, env):
        self.process = subprocess.Popen(['bash', '-e'], cwd=folder, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, start_new_session=True)

    def run(self, block):
        self.process.stdin.write(block + '\n:\nprintf "\\n=== done\\n"\n')
        self.process.stdin.flush()
        out, timer = [], threading.Timer(LIMIT_S, self.end)
        timer.start()
        for line in self.process.stdout:
            if line == '=== done\n':
                timer.cancel()
                return ''.join(out)
            out.append(line)
        timer.cancel()
        raise AssertionError(f'a command failed, or took more than {LIMIT_S} s:\n{block}\n{"".join(out)[-3000:]}')

    def end(self):
        end_group(self.process)


class Terminal:
    """Where something runs on."""

    def __init__(self, name, block, folder, env):
        self.log = pathlib.Path(folder) / f'terminal-{name.replace(" ", "-")}.log'
        with open(self.log, 'wb') as log:
            self.process = subprocess.Popen(['bash', '-ec', block], cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=subprocess.STDOUT, start_new_session=True)

    def check(self):
        need(self.process.poll() is None, f'{self.log.name} has ended: {self.log.read_text()[-2000:]}')

    def end(self):
        end_group(self.process)


def end_group(process):
    """As Ctrl-C in its terminal does; then for certain."""
    for sig, limit_s in ((signal.SIGINT, 20), (signal.SIGKILL, 5)):
        try:
            os.killpg(process.pid, sig)
            process.wait(limit_s)
            return
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            pass


def pattern_of(line):
    words = [r'\s+'.join(map(re.escape, part.split())) for part in line.split('...')]
    return re.compile('.*'.join(words))


def check_output(promised, out):
    """Each line that is promised is there; sites come in the order in which they joined."""
    for line in filter(str.strip, promised.splitlines()):
        need(any(pattern_of(line).search(found) for found in out.splitlines()), f'not printed: {line!r}, but:\n{out[-3000:]}')


class Reader:
    """Does what the text says, in a folder of its own."""

    def __init__(self, text):
        self.folder = tempfile.mkdtemp(prefix='bb-tutorial-', dir='/tmp')
        for port in PORTS:
            text = text.replace(f':{port}', f':{free_port()}')
        self.blocks = list(BLOCK.finditer(text))
        built = pathlib.Path(os.environ['BUSBAR_BIN']).resolve().parent
        self.env = {**os.environ, 'PATH': f'{built}:{built}/examples/train:{os.environ["PATH"]}', 'SRC': str(ROOT), 'HOME': self.folder}
        for name in ('XDG_DATA_HOME', 'BUSBAR_HUB', 'BUSBAR_KEY', 'BUSBAR_URL'):
            self.env.pop(name, None)
        self.shell, self.terminals = Shell(self.folder, self.env), []

    def read(self):
        """Each block in turn."""
        out = ''
        for block in self.blocks:
            for terminal in self.terminals:
                terminal.check()
            if block['kind'] == 'text':
                check_output(block['body'], out)
            elif block['terminal']:
                self.terminals.append(Terminal(block['terminal'], block['body'], self.folder, self.env))
            else:
                out = self.shell.run(block['body'])

    def asked(self, *words):
        """What the hub answers the operator, as JSON."""
        done = subprocess.run([os.environ['BUSBAR_BIN'], *words, '--json'], env=self.env, capture_output=True, text=True, check=True,
                              timeout=30)
        return json.loads(done.stdout)

    def check_bill(self):
        """Chip time of both epochs of the training and the tokens of the answer: that, and no more, has left the wallet."""
        jobs = [self.asked('job', 'show', j['id']) for j in self.asked('jobs')['data']]
        trained, = [j for j in jobs if j['name'] == 'train']
        same((trained['epoch'], all(e['final'] and nano(e['cost']) > 0 for e in trained['epochs'])), (2, True), trained['epochs'])
        answers = sum(nano(u['cost']) for u in self.asked('usage', '--tenant', 'class')['data'])
        need(answers > 0, 'the answer was free')
        same(nano(self.asked('tenant', 'show', 'class')['spent']), sum(nano(j['cost']) for j in jobs) + answers, 'spent')

    def told(self):
        """What the terminals said, for whoever looks at a failure."""
        return '\n'.join(f'{t.log.name}: {t.log.read_text()[-1500:]}' for t in self.terminals)

    def end(self):
        self.shell.end()
        for terminal in reversed(self.terminals):
            terminal.end()
        shutil.rmtree(self.folder)


def tutorial():
    reader = Reader((ROOT / 'docs' / 'tutorial.md').read_text(encoding='utf-8'))
    need(len(reader.blocks) > 10, 'the text has hardly any commands')
    try:
        reader.read()
        reader.check_bill()
    except AssertionError as e:
        raise AssertionError(f'{e}\n{reader.told()}') from e
    finally:
        reader.end()


def main():
    tap = Tap()
    lacking = missing()
    if lacking:
        tap.skip('the tutorial', lacking)
    else:
        tap.case('the tutorial', tutorial)
    tap.done()


if __name__ == '__main__':
    main()
