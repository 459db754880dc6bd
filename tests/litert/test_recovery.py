"""The device dies or hangs under LiteRT: that inference fails with the reason, the next one runs.

    APU_TEST_DELEGATE=... APU_TEST_MODELS=DIR APU_TEST_DEVICE=NODE APU_TEST_SIMD=apu-simd test_recovery.py

These tests decide themselves whether there is hardware, so no daemon may run before they do.
"""

import os
import subprocess
import unittest
from contextlib import contextmanager
from pathlib import Path

import cases
from archive import Archive
from runtime import load_delegate, run

DELEGATE, DEVICE, SIMD = (os.environ[f"APU_TEST_{name}"] for name in ("DELEGATE", "DEVICE", "SIMD"))
ARCHIVE = Archive(Path(os.environ["APU_TEST_MODELS"], "digits.npz"))


@contextmanager
def hardware(*faults):
    """Runs apu-simd until the end of the block, or until it dies as asked."""
    process = subprocess.Popen([SIMD, *faults], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "online\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def delegate():
    return load_delegate(DELEGATE, {"device": DEVICE, "timeout_ms": 500, "report": "none"})


class Recovery(unittest.TestCase):
    def fails(self, made, reason):
        with self.assertRaisesRegex(RuntimeError, reason):
            run(made, ARCHIVE.runs[0][0])

    def test_without_hardware_the_model_does_not_load_and_says_why(self):
        with self.assertRaisesRegex(RuntimeError, "the device is lost: no firmware answers"):
            ARCHIVE.interpreter(delegate())

    def test_hardware_that_dies_fails_one_inference(self):
        with hardware("--die-after-runs", "1"):
            made = ARCHIVE.interpreter(delegate())
            run(made, ARCHIVE.runs[0][0])
            self.fails(made, "the device is lost")
            self.fails(made, "the device is lost")
        with hardware():
            self.assertIsNone(ARCHIVE.difference(made))

    def test_hardware_that_is_killed_between_inferences_is_replaced(self):
        with hardware():
            made = ARCHIVE.interpreter(delegate())
            self.assertIsNone(ARCHIVE.difference(made))
        self.fails(made, "the device is lost")
        with hardware():
            self.assertIsNone(ARCHIVE.difference(made))

    def test_hardware_that_hangs_fails_one_inference(self):
        with hardware("--hang-after-runs", "0"):
            made = ARCHIVE.interpreter(delegate())
            self.fails(made, "the job timed out in|the device is lost")
        with hardware():
            self.assertIsNone(ARCHIVE.difference(made))


if __name__ == "__main__":
    cases.main()
