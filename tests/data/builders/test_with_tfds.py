"""Our builders under tfds's own test of builders."""

import unittest

import pytest


@pytest.mark.slow(seconds=15)
@pytest.mark.parametrize("name", ["Camelyon17", "FMoW", "IWildCam", "Ucf101"])
def test_tfds_finds_nothing_wrong_with(name):
    for needed in ("tensorflow", "dill"):
        pytest.importorskip(needed, reason="tfds's test of builders needs it")
    import tfds_cases

    case = getattr(tfds_cases, f"{name}Test")
    tests, found = unittest.defaultTestLoader.loadTestsFromTestCase(case), unittest.TestResult()
    number = tests.countTestCases()
    tests.run(found)
    assert not found.failures + found.errors and found.testsRun == number
    names = {"test_download_and_prepare_as_dataset", "test_info", "test_registered"}
    assert names <= set(unittest.defaultTestLoader.getTestCaseNames(case))
