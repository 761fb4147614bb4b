#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The disk of a site is full, a small one of its own: what runs ends well and is told, what comes waits until there is room, and
then runs once.
"""
import os
import subprocess
import time

from faultlib import FULL, Tap
from site_agent import Field, counted, runs_of
from workbench import need, same, wait_for

SIZE_MIB = 8


class Disk:
    """A file system in memory, over the folder of the site's agent; the marks that jobs leave are elsewhere."""

    def __init__(self, folder, size_mib=SIZE_MIB):
        self.folder, self.ballast = folder, folder / 'ballast'
        subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={size_mib}m', 'busbar', str(folder)], check=True, capture_output=True)

    def fill(self):
        with open(self.ballast, 'ab', buffering=0) as f:
            try:
                while True:
                    f.write(b'x' * 4096)
            except OSError:
                pass

    def free(self):
        self.ballast.unlink()

    def end(self):
        subprocess.run(['umount', '-l', str(self.folder)], check=False, capture_output=True)


def full(f, disk):
    for _ in range(20 if FULL else 2):
        before = f.submit(counted(f, 'echo before; sleep 2; echo after || true'))
        f.running(before)
        wait_for(lambda j=before: runs_of(f, j) == 1, 'it has begun', 10)
        disk.fill()
        end = f.ended(before)
        same((end['state'], end['end'], end['epoch'], runs_of(f, before)), ('ended', 'exited', 1, 1), 'what ran')
        wait_for(lambda j=before: not (f.site.data / 'work' / j).exists(), 'nothing of it is kept', 15)
        disk.fill()  # the room that it gave back
        after = f.submit(counted(f, 'echo there is room'))
        time.sleep(2)
        same((f.job(after)['state'] in ('queued', 'running'), runs_of(f, after)), (True, 0), 'what waits for room')
        disk.free()
        end = f.ended(after, 60)
        same((end['end'], end['code'], runs_of(f, after)), ('exited', 0, 1), 'what waited')
        same(f.logs(after), b'there is room\n', 'its output')
    need(f.site.process.poll() is None, 'the agent lives')


def main():
    tap = Tap()
    if os.getuid() != 0:
        tap.skip('a full disk at a site', 'mounting needs root')
        tap.done()
    with Field(disk=Disk) as field:
        tap.case('the disk of a site is full', full, field, field.site.disk)
    tap.done()


if __name__ == '__main__':
    main()
