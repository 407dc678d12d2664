#!/bin/sh
# The same seed gives the same weights on 1, 2 and 3 threads and on every ISA this machine has (docs/numerics.md).
# usage: same_weights.sh GRPO_TRAIN SOURCE_ROOT tiny|smollm2
# smollm2 needs models/SmolLM2-135M-Instruct.Q4_1.gguf (scripts/fetch-model); without it the test is skipped (exit 77).
set -eu
train=$1 root=$2 what=$3
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export CPU_GRPO_CACHE="$dir/cache"

case $what in
tiny)
    set -- "$root/examples/tiny-addition.yaml" --set task_train_size=200 --set task_eval_size=20 \
        --set sft_steps=6,4,4 --set stage_steps=2,2,3 --set micro_batch_tokens=700 --set fisher_samples=8 \
        --set ewc_lambda=1
    # An emulator is a hundred times slower.
    [ -z "${MESON_EXE_WRAPPER:-}" ] || set -- "$@" --set task_train_size=40 --set task_eval_size=3 \
        --set sft_steps=2,0,0 --set sft_batch_size=16 --set per_device_train_batch_size=16 --set stage_steps=1,1,0 ;;
smollm2)
    model=$root/models/SmolLM2-135M-Instruct.Q4_1.gguf
    if [ ! -e "$model" ]; then
        echo "SKIP same_weights smollm2: no $model (run scripts/fetch-model)"
        exit 77
    fi
    set -- "$root/examples/smollm2-addition.yaml" --set "model=$model" --set max_steps=2 --set eval_steps=0 \
        --set task_eval_size=4 ;;
esac

hash_of() {
    sed -n 's/.*"weights_xxh3": *"\([0-9a-f]*\)".*/\1/p' "$1/summary.json"
}

want='' bad=0
for isa in best scalar avx2 avx512 neon; do
    for threads in 1 2 3; do
        # The scalar truth is slow and other ISAs need no more than one number of threads.
        case $what.$isa.$threads in smollm2.scalar.*) continue ;; *.best.*) ;; *.2) ;; *) continue ;; esac
        out=$dir/$isa-$threads
        unset CPU_GRPO_ISA
        [ $isa = best ] || export CPU_GRPO_ISA=$isa
        # MESON_EXE_WRAPPER: the emulator of a cross build.
        if ! ${MESON_EXE_WRAPPER:-} "$train" "$@" --quiet --set threads=$threads --set "output_dir=$out" 2>"$dir/err"; then
            if [ $isa = best ]; then
                cat "$dir/err"
                exit 1
            fi
            echo "SKIP same_weights $what on $isa: $(tail -n 1 "$dir/err")"
            continue
        fi
        got=$(hash_of "$out")
        [ -n "$got" ] || { echo "no weights_xxh3 in $out/summary.json"; exit 1; }
        [ -n "$want" ] || want=$got
        echo "$what, $isa, $threads threads: $got"
        [ "$got" = "$want" ] || bad=1
        rm -rf "$out"
    done
done
[ $bad = 0 ] || { echo "the weights differ"; exit 1; }
