# SPDX-License-Identifier: Apache-2.0
"""What the tests of engines share: the driver, which calls an engine over its vtable as the agent does, and jobs.

BUSBAR_ENGINE_DRIVER names the driver, BUSBAR_BIN the program that its shims are. Everything started here is ended by its
pid; jobs are ended through the engine, and a test fails if one is left.
"""
import itertools
import json
import os
import pathlib
import queue
import shutil
import subprocess
import tempfile
import threading
import time
import uuid

from busbar_test import PATIENCE

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = os.environ.get('BUSBAR_BIN') or str(ROOT / 'build' / 'busbar')
DRIVER = os.environ.get('BUSBAR_ENGINE_DRIVER') or str(ROOT / 'build' / 'tests' / 'e2e' / 'engine_driver')
FULL = os.environ.get('BUSBAR_FULL') == '1'


def same(got, wanted, what=''):
    if got != wanted:
        raise AssertionError(f'{what}: {got!r} instead of {wanted!r}')


def need(true, what):
    if not true:
        raise AssertionError(what)


def wait_for(what, test, limit_s=20, every_s=0.05):
    limit_s *= PATIENCE
    start = time.monotonic()
    while True:
        got = test()
        if got:
            return got
        if time.monotonic() - start > limit_s:
            raise AssertionError(f'{what}: not within {limit_s} s')
        time.sleep(every_s)


class Job:
    """A job's id, and its folder."""

    def __init__(self, work, job=None, epoch=1):
        self.work, self.job, self.epoch = pathlib.Path(work), job or str(uuid.uuid4()), epoch

    @property
    def id(self):
        return {'job': self.job, 'epoch': self.epoch}

    @property
    def dir(self):
        return self.work / self.job / str(self.epoch)

    def spec(self, *argv, **fields):
        return {'version': 1, **self.id, 'argv': [str(a) for a in argv], **fields}

    def sh(self, script, **fields):
        return self.spec('/bin/sh', '-c', script, **fields)

    def next(self):
        return Job(self.work, self.job, self.epoch + 1)

    def file(self, name):
        path = self.dir / name
        return path.read_text(encoding='utf-8', errors='replace') if path.exists() else None

    def lines(self, name='usage'):
        return [json.loads(line) for line in (self.file(name) or '').splitlines() if line]


class Engine:
    """One life of the driver. `kill` ends it as kill -9 would an agent."""

    def __init__(self, config, env=None, user=None):
        args = [DRIVER, str(config)]
        self.process = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, user=user,
                                        env={**os.environ, **(env or {})}, start_new_session=True,
                                        extra_groups=[] if user else None)
        self.tags, self.answers, self.waiting = itertools.count(1), {}, threading.Condition()
        self.ended = False
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.started = queue.Queue()
        self.reader.start()
        if not self.started.get(timeout=60):
            raise AssertionError('the driver did not start')

    def _read(self):
        for line in self.process.stdout:
            answer = json.loads(line)
            if answer.get('ready'):
                self.started.put(True)
                continue
            with self.waiting:
                self.answers[answer['tag']] = answer
                self.waiting.notify_all()
        with self.waiting:
            self.ended = True
            self.waiting.notify_all()
        self.started.put(False)

    def ask(self, op, **fields):
        """Sends a call; its tag."""
        tag = next(self.tags)
        self.process.stdin.write(json.dumps({'tag': tag, 'op': op, **fields}) + '\n')
        self.process.stdin.flush()
        return tag

    def answer(self, tag, wait_s=120):
        with self.waiting:
            if not self.waiting.wait_for(lambda: tag in self.answers or self.ended, wait_s):
                raise AssertionError('no answer')
            return self.answers.pop(tag)

    def call(self, op, wait_s=120, code='OK', **fields):
        answer = self.answer(self.ask(op, **fields), wait_s)
        if code is not None:
            same(answer['code'], code, f'{op}: {answer["message"]}')
        return answer

    def submit(self, *specs, code='OK', **fields):
        return self.call('submit', code=code, specs=list(specs), **fields)

    def status(self, job):
        return self.call('poll', ids=[job.id])['statuses'][0]

    def cancel(self, job, end='cancelled', grace_ms=0):
        return self.call('cancel', ids=[job.id], end=end, grace_ms=grace_ms)

    def ended_as(self, job, end, limit_s=30):
        """Waits for the job's end; its exit record."""
        status = {}

        def over():
            status.update(self.status(job))
            return status['state'] == 'ended'
        wait_for(f'the end of {job.dir}', over, limit_s, 0.1)
        record = status['exit']
        same(record['end'], end, f'{record}; {job.file("err")}')
        return record

    def running(self, job, limit_s=20):
        wait_for('running', lambda: self.status(job)['state'] == 'running', limit_s)

    def log(self, job, **fields):
        return self.call('logs', ids=[job.id], **fields)['bytes']

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.reader.join(10)

    def close(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            same(self.process.wait(60), 0, 'the driver')
            self.reader.join(10)


class Site:
    """A folder with a work folder and a configuration."""

    def __init__(self, text, base=None):
        self.dir = pathlib.Path(base or tempfile.mkdtemp(prefix='bb-engine-', dir='/tmp'))
        self.dir.chmod(0o755)
        self.work = self.dir / 'work'
        self.config = self.dir / 'engine.yaml'
        self.config.write_text(text.format(dir=self.dir, work=self.work, bin=BIN, root=ROOT), encoding='utf-8')

    def job(self):
        return Job(self.work)

    def remove(self):
        shutil.rmtree(self.dir, ignore_errors=True)


def processes_of(text):
    """Living processes whose command line holds the text."""
    found = []
    for path in pathlib.Path('/proc').iterdir():
        if not path.name.isdigit() or int(path.name) == os.getpid():
            continue
        try:
            command = (path / 'cmdline').read_bytes().replace(b'\0', b' ').decode(errors='replace')
            state = (path / 'stat').read_text(encoding='ascii', errors='replace').rpartition(')')[2].split()[0]
        except OSError:
            continue
        if text in command and state != 'Z':
            found.append(int(path.name))
    return found


def left_of(job):
    """Processes of the job; its shim, which ends after the exit record, is none."""
    shims = processes_of(f'shim --detach {job.dir}')
    return [pid for pid in processes_of(str(job.dir)) if pid not in shims]


def shim_of(job):
    """The shim's pid, and its keeper's: both have the folder in their command line."""
    pids = [pid for pid in processes_of(f'shim --detach {job.dir}')]
    parents = {pid: int(pathlib.Path(f'/proc/{pid}/stat').read_text(encoding='ascii').rpartition(')')[2].split()[1])
               for pid in pids}
    keepers = [pid for pid in pids if parents[pid] in pids]
    shims = [pid for pid in pids if pid not in keepers]
    return (shims or [None])[0], (keepers or [None])[0]
