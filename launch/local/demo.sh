#!/usr/bin/env bash
# The main job on a laptop, from text to scores: every step is an ordinary command of t5x_lite.
#   make demo                              sets up the environment and runs this
#   DEMO_DIR=/tmp/demo DEMO_SEED=1 DEMO_FLAGS=--gin.DROPOUT_RATE=0.2 bash launch/local/demo.sh
# The text is what arrives with ordinary dependencies (docstrings of installed libraries, names of
# emoji), so nothing is downloaded. The mesh is 4 simulated CPU devices, data=2 x model=2.
# DEMO_FLAGS are given to both arms of the fine-tuning.
set -euo pipefail

dir=${DEMO_DIR:-demo}
t5x_lite=${T5X_LITE:-t5x_lite}
common=(--gin.VOCABULARY="$dir/vocabulary.model" --gin.RANDOM_SEED="${DEMO_SEED:-0}" --cpu_devices=4)
read -r -a flags <<< "${DEMO_FLAGS:-}"

announce() {
    printf '\n== %s\n' "$1"
    shift
    printf '$'
    printf ' %s' "$@"
    printf '\n'
}
step() {
    announce "$@"
    shift
    "$@"
}

made=(vocabulary.model pretrain finetune scratch scratch.log compilation_cache comparison.jsonl summary.json)
if [ -e "$dir" ]; then
    echo "removing what an earlier demo left in $dir: ${made[*]}"
    for name in "${made[@]}"; do rm -rf "${dir:?}/$name"; done
fi
mkdir -p "$dir"
began=$SECONDS
# The arms of the fine-tuning run the same program: it is compiled once.
export JAX_COMPILATION_CACHE_DIR="${dir}/compilation_cache"

step "1 a SentencePiece vocabulary with 100 sentinels" \
    "$t5x_lite" vocab --task=docstrings_span_corruption --task=emoji_en_de --task=emoji_en_fr \
    --task=emoji_en_es --task=emoji_en_it --task=emoji_en_pt --module_import=t5x_lite.tasks.demo \
    --size=924 --max_lines=5000 --output="$dir/vocabulary.model"

# It needs no pre-training, so it runs beside it: what starts and compiles leaves a core idle.
without=("$t5x_lite" train --gin_file=runs/demo_finetune.gin --gin.MODEL_DIR="$dir/scratch"
    --gin.INITIAL_CHECKPOINT_PATH=None "${common[@]}" ${flags[@]+"${flags[@]}"})
announce "4 the fine-tuning of step 3 without pre-training, beside 2 and 3: $dir/scratch.log" \
    "${without[@]}"
"${without[@]}" > "$dir/scratch.log" 2>&1 &
scratch=$!
# Whatever ends this script ends it, too; it does not hear Ctrl-C by itself.
trap 'kill "$scratch" 2> /dev/null || true' EXIT

step "2 pre-training: spans of docstrings and of names, and translation to three other languages" \
    "$t5x_lite" train --gin_file=runs/demo_pretrain.gin --gin.MODEL_DIR="$dir/pretrain" \
    "${common[@]}"

step "3 fine-tuning on 400 examples a task, and the scores on those held out" \
    "$t5x_lite" train --gin_file=runs/demo_finetune.gin --gin.MODEL_DIR="$dir/finetune" \
    --gin.INITIAL_CHECKPOINT_PATH="$dir/pretrain" "${common[@]}" ${flags[@]+"${flags[@]}"}

wait "$scratch" || { cat "$dir/scratch.log" >&2; exit 1; }
trap - EXIT

step "5 does pre-training help? B has it, A does not" \
    "$t5x_lite" compare "$dir/scratch" "$dir/finetune" --output="$dir/comparison.jsonl"

step "6 report" "$t5x_lite" report "$dir/finetune" "$dir/scratch" "$dir/pretrain"

seconds=$((SECONDS - began))
"${PYTHON:-python3}" "$(dirname "${BASH_SOURCE[0]}")/demo_summary.py" "$dir" "$seconds"
