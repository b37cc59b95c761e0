"""The planted defects still fit the library; `nox -s planted` plants them."""

from __future__ import annotations

import ast

import pytest
from tests.planted.defects import DEFECTS
from tests.planted.run import ROOT


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda each: each.name)
def test_a_defect_can_be_planted(defect):
    """Its text stands in its file exactly once, and the broken file compiles."""
    text = (ROOT / defect.file).read_text()
    assert text.count(defect.old) == 1
    ast.parse(text.replace(defect.old, defect.new))


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda each: each.name)
def test_a_defect_names_its_tests(defect):
    """The file and function of every test that must fail are there."""
    assert defect.tests
    for test in defect.tests:
        path, _, names = test.partition("::")
        assert (ROOT / path).is_file()
        assert names


def test_defects_have_names_of_their_own():
    """Each is run by its name."""
    assert len({defect.name for defect in DEFECTS}) == len(DEFECTS)
