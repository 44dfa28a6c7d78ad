"""What the benchmarks share: the peak, the columns of speed, processes of their own."""

import measure
import pytest


def test_speed_is_counted_operations_a_second_and_their_share():
    assert measure.speed(1234.5, 2e9, 4e12) == ("1,234.50", "2.469", "61.7%")


def test_ratios_are_taken_round_by_round():
    assert measure.ratio([6.0, 8.0], [1.0, 2.0]) == "5.00 (4.00 to 6.00)"


def test_all_take_turns():
    order = []
    actions = {name: lambda name=name: order.append(name) for name in "ab"}
    times = measure.in_turns(actions, 3)
    assert order == ["a", "b"] * 3
    assert [len(seconds) for seconds in times.values()] == [3, 3]


def test_the_peak_is_the_fastest_product_of_a_dtype():
    peak = measure.Peak(("float32", "bfloat16"), (16, 32), ("NumPy", "JAX"), least=0.001)
    assert len(peak.rates) == 6  # NumPy has no bfloat16
    peak.measure()
    (first, second), half = peak.rounds["float32"], peak.rounds["bfloat16"]
    assert max(first, second) == max(r for key, r in peak.rates.items() if key[1] == "float32")
    assert peak.of("float32") == (first + second) / 2 and len(half) == 2
    peak.rates["JAX", "float32", 16], peak.rounds["float32"] = 3e15, [3e15, 2e15, 1e15]
    float32, bfloat16 = str(peak).splitlines()
    assert float32 == "float32 peak: 2000 TFLOP/s, at best 3000 (JAX, 16 x 16)"
    assert bfloat16.startswith("bfloat16 peak: ")


def test_a_process_of_its_own_hands_back_what_it_found():
    code = "import sys; from measure import hand_back; print('noise'); hand_back([sys.argv[1], 2])"
    path = measure.__file__.removesuffix("measure.py")
    assert measure.in_process_of_its_own(("-c", code, "x"), PYTHONPATH=path) == ["x", 2]


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setitem(measure.sys.modules, "torch", pytest)  # anything that imports
    assert measure.missing_torch() is None
    assert measure.missing_torch("no_such_package") == "No module named 'no_such_package'"
    monkeypatch.setitem(measure.sys.modules, "torch", None)
    assert "torch" in measure.missing_torch()
