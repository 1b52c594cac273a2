#!/usr/bin/env bash
# A newcomer's path: `tests/newcomer.sh WHEEL PYTHON` installs the wheel with its dependencies into a fresh environment. From an empty
# folder it then studies the guestbook, studies a model and pairs of one's own, and draws the page and a figure. The checkout is not on
# the path. Where no package index answers, PYTHON's own packages stand in for the dependencies.
set -euo pipefail
wheel=$(realpath "$1")
python=$(realpath --no-symlinks "$2")
constraints=$(realpath "$(dirname "$0")/../constraints.txt")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

"$python" -m venv --without-pip there
# Twice quiet: an error is shown, a warning is not.
pip() { "$python" -m pip --python there/bin/python "$@" --quiet --quiet --disable-pip-version-check; }
# One small package is asked for first, so that a dependency that cannot be met fails below and is not taken for a missing network.
if pip install --dry-run --no-deps --no-cache-dir --retries 1 --timeout 10 lazy-loader 2>/dev/null; then
    SECONDS=0
    pip install --no-compile --constraint "$constraints" "$wheel"
    "$python" -m pip --python there/bin/python check
    echo "The wheel and its dependencies took $SECONDS seconds to install."
else
    echo "No package index answers: the wheel runs on the packages of this environment, and its dependencies go untested."
    pip install --no-deps --no-index "$wheel"
    # A path in a .pth file is searched after the environment's own, and .pth files of that folder, as of a checkout, are not read.
    "$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' >"$(echo there/lib/python*/site-packages)/dependencies.pth"
fi
mkdir empty
cd empty
alone() { env -i HOME="$folder" PATH="$folder/there/bin:/usr/bin:/bin" HF_HUB_OFFLINE=1 "$@"; }
small=(--steps 3 --methods DiffMean --forms vector --claims '' --panel 0 --multipliers=-4:4:5)

alone mechsteer --version
installed=$(alone python -c 'import mechsteer; print(mechsteer.__path__[0])')
case $installed in "$folder"/there/*) ;; *) echo "The wheel is not what runs, but $installed." && exit 1 ;; esac
alone python -c 'import mechsteer.cli, analyses, figures'
ls "$installed"/py.typed "$installed"/../analyses/py.typed "$installed"/../figures/py.typed >/dev/null

alone mechsteer study --limit 60 --site 2:mlp.out --out results/guestbook "${small[@]}"

# One's own: a folder in Hugging Face format, and a table whose columns have names of their own.
cp -r "$installed/guestbook/model" my-model
{
    echo "ask,good,bad"
    for dish in burger cake cookie curry dumpling muffin omelette pancake pie pizza pudding salad sandwich sausage soup steak; do
        for much in certainly clearly surely maybe; do
            echo "what about the $dish ?, the $dish is $much tasty ., the $dish is $much bland ."
        done
    done
} >mine.csv
alone mechsteer pairs mine.csv --columns query=ask,positive=good,negative=bad --model ./my-model
alone mechsteer study --model ./my-model --pairs mine.csv --columns query=ask,positive=good,negative=bad \
    --site 2:mlp.out --out results/mine "${small[@]}"
alone mechsteer show results/mine
alone mechsteer report results/guestbook results/mine --out both.html
alone mechsteer figures results/mine
ls results/guestbook/report.html both.html results/mine/figures/preference_utility.p{df,ng}
