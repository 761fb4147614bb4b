# SPDX-License-Identifier: Apache-2.0
"""A site of a hub that has a real Slurm cluster: its daemons are root's, the agent and the jobs an ordinary user's."""
import os
import shutil

import slurm_site
from site_agent import Site
from workbench import wait_for

CONFIG = '''
engine: slurm
work: {work}
program: {program}
chips:
{chips}
'''


class SlurmSite:
    """A cluster, and the agent that joined a hub with it. `prefix`: words before each of their commands, as `ip netns exec NAME`."""

    def __init__(self, bench, name, pools, prefix=(), **cluster):
        self.name, self.site = name, Site()
        work = self.site.data / 'work'
        work.mkdir()
        self.site.enter(bench, name)
        self.cluster = slurm_site.Cluster(self.site.data / 'cluster', name, pools, prefix=prefix, **cluster)
        lines = [f'  - {{chip: {kind}, gres: "{gres}:{kind}", partitions: [{kind}]}}' for _, _, gres, kind, _ in pools]
        (self.site.data / 'site.yaml').write_text(
            CONFIG.format(work=work, program=os.environ['BUSBAR_BIN'], chips='\n'.join(lines)))
        self.site.data.chmod(0o755)
        for path in (self.site.data, self.site.data / 'pki', work, self.site.marks, *self.site.data.glob('*.*'),
                     *self.site.data.glob('pki/*')):
            shutil.chown(path, slurm_site.USER)
        self.site.env = {'SLURM_CONF': str(self.cluster.conf)}
        self.site.prefix = [*self.cluster.prefix, *slurm_site.AS_USER]

    def start(self):
        self.site.run()
        wait_for(lambda: 'in touch' in self.site.said(), f'{self.name} is in touch', 30)

    def stop(self):
        self.cluster.stop()
        self.site.end()
