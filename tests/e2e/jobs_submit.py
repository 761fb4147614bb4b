#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What can be asked for when jobs are submitted, on the local site of `busbar up`: terms, arrays, scripts, YAML.

tests/e2e/jobs_up.py has how jobs run and end, and the helpers.
"""
import collections
import fcntl
import os
import pathlib
import pty
import signal
import subprocess
import tempfile
import termios
import threading
import time

from jobs_up import CHIPS, folders, job, log, over, printed, quiet, run, sh, state, submit
from workbench import ROOT, Bench, Tap, need, replied, same, wait_for


# ---- terms ----

def later(hours):
    return time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(time.time() + hours * 3600))


def alternatives(hub):
    """More chips than there are, or one: it runs on the one."""
    done = run(hub, 'sh', '-c', 'echo $BUSBAR_CHIPS', before=['--chip', f'cpu:{CHIPS + 1},cpu:1'])
    same((done.returncode, done.stdout), (0, '1\n'), done.stderr)
    newest = job(hub, hub.api('GET', '/api/v1/jobs?limit=1')['data'][0]['id'])
    same(newest['alternatives'], [{'chip': 'cpu', 'chips': CHIPS + 1}, {'chip': 'cpu', 'chips': 1}], newest)
    ident = submit(hub, 'true', alternatives=[{'chip': 'cpu', 'rate': 0.5}])
    same(over(hub, ident)['alternatives'], [{'chip': 'cpu', 'chips': 1, 'rate': 0.5}], 'rate')
    done = run(hub, 'true', before=['--chip', 'abacus:2,cpu'])
    need(done.returncode == 4 and '`abacus`; there are: cpu' in done.stderr, done)


def place(hub):
    same(run(hub, 'true', before=['--site', 'local', '--chip', 'cpu:1']).returncode, 0, 'here')
    for option, there in (('site', 'local'), ('vendor', '')):
        done = run(hub, 'true', before=[f'--{option}', 'nowhere'])
        need(done.returncode == 4 and f'{option}: there is no `nowhere`; there are: {there}' in done.stderr, done)
    ident = submit(hub, 'true', jurisdiction='XX')
    found = job(hub, ident)
    same((found['why']['bar'], found['jurisdiction']), ('jurisdiction', 'XX'), found)
    hub.api('DELETE', f'/api/v1/jobs/{ident}')


def isolation(hub):
    """The hub knows what its engine has; what demands that runs, what demands more waits and says so."""
    levels = ['none', 'process', 'namespace', 'cgroup']
    here = hub.api('GET', '/api/v1/sites/local')
    same(here['engine'], 'local ' + subprocess.run([hub.bin, '--version'], capture_output=True, text=True).stdout.split()[-1], here)
    level = levels.index(here['isolation'])
    need(level >= 1, here)
    done = run(hub, 'true', before=['--isolation', levels[level]])
    same(done.returncode, 0, done.stderr)
    for demanded in levels[level + 1:]:
        ident = submit(hub, 'true', isolation=demanded)
        found = job(hub, ident)
        same((found['state'], found['why']['bar'], found['isolation']), ('queued', 'isolation', demanded), found)
        hub.api('DELETE', f'/api/v1/jobs/{ident}')
    done = run(hub, 'true', before=['--isolation', 'total'])
    need(done.returncode == 1 and 'isolation: must be none, process, namespace or cgroup' in done.stderr, done)


def to_finish(hub):
    """What is to be done where contact is lost, from the command line, a script and YAML; it needs a time limit."""
    script = '#!/bin/sh\n#BUSBAR --on-disconnect finish\n#BUSBAR --time 1m\ntrue\n'
    for text in (script, 'command: "true"\ntime: 1m\non_disconnect: finish\n'):
        found = over(hub, submit_file(hub, text).stdout.strip())
        same((found['on_disconnect'], found['code']), ('finish', 0), found)
    need('on_disconnect' not in job(hub, submit_file(hub, script, '--on-disconnect', 'stop').stdout.strip()), 'stop is the rule')
    for words, told in ((['finish'], 'needs a time limit'), (['never', '--time', '1m'], 'must be stop or finish')):
        done = run(hub, 'true', before=['--on-disconnect', *words])
        need(done.returncode == 1 and told in done.stderr, done)


def when(hub):
    """Times reach the dispatcher; on a hub without a plan what may wait does not."""
    moment = later(3)
    done = run(hub, 'true', before=['--green', '--deadline', moment, '--time', '0:30', '--interruptible',
                                    '--checkpoint-every', '10m', '--checkpoint-cost', '20s'])
    same(done.returncode, 0, done.stderr)
    found = job(hub, hub.api('GET', '/api/v1/jobs?limit=1')['data'][0]['id'])
    same((found['deadline'], found['time_limit_s'], found['checkpoint_every_s'], found['checkpoint_cost_s']),
         (moment.replace('Z', '.000Z'), 30, 600, 20), found)
    need(later(23.9) < found['defer_until'] < later(24.1), found)
    for words in (['--deadline', later(-1)], ['--defer', '2020-01-01T00:00:00Z'], ['--defer', 'soon'], ['--deadline', '2h'],
                  ['--checkpoint-every', '10m']):
        done = run(hub, 'true', before=words)
        need(done.returncode == 1 and words[0][2:].replace('-', '_').split('_')[0] in done.stderr, words, done)


# ---- arrays ----

def tasks(hub, array):
    return sorted(hub.pages(f'/api/v1/jobs?array={array}'), key=lambda j: j['index'])


def array_of_three(hub):
    """Each task knows its index, by our names and by Slurm's; all are seen, and the array is summed up."""
    before = folders(hub)
    script = 'echo $BUSBAR_ARRAY_INDEX $SLURM_ARRAY_TASK_ID $BUSBAR_ARRAY_FIRST $BUSBAR_ARRAY_LAST; [ $BUSBAR_ARRAY_INDEX != 8 ]'
    done = run(hub, 'sh', '-c', script, before=['--array', '7-9%2', '--name', 'three'])
    need(done.returncode == 1 and '3 ended; 1 not well' in done.stderr, done)
    array = hub.api('GET', '/api/v1/jobs?limit=1')['data'][0]['array']
    found = tasks(hub, array)
    same([(j['index'], j['name'], j['code']) for j in found], [(7, 'three', 0), (8, 'three', 1), (9, 'three', 0)], found)
    for task in found:
        i = task['index']
        same(log(hub, f'{array}_{i}'), f'{i} {i} 7 9\n'.encode(), 'log')
        same(job(hub, f'{array}_{i}'), job(hub, task['id']), 'by index and by id')
    whole = job(hub, array)
    same((whole['state'], whole['array']), ('ended', {'first': 7, 'last': 9, 'at_once': 2, 'failed': 1, 'tasks': {'ended': 3}}),
         whole)
    same(set(folders(hub)) - set(before), {f'{array}.json'}, 'one file for all')
    for name in (f'{array}_6', f'{array}_10', f'{array}_', f'{array}_x', f"{found[0]['id']}_7"):
        replied(hub.request('GET', f'/api/v1/jobs/{name}', local=True), 404, name)
    need(hub.run('job', 'logs', array).returncode == 1, 'logs of an array')
    need('1' in hub.run('job', 'show', array).stdout.split('failed')[1].split('\n')[0], 'show')
    same(len(hub.run('jobs', '--array', array, '--all').stdout.splitlines()), 4, 'table')
    # What comes after it, and what of it alone.
    ok, bad = submit(hub, 'true', after=[array]), submit(hub, 'true', after=[f'afternotok:{array}', f'{array}_7'])
    same([over(hub, i)['state'] for i in (ok, bad)], ['unmet', 'ended'], 'after')


def array_limited(hub):
    """No more at a time than it says; the others wait as tasks of the array."""
    array = submit(hub, 'sh', '-c', 'sleep 0.5; echo $$', array='0-2%1')
    wait_for(lambda: [j['state'] for j in tasks(hub, array)][0] == 'running', 'one runs')
    same([j['state'] for j in tasks(hub, array)][1:], ['queued'] * 2, 'one at a time')
    same(job(hub, f'{array}_2')['why']['bar'], 'array', 'why')
    same((over(hub, array)['array']['failed'], len(tasks(hub, array))), (0, 3), 'all')
    spans = sorted((j['started'], j['ended']) for j in tasks(hub, array))
    need(all(a[1] <= b[0] for a, b in zip(spans, spans[1:])), spans)


def array_large(hub):
    """More tasks than an event holds: they come whole, wait, and go with one command."""
    blocker = sh(hub, 'sleep 60', chips=CHIPS)
    wait_for(lambda: state(hub, blocker) == 'running', 'the blocker runs')
    start = time.monotonic()
    array = submit(hub, 'true', array='1-1000', chips=CHIPS)
    seconds = time.monotonic() - start
    same(job(hub, array)['array']['tasks'], {'queued': 1000}, 'all are there')
    follower = submit(hub, 'true', after=[f'afterany:{array}'])
    same(job(hub, follower)['why']['job'], array, 'why')
    hub.kill()
    hub.start()
    same(job(hub, array)['array']['tasks'], {'queued': 1000}, 'and after a kill')
    same(hub.run('cancel', array).returncode, 0, 'cancel')
    wait_for(lambda: job(hub, array)['array']['tasks'] == {'cancelled': 1000}, 'all are cancelled')
    same(job(hub, array)['state'], 'cancelled', 'state')
    need(hub.run('cancel', array).returncode == 1, 'over already')
    hub.api('DELETE', f'/api/v1/jobs/{blocker}')
    same(over(hub, follower)['code'], 0, 'what came after it')
    same(len(hub.pages(f'/api/v1/jobs?array={array}&state=cancelled')), 1000, 'by state')
    return f'1000 tasks in {seconds * 1000:.0f} ms'


def array_killed(hub):
    """However the hub dies, an array is there whole or not at all, and is there if that was said."""
    blocker = submit(hub, 'sleep', '60', chips=CHIPS)
    answered, threads = [], []

    def ask():
        try:
            while True:
                answered.append(submit(hub, 'true', array='1-600', chips=CHIPS))
        except (OSError, AssertionError):
            pass
    for n in range(3):
        threads = [threading.Thread(target=ask) for _ in range(2)]
        for t in threads:
            t.start()
        before = len(answered)
        wait_for(lambda: len(answered) > before + n, 'some are answered')  # pylint: disable=cell-var-from-loop
        hub.kill()
        for t in threads:
            t.join()
        hub.start()
    tasks_of = collections.Counter(j['array'] for j in hub.pages('/api/v1/jobs?state=queued') if 'array' in j)
    same(set(tasks_of.values()), {600}, 'whole ones')
    need(set(answered) <= set(tasks_of), 'an acknowledged array is lost')
    files = {name.removesuffix('.json') for name in folders(hub)}
    same({j.get('array', j['id']) for j in hub.pages('/api/v1/jobs')} ^ files, set(), 'files and jobs')
    for array in tasks_of:
        hub.api('DELETE', f'/api/v1/jobs/{array}')
    hub.api('DELETE', f'/api/v1/jobs/{blocker}')
    wait_for(lambda: not hub.api('GET', '/api/v1/jobs?state=queued')['data'], 'all are cancelled')
    return f'{len(answered)} answered, {len(tasks_of)} there'


def strangers(hub):
    """An array of another tenant, its tasks and what comes after them do not exist."""
    hub.api('POST', '/api/v1/tenants', {'name': 'stranger', 'budget': '1'})
    key = hub.add_key('stranger', tenant='stranger', scopes=['jobs'])['key']
    array = submit(hub, 'true', array='1-2')
    over(hub, array)
    for name in (array, f'{array}_1'):
        for method, path, body in (('GET', '', None), ('DELETE', '', None), ('GET', '/logs', None), ('POST', '/retry', {})):
            replied(hub.request(method, f'/api/v1/jobs/{name}{path}', body, key=key), 404, f'{method} {name}{path}')
        for path in ('jobs', 'dry-run'):
            replied(hub.request('POST', f'/api/v1/{path}', {'argv': ['true'], 'after': [f'afterany:{name}']}, key=key), 404, path)
    same(hub.request('GET', f'/api/v1/jobs?array={array}', key=key).json()['data'], [], 'list')
    same(hub.request('POST', '/api/v1/dry-run', {'argv': ['true']}, key=key).json()['starts_now'], True, 'its own')


# ---- files ----

def submit_file(hub, text, *args, name='job.sh'):
    with tempfile.TemporaryDirectory(prefix='bb-', dir='/tmp') as folder:
        path = pathlib.Path(folder) / name
        path.write_text(text, encoding='utf-8')
        return hub.run('submit', str(path), *args)


def script(hub):
    """A script for Slurm runs as it is: its lines are read, its text and arguments travel, what means nothing here is named."""
    text = """#!/bin/bash
#SBATCH --job-name="My Train" --time=00:01:00   # a minute
#SBATCH -N 1 -n 1 -p gpu -o out-%j.txt
#SBATCH --array=1-2%1
#BUSBAR --env "GREETING=hi there"

set -eu
echo "$GREETING $1 $SLURM_ARRAY_TASK_ID ${BASH_VERSION:+bash} '"
exit 0
#SBATCH --nodes=99
"""
    done = submit_file(hub, text, 'arg')
    same(done.returncode, 0, done.stderr)
    need('left out: -p, -o (what a job prints is kept' in done.stderr, done.stderr)
    array = done.stdout.strip()
    found = over(hub, array)
    same((found['name'], found['argv'], found['time_limit_s'], found['array']['last'], found['array']['failed']),
         ('my-train', ['job.sh', 'arg'], 60, 2, 0), found)
    same(log(hub, f'{array}_2'), b"hi there arg 2 bash '\n", 'log')
    # The command line prevails over the file; another interpreter; standard input.
    done = subprocess.run([hub.bin, 'submit', '-', '--name', 'mine', '--data', str(hub.data)], text=True, capture_output=True,
                          input='#!/usr/bin/env python3\n#BUSBAR --name theirs --time 1m\nprint(6 * 7)\n', timeout=60, check=True)
    found = over(hub, done.stdout.strip())
    same((found['name'], found['time_limit_s'], log(hub, found['id'])), ('mine', 60, b'42\n'), found)


def script_large(hub):
    """Longer than one argument of a program may be; at its limit it runs, beyond it is refused."""
    start, fill = '#!/bin/sh\necho on\n', '#\n'
    text = start + fill * (((256 << 10) - len(start)) // len(fill))
    done = submit_file(hub, text)
    ident = done.stdout.strip()
    same((over(hub, ident)['code'], log(hub, ident)), (0, b'on\n'), done.stderr)
    done = submit_file(hub, text + fill)
    need(done.returncode == 2 and 'longer than 256 KiB' in done.stderr, done)
    reply = hub.request('POST', '/api/v1/jobs', {'tenant': 'default', 'script': text + fill}, local=True)
    need(reply.status == 400 and b'256 KiB' in reply.body, reply.body[:200])


def script_refused(hub):
    before = folders(hub)
    for text, words in (('#!/bin/sh\n#SBATCH --time=soon\n', '--time: expected'), ('#!/bin/sh\n#SBATCH -N x\n', 'line 2: --nodes'),
                        ('#!/bin/sh\n#BUSBAR --colour red\n', 'no option'), ('#!/bin/sh\n#BUSBAR --hub http://x\n', 'no option'),
                        ('#!/bin/sh\n#BUSBAR word\n', 'no option'), ('#!/bin/sh\r\necho\r\n', 'Windows'), ('#!/bin/sh\n\0', 'no text')):
        done = submit_file(hub, text)
        need(done.returncode == 2 and words in done.stderr, text, done)
    need(submit_file(hub, '#!/bin/sh\n#SBATCH -d afterok:17\n').returncode == 1, 'a job of another system')
    same(hub.run('submit', '/no/such/file').returncode, 2, 'no file')
    same(folders(hub), before, 'nothing is left')


def in_yaml(hub):
    text = """
name: yam
command: |
  echo "$A"
  exit 3
env: {A: b c}
time: 1m
alternatives:
  - {chip: cpu, chips: 5000}
  - {chip: cpu, rate: 0.5}
"""
    ident = submit_file(hub, text).stdout.strip()
    found = over(hub, ident)
    same((found['name'], found['code'], found['time_limit_s'], found['chips'], log(hub, ident)), ('yam', 3, 60, 1, b'b c\n'), found)
    ident = submit_file(hub, 'argv: [sh, -c, echo $A]\nname: theirs\ntenant: default\n', '--name', 'ours', '--env', 'A=5').stdout.strip()
    same((over(hub, ident)['name'], log(hub, ident)), ('ours', b'5\n'), 'options beside it')
    done = submit_file(hub, 'command: true\ncolour: red\nchips: many\ntime: soon\ntime_limit_s: 5\n')
    need(done.returncode == 2, done)
    for words in ('job.sh:2: colour: there is no such member', 'job.sh:3: chips: expected a whole number', 'job.sh:4: time:',
                  'time_limit_s is there twice'):
        need(words in done.stderr, words, done.stderr)
    for text in ('', '[]', 'x', 'command: [a', 'chips: 0\ncommand: x\n', 'name: x\n'):
        need(submit_file(hub, text).returncode in (1, 2), text)


def examples(hub):
    sweep, nightly = (hub.run('submit', str(ROOT / 'examples' / 'jobs' / name)) for name in ('sweep.sh', 'nightly.yaml'))
    same((sweep.returncode, sweep.stderr, nightly.returncode, nightly.stderr), (0, '', 0, ''), 'submitted')
    same(over(hub, sweep.stdout.strip())['array'], {'first': 1, 'last': 8, 'at_once': 4, 'failed': 0, 'tasks': {'ended': 8}}, 'sweep')
    same(log(hub, f'{sweep.stdout.strip()}_4'), b'task 4 of 8: learning rate 0.025\n', 'log')
    found = over(hub, nightly.stdout.strip())
    same((found['code'], found['checkpoint_every_s'], log(hub, found['id'])), (0, 1800, b'on 1 chips of the kind cpu\n'), found)


# ---- only thought of ----

def dry_run(hub):
    """What would become of it is told, and nothing is recorded."""
    events = hub.api('GET', '/api/v1/status')['journal_events']
    before = folders(hub), len(hub.pages('/api/v1/jobs'))
    body = {'tenant': 'default', 'argv': ['true'], 'time_limit_s': 60}
    told = hub.api('POST', '/api/v1/dry-run', body)
    place = told['data'][0]
    same((told['starts_now'], told['time_known'], len(told['data'])), (True, True, 1), told)
    same((place['site'], place['chip'], place['chips_free'], place['chips_all'], place['time_s'], place['in_the_way']),
         ('local', 'cpu', CHIPS, CHIPS, 60, []), place)
    done = run(hub, 'true', before=['--dry-run', '--jurisdiction', 'XX'])
    need(done.returncode == 0 and 'would wait: it asks for one jurisdiction' in done.stderr, done)
    need(run(hub, 'true', before=['--dry-run', '--site', 'nowhere']).returncode == 4, 'site')
    done = submit_file(hub, '#!/bin/sh\n#SBATCH --array=1-9 --time=10\n', '--dry-run')
    need('would start at once' in done.stderr and ' 600 ' in done.stdout, done)
    same((folders(hub), len(hub.pages('/api/v1/jobs'))), before, 'jobs and files')
    need(hub.api('GET', '/api/v1/status')['journal_events'] - events < 9, 'ticks at most')
    blocker = submit(hub, 'sleep', '30', chips=CHIPS)
    wait_for(lambda: state(hub, blocker) == 'running', 'it runs')
    told = hub.api('POST', '/api/v1/dry-run', body)
    same((told['starts_now'], told['why']['bar'], told['data'][0]['chips_free'], told['data'][0]['in_the_way']),
         (False, 'full', 0, ['full']), told)
    told = hub.api('POST', '/api/v1/dry-run', {**body, 'after': [blocker]})
    same((told['starts_now'], told['why']['bar']), (False, 'after'), told)
    hub.api('DELETE', f'/api/v1/jobs/{blocker}')
    told = hub.api('POST', '/api/v1/dry-run', {**body, 'after': [blocker]})
    same((told['starts_now'], told['why']['bar']), (False, 'unmet'), told)


# ---- again, and in between ----

def retried(hub):
    """The same file on the same terms; a task alone keeps its index, an array is one again."""
    first = run(hub, 'sh', '-c', 'echo $A; exit 3', before=['--env', 'A=b', '--name', 'again', '--priority', '7', '--time', '1m',
                                                           '--deadline', '+4s'])
    same(first.returncode, 3, first.stderr)
    old = job(hub, hub.api('GET', '/api/v1/jobs?limit=1')['data'][0]['id'])
    time.sleep(4)  # what was its deadline has passed
    new = over(hub, hub.run('job', 'retry', old['id']).stdout.strip())
    keys = ('name', 'argv', 'code', 'priority', 'time_limit_s', 'chips')
    same([new[k] for k in keys], [old[k] for k in keys], new)
    need(new['id'] != old['id'] and 'deadline' not in new and log(hub, new['id']) == b'b\n', new)
    array = submit(hub, 'sh', '-c', 'echo $BUSBAR_ARRAY_INDEX', array='4-5')
    over(hub, array)
    alone = over(hub, hub.run('job', 'retry', f'{array}_5').stdout.strip())
    same((log(hub, alone['id']), 'array' in alone), (b'5\n', False), alone)
    again = hub.run('job', 'retry', array).stdout.strip()
    same((over(hub, again)['array']['last'], log(hub, f'{again}_4')), (5, b'4\n'), 'the array')
    runs_on = submit(hub, 'sleep', '30')
    need('not over' in hub.run('job', 'retry', runs_on).stderr, 'not while it runs')
    hub.api('DELETE', f'/api/v1/jobs/{runs_on}')


def epochs(hub):
    ident = submit(hub, 'sh', '-c', 'echo on; sleep 30', chips=CHIPS, interruptible=True, time_limit_s=600)
    printed(hub, ident, b'on\n')
    found = job(hub, ident)
    only, = found['epochs']
    same((found['expected_end'] > found['started'], only['epoch'], only['ended'], only['final'], 'end' in only),
         (True, 1, None, False, False), found)
    over(hub, submit(hub, 'true', chips=CHIPS, time_limit_s=60))
    found = wait_for(lambda: (j := job(hub, ident))['epoch'] == 2 and 'end' in j['epochs'][0] and j, 'it is there again')
    same([e.get('end') for e in found['epochs']], ['preempted', None], found)
    printed(hub, ident, b'on\n')
    hub.api('DELETE', f'/api/v1/jobs/{ident}')


def ctrl_c(hub):
    """At a terminal Ctrl-C asks; without one it leaves the job alone (jobs_up.py)."""
    for answers, status, end in (([b'\n', b'c\n'], 1, 'cancelled'), ([b'd\n'], 130, 'running')):
        here, there = pty.openpty()
        process = subprocess.Popen([hub.bin, 'run', '--data', str(hub.data), '--', 'sh', '-c', 'echo on; sleep 20'], stdin=there,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        same(process.stdout.readline(), b'on\n', 'the log is followed')
        for answer in answers:
            process.send_signal(signal.SIGINT)
            asked = b''
            while b'stay with it? ' not in asked:
                more = os.read(process.stderr.fileno(), 4096)
                need(more, 'it asks', asked)
                asked += more
            os.write(here, answer)
            wait_for(lambda: not fcntl.ioctl(there, termios.FIONREAD, b'1234').strip(b'\0'), 'it reads its answer')
            time.sleep(0.3)  # a second Ctrl-C before it has the answer would be one
        _, errors = process.communicate(timeout=20)
        same(process.returncode, status, errors)
        newest = hub.api('GET', '/api/v1/jobs?limit=1')['data'][0]
        same(newest['state'], end, errors)
        if end == 'running':
            hub.api('DELETE', f"/api/v1/jobs/{newest['id']}")
        os.close(here)
        os.close(there)


def main():
    tap = Tap()
    with Bench(['--no-model']) as hub:
        for case in (alternatives, place, isolation, to_finish, when, array_of_three, array_limited, array_large, array_killed, strangers, script, script_large, script_refused,
                     in_yaml, examples, dry_run, retried, epochs, ctrl_c):
            tap.case(case.__name__.replace('_', ' '), case, hub)
        tap.case('nothing is left', quiet, hub)
    tap.done()


if __name__ == '__main__':
    main()
