"""Runs the cases of a script and says how many passed, as Rust's tests do."""

import sys
import unittest

from runtime import NAME


def main():
    print(f"# {NAME}", flush=True)
    runner = unittest.TextTestRunner(stream=sys.stdout, verbosity=2)
    done = unittest.main(testRunner=runner, exit=False).result
    # A test with sub-tests may fail more than once.
    bad = {getattr(test, "test_case", test) for test, _ in done.failures + done.errors}
    print(f"test result: {done.testsRun - len(bad)} passed; {len(bad)} failed", flush=True)
    sys.exit(bool(bad))
