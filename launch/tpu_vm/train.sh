#!/usr/bin/env bash
# The same job on every worker of a TPU VM slice: one process a host, which find each other.
#   launch/tpu_vm/train.sh [--dry_run] NAME ZONE FLAGS_OF_T5X_LITE_TRAIN...
#   launch/tpu_vm/train.sh --dry_run my-v4-32 us-central2-b --gin_file=models/t5_1_1/base.gin ...
# NAME must exist (gcloud compute tpus tpu-vm create) and hold t5x_lite: pip install 't5x_lite[tpu]'.
set -euo pipefail

run=()
if [ "${1:-}" = --dry_run ]; then
    run=(echo)
    shift
fi
if [ $# -lt 3 ]; then
    sed -n '2,5s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
name=$1 zone=$2
shift 2

# Quoted once more, because the remote shell reads the line again.
printf -v flags ' %q' "$@"
"${run[@]}" gcloud compute tpus tpu-vm ssh "$name" --zone="$zone" --worker=all \
    --command="t5x_lite train$flags"
