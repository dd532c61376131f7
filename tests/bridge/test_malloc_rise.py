"""Bytes in use by the C library, against arrays whose size is known."""

from __future__ import annotations

import sys
import time

import pytest
import torch

from sc_bridge.memory.malloc import MallocRise

MEBI = 2**20
REST = 0.02  # what the interpreter takes meanwhile


def test_bytes_in_use_rise_by_the_largest_sum_of_what_is_there_at_once():
    interval = sys.getswitchinterval()
    with MallocRise() as rise:
        x = torch.empty(32 * MEBI, dtype=torch.uint8)  # never written, and in use nevertheless
        y = torch.empty(16 * MEBI, dtype=torch.uint8)
        time.sleep(0.05)
        del x, y
        z = torch.empty(24 * MEBI, dtype=torch.uint8)
        time.sleep(0.05)
        del z
    if rise.count is None:
        pytest.skip("needs mallinfo2 of glibc 2.33")
    assert rise.count == pytest.approx(48 * MEBI, rel=REST)
    assert sys.getswitchinterval() == interval


def test_without_mallinfo2_there_is_no_count(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with MallocRise() as rise:
        pass
    assert rise.count is None
