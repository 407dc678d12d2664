#!/bin/sh
# Less memory, the same weights: what a run takes at most stays below its budget, and near to what was predicted; a budget
# that is too small is refused before anything happens (docs/memory.md).
# usage: memory_budget.sh GRPO_TRAIN SOURCE_ROOT
set -eu
train=$1 root=$2
if [ -n "${MESON_EXE_WRAPPER:-}" ]; then
    echo "SKIP memory_budget: an emulator has a memory of its own"
    exit 77
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export CPU_GRPO_CACHE="$dir/cache"
set -- "$root/examples/tiny-addition.yaml" --quiet --overwrite --set threads=2 --set task_train_size=200 \
    --set task_eval_size=150 --set sft_steps=2,1,1 --set stage_steps=2,1,1 --set fisher_samples=8 --set ewc_lambda=1 \
    --set beta=0.01 --set "output_dir=$dir/out"

number() {
    sed -n "s/.*\"$1\": *\"\{0,1\}\([0-9a-f]*\).*/\1/p" "$dir/out/summary.json" | head -n 1
}

if "$train" "$@" --set memory_budget=9MiB 2>"$dir/err"; then
    echo "9 MiB were enough"
    exit 1
elif [ $? != 2 ]; then
    echo "a budget that is too small does not end with 2: $(cat "$dir/err")"
    exit 1
fi
least=$(sed -n 's/.*it needs at least \([0-9.]*\) MiB.*/\1/p' "$dir/err")
[ -n "$least" ] || { echo "no least budget in: $(cat "$dir/err")"; exit 1; }
[ ! -e "$dir/out" ] || { echo "it was refused, and left something"; exit 1; }

want='' bad=0
for budget in 100GB "$(awk "BEGIN { print $least + 4 }")MiB" "$(awk "BEGIN { print $least + 16 }")MiB"; do
    "$train" "$@" --set "memory_budget=$budget"
    got=$(number weights_xxh3) peak=$(number peak_rss_bytes) plan=$(number predicted_bytes) most=$(number budget_bytes)
    echo "$budget: weights $got, peak $peak, predicted $plan, budget $most"
    [ -n "$want" ] || want=$got
    [ "$got" = "$want" ] || { echo "other weights"; bad=1; }
    [ "$plan" -le "$most" ] || { echo "predicted beyond the budget"; bad=1; }
    # Small blocks, and room that short completions leave, weigh more in a model as small as this one.
    [ "$peak" -le "$most" ] || { echo "more than the budget"; bad=1; }
    awk "BEGIN { exit !($peak > 0.7 * $plan && $peak < 1.05 * $plan) }" || { echo "not as predicted"; bad=1; }
done
exit $bad
