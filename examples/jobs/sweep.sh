#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A parameter sweep as it is written for Slurm: sbatch sweep.sh there, busbar submit sweep.sh here.
#SBATCH --job-name=sweep
#SBATCH --array=1-8%4
#SBATCH --ntasks=1 --time=10
set -eu
rate=$(awk "BEGIN { print 0.1 / $SLURM_ARRAY_TASK_ID }")
echo "task $SLURM_ARRAY_TASK_ID of $SLURM_ARRAY_TASK_COUNT: learning rate $rate"
