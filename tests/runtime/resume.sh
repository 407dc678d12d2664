#!/bin/sh
# Checkpoints: a run that is killed, interrupted, damaged or out of disk space goes on to the same bits as one that never
# was, on other threads and another ISA (docs/checkpoints.md).
# usage: resume.sh GRPO_TRAIN SOURCE_ROOT
set -eu
train=$1 root=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export CPU_GRPO_CACHE="$dir/cache"
unset CPU_GRPO_ISA

# Two stages of 3 + 3 and 2 + 4 steps with all that has state: supervised and GRPO steps, two of them for each rollout,
# evaluations, EWC, a reference policy that moves, lines of metrics that are means over two steps.
run() {
    out=$1
    shift
    ${MESON_EXE_WRAPPER:-} "$train" "$root/examples/tiny-addition.yaml" --quiet --set "output_dir=$dir/$out" \
        --set task_stages=1,2 --set task_train_size=60 --set task_eval_size=4 --set sft_batch_size=16 \
        --set sft_steps=3,2 --set stage_steps=3,4 --set per_device_train_batch_size=16 --set fisher_samples=4 \
        --set ewc_lambda=1 --set num_iterations=2 --set beta=0.04 --set sync_ref_model=true \
        --set ref_model_sync_steps=2 --set eval_steps=2 --set save_steps=1 --set logging_steps=2 \
        --set report_to=tensorboard --set threads=2 "$@" 2>"$dir/err"
}
bad=0
fail() {
    echo "FAIL $*"
    tail -n 3 "$dir/err"
    bad=1
}
hash_of() {
    sed -n 's/.*"weights_xxh3": *"\([0-9a-f]*\)".*/\1/p' "$dir/$1/summary.json"
}
# metrics.jsonl without what a clock or the system says.
lines_of() {
    sed -E 's/"(step_time|generate_time|tokens_per_second|memory\/[a-z_]*)":[^,}]*//g' "$dir/$1/metrics.jsonl"
}
same_as_whole() {
    [ "$(hash_of "$1")" = "$(hash_of whole)" ] || fail "$1: other weights than uninterrupted"
    lines_of "$1" >"$dir/lines"
    lines_of whole | cmp -s - "$dir/lines" || fail "$1: other lines in metrics.jsonl than uninterrupted"
    events=events.out.tfevents.cpu-grpo # with times in it, all of one size
    [ "$(wc -c <"$dir/$1/$events")" = "$(wc -c <"$dir/whole/$events")" ] || fail "$1: other events than uninterrupted"
    cmp -s "$dir/$1/completions.jsonl" "$dir/whole/completions.jsonl" || fail "$1: other lines in completions.jsonl"
}
expect() { # exit code, text in the message, then what to run
    code=$1 text=$2
    shift 2
    got=0
    "$@" || got=$?
    [ $got = "$code" ] || fail "exit code $got instead of $code: $*"
    [ -z "$text" ] || grep -q -e "$text" "$dir/err" || fail "no '$text' in the message: $*"
}
# Changes one byte in the middle of a file.
damage() {
    middle=$(($(wc -c <"$1") / 2))
    byte=$(od -An -tu1 -j $middle -N 1 "$1" | tr -d ' ')
    printf "\\$(printf '%03o' $(((byte + 1) % 256)))" | dd of="$1" bs=1 seek=$middle conv=notrunc 2>/dev/null
}

run whole || { cat "$dir/err"; exit 1; }
lines_of whole | grep -q '"step":6,' || fail "no line of step 6 in metrics.jsonl"
[ "$(ls -d "$dir"/whole/checkpoint-* | wc -l)" -le 3 ] || fail "more checkpoints are left than the last two and the best"

# kill -9 wherever it happens to be, then to the end on another number of threads, and on another ISA.
for kind in threads avx2; do
    for i in 1 2 3 4 5 6 7 8; do
        run killed-$kind --resume &
        pid=$!
        sleep "$((i % 2)).$(od -An -tu2 -N 2 /dev/urandom | tr -d ' ')"
        # The shell of the function has the program as its child.
        for p in $(ps -o pid= --ppid $pid) $pid; do kill -9 "$p" 2>/dev/null || :; done
        wait $pid 2>/dev/null || :
    done
    steps=$(cd "$dir/killed-$kind" 2>/dev/null && ls -d checkpoint-* 2>/dev/null | tr '\n' ' ') || :
    case $kind in
    threads) run killed-$kind --resume --set threads=1 || fail "resume on one thread" ;;
    avx2)
        if grep -qw avx2 /proc/cpuinfo; then
            CPU_GRPO_ISA=avx2 run killed-$kind --resume || fail "resume on AVX2"
        else
            echo "SKIP resume on AVX2: this CPU has none"
            run killed-$kind --resume || fail "resume"
        fi ;;
    esac
    echo "killed eight times, had $steps: $(hash_of killed-$kind)"
    same_as_whole killed-$kind
done

# A checkpoint that is damaged is told of, and the one before it is used.
newest=$(ls -d "$dir"/whole/checkpoint-* | sed 's/.*-//' | sort -n | tail -n 1)
before=$(ls -d "$dir"/whole/checkpoint-* | sed 's/.*-//' | sort -n | tail -n 2 | head -n 1)
for file in model.safetensors state.safetensors state.json run.yaml tokenizer.json; do
    rm -rf "$dir/damaged"
    cp -R "$dir/whole" "$dir/damaged"
    damage "$dir/damaged/checkpoint-$newest/$file"
    expect 0 "checkpoint-$newest is damaged" run damaged --resume
    same_as_whole damaged
    [ -d "$dir/damaged/checkpoint-$newest.damaged" ] || fail "$file: the damaged checkpoint is gone"
    [ "$file" = model.safetensors ] && [ -n "${MESON_EXE_WRAPPER:-}" ] && break
done
for c in "$dir"/damaged/checkpoint-*; do : >"$c/state.safetensors"; done
expect 2 "no checkpoint that is whole" run damaged --resume

# Nothing is destroyed, and nothing is mixed.
expect 2 "holds a run already" run whole
expect 2 "learning_rate 0.5 (was 0.0003)" run whole --resume --set learning_rate=0.5
expect 2 "stage_steps" run whole --resume --set stage_steps=3,2
on_lines() {
    run problems --set task_stages= --set sft_steps= --set stage_steps=2 --set eval_steps=0 --set task_eval_size=1 \
        --set "train_file=$dir/lines.jsonl" --set reward_funcs=last_number "$@"
}
printf '{"prompt":"1+%s=","answer":"%s"}\n' 1 2 2 3 3 4 4 5 5 6 >"$dir/lines.jsonl"
expect 0 "" on_lines
printf '{"prompt":"1+%s=","answer":"%s"}\n' 1 2 2 3 3 4 4 5 5 7 >"$dir/lines.jsonl"
expect 2 "made with other problems" on_lines --resume
expect 2 "newer checkpoints" run whole --resume-from "$dir/whole/checkpoint-$before"
expect 2 "cannot go on from" run whole --resume-from "$dir/nowhere"
cp -R "$dir/whole" "$dir/back"
expect 0 "" run back --resume-from "$dir/back/checkpoint-$before" --overwrite
same_as_whole back
expect 0 "" run back --overwrite
same_as_whole back
expect 0 "" run back --resume --allow-changes --set stage_steps=1,8
[ -d "$dir/back/checkpoint-$((newest + 4))" ] || fail "other steps: no checkpoint after the last one"
expect 2 "have no such step" run back --resume --allow-changes --set stage_steps=3,4
expect 0 "" run back --overwrite
expect 0 "" run elsewhere --resume-from "$dir/whole/checkpoint-$before"
[ "$(hash_of elsewhere)" = "$(hash_of whole)" ] || fail "elsewhere: other weights than uninterrupted"

# INT8 weights that completions are sampled with.
int8() {
    run "$@" --set generation_weights=int8
}
expect 0 "" int8 int8
cp -R "$dir/int8" "$dir/int8-back"
rm -rf "$dir/int8-back/checkpoint-$newest"
expect 0 "" int8 int8-back --resume --set threads=1
[ "$(hash_of int8-back)" = "$(hash_of int8)" ] || fail "int8: other weights than uninterrupted"
[ "$(hash_of int8)" != "$(hash_of whole)" ] || fail "int8: the weights of a run without"

# A disk without room (here: files that may not grow): the checkpoints that are there stay.
rm -rf "$dir/back/checkpoint-$newest"
(ulimit -f 8000 && expect 0 "checkpoint-$newest was not saved.*checkpoint-$before" run back --resume && exit $bad) || bad=1
[ "$(hash_of back)" = "$(hash_of whole)" ] || fail "disk full: other weights than uninterrupted"
(ulimit -f 2000 && expect 2 "result was not saved.*checkpoint-$before" run back --resume && exit $bad) || bad=1
expect 0 "" run back --resume
same_as_whole back
(ulimit -f 16 && expect 2 "was not saved" run small && exit $bad) || bad=1
[ -z "$(tail -n 1 "$dir/small/metrics.jsonl" | sed 's/.*}$//')" ] || fail "half a line in metrics.jsonl"
[ -z "$(tail -n 1 "$dir/small/completions.jsonl" | sed 's/.*}$//')" ] || fail "half a line in completions.jsonl"
expect 0 "" run small --resume
same_as_whole small

# A signal ends it after the step, with a checkpoint.
run signal --set save_steps=0 --set sft_steps=3,200 &
pid=$!
for i in 1 2 3 4 5 6 7 8 9; do
    sleep 1
    [ -s "$dir/signal/metrics.jsonl" ] && break
done
kill -TERM $(ps -o pid= --ppid $pid) 2>/dev/null || :
wait $pid 2>/dev/null || :
ls -d "$dir"/signal/checkpoint-* >/dev/null 2>&1 || fail "SIGTERM leaves no checkpoint"
grep -q '"interrupted": true' "$dir/signal/summary.json" || fail "SIGTERM: no summary"
expect 0 "" run signal --resume --set save_steps=0 --set sft_steps=3,200

# Adapters, and moments in 8 bits.
lora() {
    out=$1
    shift
    run "$out" --set use_peft=true --set lora_target_modules=all-linear --set optim=adamw_8bit \
        --set sync_ref_model=false "$@"
}
expect 0 "" lora lora
cp -R "$dir/lora" "$dir/lora-back"
before=$(ls -d "$dir"/lora/checkpoint-* | sed 's/.*-//' | sort -n | tail -n 2 | head -n 1)
expect 0 "" lora lora-back --resume-from "$dir/lora-back/checkpoint-$before" --overwrite
[ "$(hash_of lora)" = "$(hash_of lora-back)" ] || fail "LoRA: other weights than uninterrupted"
cmp -s "$dir/lora/model.safetensors" "$dir/lora-back/model.safetensors" || fail "LoRA: another model"

# A reward program that fails in an evaluation costs no step, and the evaluation is made up.
cat >"$dir/score" <<'END'
while read -r line; do
    case $line in '{"step":2,"index":0,"count":4,'*) [ ! -e "$1" ] || exit 7 ;; esac
    echo "0.${#line}"
done
END
scored() {
    run "$@" --set reward_funcs=program --set "reward_program=sh $dir/score $dir/fail"
}
expect 0 "" scored scored
touch "$dir/fail"
expect 2 "exit code 7.*the steps before are saved" scored unscored
[ -d "$dir/unscored/checkpoint-5" ] || fail "an evaluation that failed: the step before it is lost"
rm "$dir/fail"
expect 0 "" scored unscored --resume
[ "$(hash_of scored)" = "$(hash_of unscored)" ] || fail "an evaluation that failed: other weights"
lines_of unscored >"$dir/lines"
lines_of scored | cmp -s - "$dir/lines" || fail "an evaluation that failed: other lines in metrics.jsonl"

# A model that is trained is not lost to what comes of it.
expect 2 "folder of the model" run lora --overwrite --set "model=$dir/lora"

# Ctrl-C ends a `| tee` as well: lines that nobody reads end no run.
${MESON_EXE_WRAPPER:-} "$train" "$root/examples/tiny-addition.yaml" --set "output_dir=$dir/unread" \
    --set task_stages=1 --set task_train_size=60 \
    --set task_eval_size=4 --set sft_steps=2 --set stage_steps=2 --set per_device_train_batch_size=16 2>&1 | :
[ -s "$dir/unread/summary.json" ] || fail "a run whose lines nobody reads has no end"

# The best weights are kept, and taken at the end where they are wanted: the first GRPO step changes nothing (its rate is
# 0), the others spoil what the supervised ones have learnt.
if [ -z "${MESON_EXE_WRAPPER:-}" ]; then
    run best --set task_stages=1 --set sft_steps=70 --set sft_batch_size=64 --set stage_steps=4 --set warmup_steps=2 \
        --set learning_rate=1 --set num_iterations=1 --set eval_steps=1 --set save_steps=0 --set task_train_size=300 \
        --set task_eval_size=25 --set load_best_model_at_end=true || fail "load_best_model_at_end"
    cmp -s "$dir/best/model.safetensors" "$dir/best/checkpoint-71/model.safetensors" || fail "best: not the best weights"
    grep -q '"heldout_after": 0.[1-9]' "$dir/best/summary.json" || fail "best: its accuracy is not that of the best"
    cmp -s "$dir/best/model.safetensors" "$dir/best/checkpoint-74/model.safetensors" && fail "best: the last weights"
fi

# A gradient that is not finite: skipped, and after three in a row the end.
expect 1 "3 steps in a row is not finite.*the last good checkpoint is" run nan --set sft_learning_rate=1e9 \
    --set sft_lr_scheduler_type=constant --set sft_steps=8,2
grep -q "was skipped" "$dir/err" || fail "a skipped step is not told of"

[ $bad = 0 ] || exit 1
