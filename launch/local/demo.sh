#!/usr/bin/env bash
# The main job on a laptop, from text to scores: every step is an ordinary command of t5x_lite.
#   make demo                              sets up the environment and runs this
#   DEMO_DIR=/tmp/demo bash launch/local/demo.sh
# The text is what arrives with ordinary dependencies (docstrings of installed libraries, names of
# emoji), so nothing is downloaded. The mesh is 4 simulated CPU devices, data=2 x model=2.
set -euo pipefail

dir=${DEMO_DIR:-demo}
t5x_lite=${T5X_LITE:-t5x_lite}
common=(--gin.VOCABULARY="$dir/vocabulary.model" --cpu_devices=4)

step() {
    printf '\n== %s\n' "$1"
    shift
    printf '$'
    printf ' %s' "$@"
    printf '\n'
    "$@"
}

if [ -e "$dir" ]; then
    echo "removing what an earlier demo left in $dir/{vocabulary.model,pretrain,finetune,scratch}"
    rm -rf "$dir"/vocabulary.model "$dir"/pretrain "$dir"/finetune "$dir"/scratch
fi
mkdir -p "$dir"
began=$SECONDS

step "1 a SentencePiece vocabulary with 100 sentinels" \
    "$t5x_lite" vocab --task=docstrings_span_corruption --task=emoji_en_de --task=emoji_en_fr \
    --module_import=t5x_lite.tasks.demo --size=3996 --max_lines=20000 --output="$dir/vocabulary.model"

step "2 pre-training: span corruption on docstrings" \
    "$t5x_lite" train --gin_file=runs/demo_pretrain.gin --gin.MODEL_DIR="$dir/pretrain" \
    "${common[@]}"

step "3 fine-tuning: translation and classification, mixed in proportion to their examples" \
    "$t5x_lite" train --gin_file=runs/demo_finetune.gin --gin.MODEL_DIR="$dir/finetune" \
    --gin.INITIAL_CHECKPOINT_PATH="$dir/pretrain" "${common[@]}"

step "4 evaluation of each task on held-out examples; predictions as jsonl" \
    "$t5x_lite" eval --gin_file=runs/demo_eval.gin --gin.CHECKPOINT_PATH="$dir/finetune" \
    --gin.EVAL_OUTPUT_DIR="$dir/finetune" "${common[@]}"

step "5 the same fine-tuning without pre-training" \
    "$t5x_lite" train --gin_file=runs/demo_finetune.gin --gin.MODEL_DIR="$dir/scratch" \
    --gin.INITIAL_CHECKPOINT_PATH=None --gin.TRAIN_STEPS=700 --gin.WARMUP_STEPS=300 "${common[@]}"
step "6 its evaluation" \
    "$t5x_lite" eval --gin_file=runs/demo_eval.gin --gin.CHECKPOINT_PATH="$dir/scratch" \
    --gin.EVAL_OUTPUT_DIR="$dir/scratch" "${common[@]}"

step "7 report" "$t5x_lite" report "$dir/finetune" "$dir/scratch" "$dir/pretrain"
echo "the demo took $((SECONDS - began)) s"
