#!/bin/bash
# After the last task: sbatch --dependency=afterany:JOB merge.sh, or by hand.
set -euo pipefail

runs=${RUNS:-runs}
rm -rf "$runs/whole"
lstm-xcheck merge "$runs"/part-* --out "$runs/whole" --report "$runs/report.html" --report "$runs/report.json"
