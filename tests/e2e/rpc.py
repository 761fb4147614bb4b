#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""llama.cpp over RPC: workers whose port nobody reaches, the same answers as of one process, memory that is really pooled, and a head
that ends, with words, when a worker goes."""
import contextlib
import ctypes
import os
import pathlib
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time

import random_model
from ref_peers import BIN, MODELS, llama
from ref_prompts import prompts
from rpc_peers import ENGINES, ENV, OK, SERVER_ENDED, UNAVAILABLE, USAGE, WORKER_LOST, Worker, head, head_argv, shares
from workbench import FULL, Tap, need, same, wait_for

LAYERS = {'stories': 4, 'stories260K': 5}
TOKENS = 48
SMALL = ('-b', '32', '-ub', '32')  # what is computed in one go takes room, too
PROMPTS = prompts()[-200:] if FULL else prompts()[-3:]
CAP_MIB = 32  # of a worker; the model below has 41 MiB in layers
LARGE = {'dim': 512, 'layers': 12, 'ffn': 1536, 'heads': 8, 'kv_heads': 4, 'vocab': 2048}


def choices(peer, prompt):
    """Text and tokens, and how far ahead of the next each was."""
    choice = peer.greedy(prompt, TOKENS)
    found = choice['logprobs']['content']
    leads = [t['top_logprobs'][0]['logprob'] - t['top_logprobs'][1]['logprob'] for t in found]
    return choice['text'], [t['id'] for t in found], leads


def compare(peer, other):
    """How many answers are the same, and the first place where one is not."""
    equal, parted = 0, []
    for prompt in PROMPTS:
        (text, ids, leads), (other_text, other_ids, _) = choices(peer, prompt), choices(other, prompt)
        equal += text == other_text
        if ids != other_ids:
            place = next(i for i, (a, b) in enumerate(zip(ids, other_ids)) if a != b)
            parted.append(f'{prompt!r} at token {place}, {leads[place]:.4f} ahead')
    return equal, parted


def same_answers(folder, name):
    out = []
    with llama(MODELS[name], folder, 'plain', more=('--no-repack',)) as plain, llama(MODELS[name], folder, 'packed') as packed:
        for n in (2, 4):
            with contextlib.ExitStack() as stack:
                workers = [stack.enter_context(Worker(folder, f'w{n}-{i}', wait=False)) for i in range(n)]
                for worker in workers:
                    worker.wait_ready()
                cluster = stack.enter_context(head(workers, shares(LAYERS[name], n), MODELS[name], folder, f'head{n}'))
                equal, parted = compare(cluster, plain)
                same((equal, parted), (len(PROMPTS), []), f'{n} workers beside llama-server --no-repack')
                packed_equal, packed_parted = compare(cluster, packed)
                out.append(f'{n} workers: {equal} of {len(PROMPTS)} as of one process with --no-repack, {packed_equal} as of one '
                           f'that repacks its weights{"; first: " + packed_parted[0] if packed_parted else ""}')
    return '; '.join(out)


# ---- out of reach ----

def listening(pid):
    """Addresses and ports on which anything listens in the network of a process."""
    out = set()
    for table in ('tcp', 'tcp6'):
        for line in pathlib.Path(f'/proc/{pid}/net/{table}').read_text(encoding='ascii').splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            if state == '0A':
                address, port = local.split(':')
                out.add((address, int(port, 16)))
    return out


def listening_of(pids):
    """Inodes of what these processes listen on in our network: others open ports here meanwhile."""
    found = set()
    for table in ('tcp', 'tcp6'):
        lines = [line.split() for line in pathlib.Path(f'/proc/self/net/{table}').read_text(encoding='ascii').splitlines()[1:]]
        found |= {f'socket:[{words[9]}]' for words in lines if words[3] == '0A'}
    return {(pid, fd.name) for pid in pids for fd in pathlib.Path(f'/proc/{pid}/fd').iterdir() if link(fd) in found}


def link(fd):
    try:
        return os.readlink(fd)
    except FileNotFoundError:
        return ''


def descendants(pid):
    children = [int(c) for task in pathlib.Path(f'/proc/{pid}/task').iterdir() for c in (task / 'children').read_text(encoding='ascii').split()]
    return children + [d for child in children for d in descendants(child)]


def status_of(pid, key):
    lines = pathlib.Path(f'/proc/{pid}/status').read_text(encoding='ascii').splitlines()
    return next(line.split(':')[1].strip() for line in lines if line.startswith(key + ':'))


def refused(port):
    with socket.socket() as s:
        s.settimeout(5)
        return s.connect_ex(('127.0.0.1', port)) != 0


def not_of_others(path):
    """Whether another user is refused at the socket; only root can become one."""
    code = f'import os,socket\nos.setgroups([])\nos.setgid(65534)\nos.setuid(65534)\nsocket.socket(socket.AF_UNIX).connect({str(path)!r})'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=False)
    return done.returncode != 0 and 'PermissionError' in done.stderr


def out_of_reach(folder):
    os.chmod(folder, 0o755)
    ours = listening(os.getpid())
    with Worker(folder, 'a') as a, Worker(folder, 'b') as b, head([a, b], [3, 2], MODELS['stories260K'], folder) as cluster:
        inside = {'a': a.server(), 'b': b.server(), 'head': cluster.process.pid}
        for name, pid in inside.items():
            need(os.readlink(f'/proc/{pid}/ns/net') != os.readlink('/proc/self/ns/net'), f'{name} has a network of its own')
            ports = listening(pid)
            same(len(ports), 2 if name == 'head' else 1, f'what listens in it: {ports}')
            for address, port in ports:
                same(address, '0100007F', f'{name}: its own loopback only')
                need((address, port) in ours or refused(port), f'{name}: port {port} is reached from outside')
        same(len({os.readlink(f'/proc/{pid}/ns/net') for pid in inside.values()}), 3, 'networks')
        started = descendants(os.getpid())
        need(set(inside.values()) <= set(started), started)
        same(listening_of(started), set(), 'nothing of it listens out here')
        for pid in (a.server(), b.server()):
            same((int(status_of(pid, 'CapEff'), 16), int(status_of(pid, 'CapBnd'), 16), status_of(pid, 'NoNewPrivs')),
                 (0, 0, '1'), 'privileges')
        for worker in (a, b):
            same(stat.S_IMODE(worker.path.stat().st_mode), 0o600, 'who may open the socket')
            need(os.getuid() != 0 or not_of_others(worker.path), 'another user cannot')


def confined(folder):
    """What speaks to the server could make it do anything: it can read no file of its user's, change none, and signal no process."""
    secret, copy = pathlib.Path(folder) / 'data' / 'secret', pathlib.Path(folder) / 'engine'
    secret.parent.mkdir()
    secret.write_text('the key', encoding='utf-8')
    shutil.copytree(ENGINES.parent / 'lib', copy / 'lib', symlinks=True)
    for name in ('bin', 'libexec'):
        (copy / name).mkdir()
        shutil.copy(ENGINES.parent / name / 'ggml-rpc-server', copy / name)
    server = copy / 'bin' / 'nosy'
    server.write_text(f'#!/bin/sh\ncat {secret} && echo READ\necho x >{secret} && echo WRITTEN\necho x >{folder}/new && echo MADE\n'
                      f'kill -0 {os.getpid()} && echo SIGNALLED\nhead -c 9 /proc/{os.getpid()}/environ && echo TRACED\n'
                      f'exec {copy}/bin/ggml-rpc-server "$@"\n', encoding='utf-8')
    server.chmod(0o755)
    with Worker(folder, 'w', server=server) as w:
        words = w.words()
        if 'no Landlock' in words:
            return 'this kernel has no Landlock: a worker can read what its user can'
        for could in ('READ', 'WRITTEN', 'MADE', 'TRACED') + (('SIGNALLED',) if landlock() >= 6 else ()):
            need(could not in words, words)
        need('the key' not in words and secret.read_text(encoding='utf-8') == 'the key', words)
        with head([w], [4], MODELS['stories'], folder) as cluster:
            need(cluster.greedy('One day', 8)['text'], 'it serves all the same')
    return None


def landlock():
    """The kernel's version of it."""
    return ctypes.CDLL(None, use_errno=True).syscall(444, None, 0, 1)


def refuses_without_namespace(folder):
    """Where users may make no namespaces: words, and no port anywhere."""
    path = pathlib.Path(folder) / 'w.sock'
    for words in (['rpc-worker', '--socket', path], head_argv([], [1], 'm', 'h.sock')[1:]):
        if words[0] == 'rpc-head':
            with Worker(folder, 'real') as real:
                done = forbidden(head_argv([real], [1], MODELS['stories'], pathlib.Path(folder) / 'h.sock')[1:])
        else:
            done = forbidden(words)
        same(done.returncode, UNAVAILABLE, done.stderr)
        need('namespace' in done.stderr, done.stderr)
    need(not path.exists(), 'no socket')


def forbidden(words):
    return subprocess.run(['unshare', '--user', '--map-root-user', 'sh', '-c', 'echo 0 >/proc/sys/user/max_user_namespaces; exec "$@"',
                           'sh', BIN, *map(str, words)], capture_output=True, text=True, check=False, timeout=60, env=ENV)


def bad_options(folder):
    w = f'{folder}/w.sock'
    for words in (['rpc-worker'], ['rpc-worker', '--socket', 'w.sock'], ['rpc-worker', '--socket', w, '--threads', '0'],
                  ['rpc-worker', '--socket', w, '--memory-mib', '1.5'], ['rpc-worker', '--socket', w, '--port', '1'],
                  ['rpc-worker', '--socket', w, '--socket', w], ['rpc-worker', '--socket', '/' + 'x' * 200],
                  ['rpc-worker', '--socket', w, '--threads'], ['rpc-head'], ['rpc-head', '--worker', w, '--split', '1'],
                  ['rpc-head', '--worker', w, '--split', '1,2', '--', 'llama-server'], ['rpc-head', '--worker', w, '--split', '0', '--', 'x'],
                  ['rpc-head', '--split', '1', '--', 'x'], ['rpc-head', '--worker', 'w', '--split', '1', '--', 'x']):
        done = subprocess.run([BIN, *words], capture_output=True, text=True, check=False, timeout=30)
        need(done.returncode == USAGE and done.stderr, f'{words}: {done.returncode} {done.stderr}')
    done = subprocess.run([BIN, 'rpc-worker', '--socket', w, '--server', f'{folder}/none'], capture_output=True, text=True, check=False)
    same((done.returncode, f'{folder}/none is not found' in done.stderr), (UNAVAILABLE, True), 'a server that is not there')


def deep_models(folder):
    """Every layer is with a worker, and what comes after the last one, too, however many there are: the head's memory is in no plan."""
    server = pathlib.Path(folder) / 'server'
    server.write_text('#!/bin/sh\necho "$@"\n', encoding='utf-8')
    server.chmod(0o755)
    with Worker(folder, 'a') as a, Worker(folder, 'b') as b:
        done = subprocess.run([BIN, 'rpc-head', '--worker', str(a.path), '--worker', str(b.path), '--split', '64,62', '--', str(server)],
                              capture_output=True, text=True, check=False, timeout=30, env=ENV)
    same(done.returncode, 0, done.stderr)
    words = done.stdout.split()
    same([words[words.index(name) + 1] for name in ('-ts', '-ngl')], ['64,63', '127'], 'shares, and how many are offloaded')


# ---- one failure domain ----

def ended(peer, worker):
    """The head is over by itself, and says which worker it was."""
    same(peer.process.wait(30), WORKER_LOST, 'exit status')
    words = pathlib.Path(peer.log).read_text(errors='replace')
    need(f'({worker.path}) is gone' in words, words[-300:])


def idle_loss(folder):
    """llama-server, with nothing to do, would not find out."""
    with Worker(folder, 'a') as a, Worker(folder, 'b') as b, head([a, b], [2, 2], MODELS['stories'], folder) as cluster:
        start = time.monotonic()
        b.stop(signal.SIGKILL)
        ended(cluster, b)
        took = time.monotonic() - start
        need(a.process.poll() is None, 'the other worker goes on')
        with Worker(folder, 'b') as again, head([a, again], [2, 2], MODELS['stories'], folder, 'next') as after:
            need(after.greedy('One day', 8)['text'], 'the worker that stayed takes the next head')
    return f'the head had ended {1000 * took:.0f} ms after the worker was killed'


def loss_in_a_stream(folder):
    with Worker(folder, 'a') as a, Worker(folder, 'b') as b, head([a, b], [2, 2], MODELS['stories'], folder, context=4096) as cluster:
        with cluster.connect() as s:
            cluster.send(s, 'POST', '/v1/completions', {'prompt': 'One day', 'max_tokens': 4000, 'stream': True, 'ignore_eos': True})
            said = b''
            while b'data:' not in said:
                part = s.recv(4096)
                need(part, said)
                said += part
            a.stop(signal.SIGKILL)
            while part := s.recv(65536):
                said += part
        need(b'[DONE]' not in said, 'a stream that began and was cut')
        ended(cluster, a)


def server_ends(folder):
    """The RPC server itself: its worker says so and takes its socket away."""
    with Worker(folder, 'a') as a:
        os.kill(a.server(), signal.SIGABRT)
        same(a.process.wait(20), SERVER_ENDED, 'exit status')
        need('was ended by signal 6' in a.words(), a.words()[-300:])
        need(not a.path.exists(), 'its socket is gone')


def not_there(folder):
    a = Worker(folder, 'a')
    same(a.stop(), OK, 'stopped by SIGTERM')
    need(not a.path.exists(), 'its socket is gone')
    with socket.socket(socket.AF_UNIX) as other:  # something else that listens: it hangs up at what it does not understand
        path = f'{folder}/other.sock'
        other.bind(path)
        other.listen()
        threading.Thread(target=lambda: other.accept()[0].close(), daemon=True).start()
        for what, words in ((a.path, 'No such file'), (path, 'is no RPC server')):
            done = subprocess.run(head_argv([what], [4], MODELS['stories'], f'{folder}/h.sock'), capture_output=True, text=True,
                                  check=False, timeout=60, env=ENV)
            same((done.returncode, f'worker 1 ({what})' in done.stderr, words in done.stderr), (UNAVAILABLE, True, True), done.stderr)


def gone(pid):
    try:
        return pathlib.Path(f'/proc/{pid}/stat').read_text(encoding='ascii').split(')')[1].split()[0] == 'Z'
    except OSError:
        return True


def ends_with_parent(folder):
    """kill -9 of who started them leaves nothing behind."""
    path = pathlib.Path(folder) / 'w.sock'
    parent = subprocess.Popen([sys.executable, '-c', f'import subprocess,sys\nsubprocess.Popen({[BIN, "rpc-worker", "--socket", str(path)]!r})'
                               '\nsys.stdin.read()'], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENV)
    wait_for(path.exists, 'the worker', 20)
    worker = int(pathlib.Path(f'/proc/{parent.pid}/task/{parent.pid}/children').read_text(encoding='ascii').split()[0])
    server = int(pathlib.Path(f'/proc/{worker}/task/{worker}/children').read_text(encoding='ascii').split()[0])
    parent.kill()
    parent.wait()
    wait_for(lambda: gone(worker) and gone(server), 'worker and server are gone')
    with Worker(folder, 'w') as again:  # over the socket that was left
        need(again.path.exists(), 'it starts where one was killed')


# ---- memory ----

def pooled_memory(folder):
    """A model that no worker may hold is held by two; one alone says that it cannot."""
    model = pathlib.Path(folder) / 'large.gguf'
    size = random_model.write(model, **LARGE)
    need(size > (CAP_MIB + 6) << 20, f'{size} bytes')
    with Worker(folder, 'alone', CAP_MIB) as alone:
        try:
            head([alone], [LARGE['layers']], model, folder, 'one', more=SMALL).stop()
            raise AssertionError('one worker holds more than it may')
        except RuntimeError as e:
            need('llama-server ended with status 1' in str(e), e)
        need(alone.process.poll() is None, 'who is asked for too much goes on')
    with llama(model, folder, 'plain', more=('--no-repack',)) as plain, Worker(folder, 'a', CAP_MIB) as a, Worker(folder, 'b', CAP_MIB) as b, \
            head([a, b], shares(LARGE['layers'], 2), model, folder, more=SMALL) as cluster:
        ask = {'prompt': 'bade dofi', 'n_predict': 24, 'temperature': 0, 'return_tokens': True, 'ignore_eos': True}
        same(cluster.post('/completion', ask)['tokens'], plain.post('/completion', ask)['tokens'], 'tokens')
        used = [int(status_of(w.server(), 'VmData').split()[0]) >> 10 for w in (a, b)]
        need(max(used) <= CAP_MIB, used)
    return f'{size >> 20} MiB over two workers of {CAP_MIB} MiB, which hold {used[0]} and {used[1]} MiB of data'


def main():
    tap = Tap()
    cases = [(f'{name}: 2 and 4 workers answer as one process', same_answers, name) for name in MODELS]
    cases += [(f.__name__.replace('_', ' '), f) for f in (out_of_reach, confined, refuses_without_namespace, bad_options, deep_models, idle_loss,
                                                         loss_in_a_stream,
                                                         server_ends, not_there, ends_with_parent, pooled_memory)]
    for words, function, *more in cases:
        with tempfile.TemporaryDirectory(prefix='bb-rpc-', dir='/tmp') as folder:
            tap.case(words, function, folder, *more)
    tap.done()


if __name__ == '__main__':
    main()
