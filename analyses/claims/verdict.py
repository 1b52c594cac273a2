"""The verdict: one analysis on what it needs, by itself; a study corrects its claims for how many they are."""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from mechsteer.errors import InputError
from mechsteer.measuring.sweeps import Sweep
from mechsteer.registry import Member
from mechsteer.store.keys import Key, keys_in, labelled

from ..evidence.evidence import Evidence
from ..evidence.scores import Judged
from .result import Result, undecided

Given = Evidence | Sequence[Sweep] | pd.DataFrame | Judged | Sequence[Judged]
"""What a claim NEEDS: one steer's evidence, the sweeps of a study, a table (of edited weights, or of what chance gains), or what
a judge says of one steer's texts, or of all."""


def judge(member: Member, given: Given, seed: int = 0) -> Result:
    """One analysis, its claims not yet corrected; its tables say by their key's columns what a row is of."""
    module, key = member.module(), subject(member, given)
    try:
        if isinstance(given, pd.DataFrame):
            found = module.run(given)
        elif isinstance(given, Evidence):
            found = module.run(given.of(key))
        else:
            found = module.run(given, seed)
    except InputError as error:
        # What an analysis cannot work with decides nothing, and must not take the other claims with it.
        found = Result((undecided(member.name, "", key, "", str(error)),))
    checks = member.get("CHECKS", ())
    claims = (replace(claim, is_check=True) if claim.part in checks else claim for claim in found.claims)
    return _labelled(Result(tuple(claims), found.tables), key)


def subject(member: Member, given: Given) -> Key:
    """What is judged: one steer; or the model, its pairs and the site, whatever is added there."""
    if isinstance(given, pd.DataFrame):
        return keys_in(given)[0]
    if isinstance(given, Judged):
        return given.key
    key = given.key if isinstance(given, Evidence) else given[0].key
    if isinstance(given, Evidence) and member.get("SCOPE") != "model":
        return key
    return key.without("method", "form", "rule", "seed", "settings")


def _labelled(result: Result, key: Key) -> Result:
    tables = {name: table if "weights" in table else labelled(table, key) for name, table in result.tables.items()}
    return Result(result.claims, tables)
