# SPDX-License-Identifier: Apache-2.0
"""Workers and heads of llama.cpp over RPC, started as an agent starts them."""
import os
import pathlib
import signal
import socket
import subprocess
import time

from busbar_test import PATIENCE
from ref_peers import BIN, ROOT, Peer

ENGINES = ROOT / '.deps' / 'llama' / 'bin'
OK, USAGE, UNAVAILABLE, SERVER_ENDED, WORKER_LOST = 0, 64, 69, 70, 75  # exit statuses (engine/rpc.h)
ENV = {**os.environ, 'BUSBAR_ENGINE_PATH': str(ENGINES)}


class Worker:
    """One RPC server behind a unix socket."""

    def __init__(self, folder, name, memory_mib=None, server=None, wait=True):
        self.path, self.log = pathlib.Path(folder) / f'{name}.sock', pathlib.Path(folder) / f'{name}.log'
        argv = [BIN, 'rpc-worker', '--socket', str(self.path), '--threads', '1']
        argv += ['--memory-mib', str(memory_mib)] if memory_mib else []
        argv += ['--server', str(server)] if server else []
        with open(self.log, 'ab') as out:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=ENV)
        if wait:
            self.wait_ready()

    def answers(self):
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(str(self.path))
            return True
        except OSError:
            return False

    def wait_ready(self):
        end = time.monotonic() + 20 * PATIENCE
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise RuntimeError(f'{self.path} does not answer: {self.words()[-800:]}')
            time.sleep(0.01)

    def words(self):
        return self.log.read_text(errors='replace')

    def server(self):
        """The process that it runs."""
        for one in pathlib.Path(f'/proc/{self.process.pid}/task').iterdir():
            children = (one / 'children').read_text(encoding='ascii').split()
            if children:
                return int(children[0])
        raise AssertionError('the worker has no child')

    def cpu_s(self):
        return sum(int((task / 'schedstat').read_text(encoding='ascii').split()[0])
                   for task in pathlib.Path(f'/proc/{self.server()}/task').iterdir()) / 1e9

    def stop(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(20 * PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def head_argv(workers, split, model, path, context=512, more=()):
    argv = [BIN, 'rpc-head']
    for worker in workers:
        argv += ['--worker', str(worker.path if isinstance(worker, Worker) else worker)]
    return argv + ['--split', ','.join(map(str, split)), '--', str(ENGINES / 'llama-server'), '-m', str(model), '--host', str(path),
                   '-a', 'cluster', '-np', '1', '-c', str(context), '-t', '1', '--no-slots', '--no-webui',
                   '--sse-ping-interval', '1', *more]


def head(workers, split, model, folder, name='head', context=512, more=()):
    """A llama-server whose layers are with the workers."""
    path = pathlib.Path(folder) / f'{name}.sock'
    return Peer(head_argv(workers, split, model, path, context, more), path, pathlib.Path(folder) / f'{name}.log', leaves_socket=True)


def shares(layers, n):
    """As equal as can be."""
    return [layers // n + (i < layers % n) for i in range(n)]
