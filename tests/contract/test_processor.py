from __future__ import annotations

from triptych.contract.processor import processor_kind

X86 = """processor	: {number}
vendor_id	: GenuineIntel
cpu family	: 6
model		: 143
model name	: Intel(R) Xeon(R) Platinum 8481C CPU @ {speed}GHz
cpu MHz		: {speed}
flags		: fpu sse avx avx2 fma avx512f amx_tile
"""
ARM = "processor\t: 0\nFeatures\t: fp asimd sve\nCPU implementer\t: 0x41\nCPU part\t: 0xd40\n"


def test_a_kind_has_no_number_and_no_speed() -> None:
    kinds = {processor_kind("\n".join(X86.format(number=n, speed=speed) for n in range(speed))) for speed in (2, 3)}
    (kind,) = kinds
    assert kind.endswith(" Intel(R) Xeon(R) Platinum 8481C CPU 6/143 avx fma avx2 avx512f amx_tile")


def test_another_instruction_set_is_another_kind() -> None:
    text = X86.format(number=0, speed=2)
    assert processor_kind(text) != processor_kind(text.replace(" avx512f", ""))
    assert processor_kind(ARM).endswith("0x41/0xd40 asimd sve")


def test_this_machine_has_one() -> None:
    assert len(processor_kind().split()) > 1
