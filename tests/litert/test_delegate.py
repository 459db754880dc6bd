"""The APU delegate in an unmodified runtime.

    APU_TEST_DELEGATE=libapu_delegate.so APU_TEST_MODELS=DIR test_delegate.py

DIR is what make_models.py wrote. Its archives hold what the named numerics are; small models are
compared with the runtime's own plain kernels.
"""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import cases
import numpy as np
from archive import archives
from runtime import OpResolverType, interpreter, load_delegate, run

DELEGATE = os.environ["APU_TEST_DELEGATE"]
MODELS = Path(os.environ["APU_TEST_MODELS"])
KEYS = "device, numerics, report, report_file, require_full, cache, priority, threads, timeout_ms, patience_ms"


def delegate(**options):
    return load_delegate(DELEGATE, {"report": "none"} | options)


def plain(model):
    return interpreter(model, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)


def random(shape):
    return np.random.default_rng(1).integers(-128, 128, shape).astype(np.int8)


def reports(model, **options):
    """What the delegate tells of a model in JSON."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "report.json")
        interpreter(model, delegate(report="json", report_file=file, **options))
        return [json.loads(line) for line in file.read_text().splitlines()]


class Models(unittest.TestCase):
    def test_every_model_runs_whole_and_gives_the_named_bytes(self):
        for archive in archives(MODELS):
            with self.subTest(archive.name):
                made = archive.interpreter(delegate(require_full=True))
                self.assertIsNone(archive.difference(made))

    def test_two_interpreters_share_a_delegate(self):
        shared = delegate()
        model = MODELS / "two_sums.tflite"
        x = random((1, 4, 4, 2))
        want = run(plain(model), [x])[0]
        for made in [interpreter(model, shared), interpreter(model, shared)]:
            np.testing.assert_array_equal(run(made, [x])[0], want)


class Placement(unittest.TestCase):
    model = MODELS / "islands.tflite"

    def test_what_cannot_be_placed_stays_and_the_answer_is_the_same(self):
        x = random((1, 8))
        want = run(plain(self.model), [x])[0]
        np.testing.assert_array_equal(run(interpreter(self.model, delegate()), [x])[0], want)

    def test_the_report_names_each_part_and_each_operator_that_stays(self):
        (report,) = reports(self.model)
        self.assertEqual((report["placed"], report["operators"]), (4, 5))
        self.assertEqual([part["operators"] for part in report["parts"]], [[0, 1], [3, 4]])
        (stays,) = report["unplaced"]
        self.assertEqual((stays["index"], stays["opcode"], stays["name"]), (2, "SIN", "sine"))
        self.assertEqual((stays["reason"]["constraint"], stays["reason"]["got"]), ("operator", "SIN"))

    def test_by_default_the_report_is_a_short_text_on_stderr(self):
        script = f"from runtime import *; interpreter({str(self.model)!r}, load_delegate({DELEGATE!r}))"
        done = subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parent, stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = [line for line in done.stderr.splitlines() if line.startswith("APU:")]
        self.assertEqual(
            lines[0], "APU: 4 of 5 operators, 0 MACs, run on in-process in 2 parts (numerics tflite)"
        )
        self.assertEqual(lines[1:], ["APU:   not 2 SIN (sine): operator: the APU has no SIN"])

    def test_a_model_of_which_nothing_can_be_placed_runs_all_the_same(self):
        model, x = MODELS / "nothing.tflite", np.linspace(-4, 4, 8, dtype=np.float32).reshape(1, 8)
        (report,) = reports(model)
        self.assertEqual((report["placed"], report["operators"], report["parts"]), (0, 1, []))
        # What computes it is up to the runtime: XNNPACK, in the newer ones.
        np.testing.assert_allclose(run(interpreter(model, delegate()), [x])[0], np.sin(x), rtol=1e-5)

    def test_require_full_refuses_a_part(self):
        with self.assertRaisesRegex(RuntimeError, "require_full is set, and APU: 4 of 5 operators"):
            interpreter(self.model, delegate(require_full=1))


class Shapes(unittest.TestCase):
    def test_a_shape_known_only_at_run_time_is_compiled_for_then(self):
        model = MODELS / "open_shape.tflite"
        (report,) = reports(model)
        (stays,) = report["unplaced"]
        self.assertEqual((stays["opcode"], stays["reason"]["constraint"]), ("RESHAPE", "new shape"))
        made, want, x = interpreter(model, delegate()), plain(model), random((2, 4))
        for shape in [(4, 2), (8, 1), (2, 4)]:
            inputs = [x, np.array(shape, np.int32)]
            np.testing.assert_array_equal(run(made, inputs)[0], run(want, inputs)[0])

    def test_a_shape_that_the_compiler_knows_before_the_runtime_does(self):
        model, x = MODELS / "computed_shape.tflite", random((2, 4))
        made = interpreter(model, delegate(require_full=1))
        np.testing.assert_array_equal(run(made, [x])[0], x.reshape(4, 2))

    def test_only_what_needs_a_constant_of_another_part_stays(self):
        model, x = MODELS / "shape_from_elsewhere.tflite", random((2, 4))
        (report,) = reports(model)
        stays = [(op["opcode"], op["reason"]["constraint"]) for op in report["unplaced"]]
        self.assertEqual(stays, [("SIN", "operator"), ("RESHAPE", "new shape")])
        want = run(plain(model), [x])[0]
        np.testing.assert_array_equal(run(interpreter(model, delegate()), [x])[0], want)

    def test_a_resized_input_is_compiled_for(self):
        model = MODELS / "two_sums.tflite"
        made, x = interpreter(model, delegate()), random((1, 4, 4, 2))
        want = run(plain(model), [x])[0]
        for batch in [3, 1]:
            made.resize_tensor_input(made.get_input_details()[0]["index"], (batch, 4, 4, 2))
            made.allocate_tensors()
            got = run(made, [np.repeat(x, batch, axis=0)])[0]
            np.testing.assert_array_equal(got, np.repeat(want, batch, axis=0))


class States(unittest.TestCase):
    """The runtime's own tensors hold what is kept from run to run, so all that it can do with them it still can."""

    model = MODELS / "remembering.tflite"
    xs = np.random.default_rng(2).integers(-128, 128, (4, 2, 3, 5)).astype(np.int8)

    def pair(self):
        # The plain kernels don't know slices of version 8.
        kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        return interpreter(self.model, delegate()), interpreter(self.model, experimental_op_resolver_type=kernels)

    def assert_alike(self, made, want):
        for x in self.xs:
            for a, b in zip(run(made, [x]), run(want, [x]), strict=True):
                np.testing.assert_array_equal(a, b)

    def test_all_but_the_sine_is_placed(self):
        (report,) = reports(self.model)
        self.assertEqual([part["operators"] for part in report["parts"]], [[0, 1, 2], [4, 5]])

    def test_states_go_from_run_to_run_in_each_interpreter_by_itself(self):
        made, want = self.pair()
        other = interpreter(self.model, delegate())
        first = run(other, [self.xs[0]])[0]
        self.assert_alike(made, want)
        after = run(made, [self.xs[0]])[0]
        self.assertFalse(np.array_equal(first, after), "the states change nothing")

    def test_the_runtime_resets_them(self):
        made, want = self.pair()
        self.assert_alike(made, want)
        made.reset_all_variables()
        want.reset_all_variables()
        self.assert_alike(made, want)

    def test_what_the_runtime_shows_of_them_is_what_its_own_kernels_leave(self):
        made, want = self.pair()
        self.assert_alike(made, want)
        for detail in want.get_tensor_details():
            if detail["name"] in ("last", "cell", "memory"):
                got = made.get_tensor(detail["index"])
                np.testing.assert_array_equal(got, want.get_tensor(detail["index"]), detail["name"])


class Options(unittest.TestCase):
    def refused(self, text, **options):
        with self.assertRaises(ValueError) as refused:
            load_delegate(DELEGATE, options)
        self.assertIn(text, str(refused.exception))

    def test_an_unknown_key_is_answered_with_the_known_ones(self):
        self.refused(f"the APU delegate has no option `devise`; it has {KEYS}", devise="in-process")

    def test_a_value_that_is_nonsense_is_answered_with_what_is_allowed(self):
        self.refused("option require_full is `maybe`; it may be `0` or `1`", require_full="maybe")
        self.refused("option timeout_ms is `0`; it may be a number", timeout_ms=0)
        self.refused("option numerics is `gemmlowp`; it may be `tflite` or `xnnpack`", numerics="gemmlowp")

    def test_a_device_that_is_not_there_is_named(self):
        self.refused("cannot open /dev/accel/none: No such file", device="/dev/accel/none")

    def test_a_file_that_cannot_be_written_is_named(self):
        self.refused("the report can't be written to /dev/none/report", report_file="/dev/none/report")

    def test_the_environment_counts_where_no_option_is_given(self):
        script = f"import sys; sys.path.append({str(Path(__file__).parent)!r})\n"
        script += f"from runtime import *\nload_delegate({DELEGATE!r})"
        environment = os.environ | {"APU_REPORT": "yaml"}
        done = subprocess.run([sys.executable, "-c", script], env=environment, stderr=subprocess.PIPE, text=True)
        self.assertIn("environment variable APU_REPORT is `yaml`; it may be `text`", done.stderr)


class Faults(unittest.TestCase):
    def test_a_job_over_its_time_is_an_error_of_that_inference_alone(self):
        model, x = MODELS / "slow.tflite", random((1, 96, 96, 64))
        hasty = interpreter(model, delegate(timeout_ms=1))
        for _ in range(2):
            with self.assertRaisesRegex(RuntimeError, "the job timed out in"):
                run(hasty, [x])
        calm = interpreter(model, delegate())
        self.assertEqual(run(calm, [x])[0].shape, (1, 96, 96, 64))


if __name__ == "__main__":
    cases.main()
