"""Mistakes at the command line: each is one sentence in the words of its options, exit code 2, and nothing is written."""

import shlex

import pytest

import mechsteer as ms
from mechsteer.cli.verbs import by_options

SITE = "--site 2:mlp.out"
MISTAKES = {
    "study --site 2:mlp": "The place 'mlp' is unknown",
    "study --site auto,2:mlp.out": "'auto' is not LAYER:PLACE",
    "study --multipliers 4:-4:9": "do not rise from LO to HI",
    "study --multipliers auto:9": "do not say how many to find, 21 to 10000",
    "study --multipliers -4:4": "do not rise from LO to HI in N steps",
    "study --multipliers -4:4:1000000000000": "in N steps, 2 to 10000",
    "study --multipliers -1,0,x": "neither LO:HI:N nor a list of numbers",
    "study -m nan,1": "not all finite",
    "study --methods Foo": "The method 'Foo' is unknown. Choose DiffMean",
    "study --methods DiffMean --forms lora": "No steer is left to study",
    "study --claims SPLIT": "not METHOD-FORM",
    "study --pairs nowhere.csv": "There is no file nowhere.csv",
    "study --pairs odd.csv": "say how in --columns",
    "study --pairs two.csv": "say which in --columns, such as positive=matching",
    "study --columns query=a": "--columns and --group are for files",
    "study --out file": "'file' exists and is no study",
    "study --out file/study": "Nothing can be written to",
    "study --extend nowhere.py": "There is no file",
    f"train {SITE} --out v.pt": "Name a file that ends in .safetensors",
    f"train {SITE} --out folder.safetensors": "--out is the folder 'folder.safetensors'",
    f"train {SITE} --out file/v.safetensors": "nothing can be written in",
    f"train {SITE} --out {300 * 'v'}.safetensors": "--out cannot be",
    f"train {SITE} --out v.safetensors --steps 3 --epochs 2": "Both --steps and --epochs came",
    f"train {SITE} --out v.safetensors --method DiffMean --form lora": "DiffMean gives a vector, not a lora",
    f"train {SITE} --out v.safetensors --positions first": "The --positions 'first' are unknown",
    f"train {SITE} --out v.safetensors --multipliers=-1,2": "The --multipliers (-1.0, 2.0) must be positive sizes",
    f"train {SITE} --out v.safetensors --multipliers a,2": "The --multipliers 'a,2' are no list of numbers",
    f"train {SITE} --out v.safetensors --rule spin": "The rule 'spin' is unknown. Choose add",
    f"train {SITE} --out v.safetensors --patience 3": "--patience waits for validation scores",
    f"train {SITE},2:mlp.out --out v.safetensors": "came twice",
    f"train {SITE} --out v.safetensors --pairs unknown.csv": "3 of 3 pairs hold words that guestbook does not know ('pizza0'",
    "sweep --intervention nowhere --out s.parquet": "There is no intervention at 'nowhere'",
    "sweep --intervention V --out s.csv": "Name a file that ends in .parquet",
    "sweep --intervention V --out s.parquet --rule spin": "The rule 'spin' is unknown",
    "sweep --intervention V --out s.parquet --model nowhere": "No model could be opened at 'nowhere'",
    "generate --intervention V -m 1,x prompt": "neither LO:HI:N nor a list of numbers",
    "generate --intervention V 'What about the soup?'": "hold words that guestbook does not know ('What', 'soup?')",
    "study --intervention nowhere.pt": "There is no intervention at 'nowhere.pt'",
    "study --intervention V.safetensors#layer=3": "'layer' cannot be said of a file of the format mechsteer",
    "inspect nowhere": "There is no intervention at 'nowhere'",
    "export V --to word --out w": "The format 'word' is unknown. Write one of mechsteer, peft",
    "export V --to gguf-lora --out w": "The format gguf-lora cannot express",
    "export V --to mechsteer --out w.safetensors --pairs nowhere.csv": "There is no file nowhere.csv",
    "report study --out page.pdf": "Name a file that ends in .html",
}


@pytest.fixture
def desk(tmp_path, monkeypatch, small_study):
    """A folder with a little of what mistakes are made with."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder.safetensors").mkdir()
    (tmp_path / "odd.csv").write_text("ask,good,bad\nwhat about the soup ?, tasty, awful\n")
    (tmp_path / "two.csv").write_text("query,matching,chosen,negative\na, b, c, d\n")
    rows = (f"what about the pizza{n} ?, the soup is tasty ., the soup is awful .\n" for n in range(3))
    (tmp_path / "unknown.csv").write_text("query,positive,negative\n" + "".join(rows))
    (tmp_path / "V.safetensors").symlink_to(small_study / "interventions/diffmean-vector.safetensors")
    return tmp_path


@pytest.mark.parametrize("command", MISTAKES)
def test_a_mistake_is_one_sentence_in_the_words_of_the_options_and_nothing_is_written(command, desk, mechsteer):
    words = ["V.safetensors" if word == "V" else word for word in shlex.split(command)]
    before = sorted(desk.rglob("*"))
    code, printed, error = mechsteer(*words)
    assert code == 2 and not printed and error.count("\n") == 1, (code, printed, error)
    assert error.startswith("mechsteer: ") and MISTAKES[command] in error and "`" not in error.partition(" See ")[0]
    assert sorted(desk.rglob("*")) == before


def test_python_reads_the_same_sentence_in_its_own_words():
    with pytest.raises(ms.InputError, match="Both `steps` and `epochs` came"):
        ms.TrainSettings(steps=3, epochs=2)
    assert by_options("Pass `validation` or `x`.", {"validation": "--validation"}) == "Pass --validation or x."
