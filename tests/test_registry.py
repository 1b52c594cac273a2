"""Families: a member says of itself what others need, and is read without being run."""

import inspect
from pathlib import Path
from typing import final

import pytest

from mechsteer import InputError
from mechsteer.engine.base import Engine
from mechsteer.families import FORMATS, FORMS, MANIFOLDS, METHODS, OBJECTIVES, RECIPES
from mechsteer.interventions.base import Intervention
from mechsteer.manifolds.base import Manifold
from mechsteer.methods.objectives.base import Objective
from mechsteer.models.sites import Site
from mechsteer.registry import Family, extend, forget_extensions

FAMILIES = (FORMS, OBJECTIVES, METHODS, RECIPES, MANIFOLDS, FORMATS)


@pytest.fixture
def letters(tmp_path):
    """A family of two, neither of which can be run."""
    for name, order in (("b", 10), ("a", 20)):
        (tmp_path / f"{name}.py").write_text(
            f'"""The letter {name}."""\n\nNAME = "{name}"\nORDER = {order}\nSTYLE = {{"colour": "red"}}\nraise RuntimeError\n'
        )
    (tmp_path / "helper.py").write_text('"""No member."""\n')
    yield Family("letter", tmp_path, "nowhere")
    forget_extensions()


def foreign(folder: Path, text: str) -> Path:
    path = folder.parent / "foreign.py"
    path.write_text(text)
    return path


def test_members_are_read_in_order_and_not_run(letters):
    assert list(letters.members()) == ["b", "a"]
    assert letters["a"].title == "The letter a" and letters["a"].get("STYLE") == {"colour": "red"}
    assert letters["a"].content == "" and letters["a"].get("MISSING", 3) == 3


def test_an_unknown_name_is_one_sentence_with_those_that_are_known(letters):
    with pytest.raises(InputError, match=r"The letter 'z' is unknown\. Choose b, a\."):
        letters["z"]


def test_a_file_from_outside_joins_with_its_content_and_where_its_order_says(letters, tmp_path):
    path = foreign(tmp_path, '"""C."""\nFAMILY = "letter"\nNAME = "c"\nORDER = 15\nVALUE = 1\n')
    extend(path)
    assert list(letters.members()) == ["b", "c", "a"] and letters.load("c").VALUE == 1
    before = letters["c"].content
    path.write_text(path.read_text().replace("VALUE = 1", "VALUE = 2"))
    assert letters["c"].content != before and letters.load("c").VALUE == 2
    forget_extensions()
    assert list(letters.members()) == ["b", "a"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('NAME = "c"\n', "does not declare FAMILY and NAME"),
        ('FAMILY = "letter"\nNAME = 3\n', "does not declare FAMILY and NAME"),
        ("def f(:\n", "no Python that can be read"),
    ],
)
def test_a_file_that_cannot_join_is_refused_in_one_sentence(letters, tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        extend(foreign(tmp_path, text))
    with pytest.raises(InputError, match="no file"):
        extend(tmp_path / "nowhere.py")


def test_two_of_one_name_are_refused(letters, tmp_path):
    extend(foreign(tmp_path, 'FAMILY = "letter"\nNAME = "a"\n'))
    with pytest.raises(InputError, match=r"Two files are the letter 'a'"):
        letters.members()


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_member_of_ours_is_what_its_family_is(family):
    for name, member in family.members().items():
        value = family.load(name)
        assert member.title and member.doc
        if family.base:
            assert inspect.isclass(value) and not inspect.isabstract(value)


@pytest.mark.parametrize(
    ("interface", "arguments"),
    [(Intervention, (Site(0, "mlp.out"),)), (Engine, (None,)), (Objective, ()), (Manifold, ())],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_an_interface_cannot_be_built(interface, arguments):
    with pytest.raises(TypeError, match="abstract"):
        interface(*arguments)


def test_what_is_final_says_so_and_has_no_heirs():
    for family in (FORMS, OBJECTIVES, MANIFOLDS):
        for name in family.members():
            value = family.load(name)
            assert getattr(value, "__final__", False), f"{value.__name__} is not marked {final.__name__}"
            assert not value.__subclasses__()
