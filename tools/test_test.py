#!/usr/bin/env python3
"""Tests of tools/test: whatever a stage does, a failure is never counted as passed."""

import contextlib
import importlib.machinery
import importlib.util
import io
import pathlib
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True
PATH = pathlib.Path(__file__).resolve().parent / "test"
LOADER = importlib.machinery.SourceFileLoader("berth_test", str(PATH))
test = importlib.util.module_from_spec(importlib.util.spec_from_loader("berth_test", LOADER))
LOADER.exec_module(test)


def script(text, **options):
    return test.Step("bash", "-c", text, **options)


def counting(text, **options):
    return script(text, count=test.by_last_line, **options)


def runs(state):
    try:
        return state.read_text().split()[2] != "Z"
    except OSError:
        return False


class StageTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="berth-test-")
        self.addCleanup(folder.cleanup)
        test.OUT = pathlib.Path(folder.name)
        test.JUNIT = test.OUT / "ctest.xml"
        self.runner = test.Runner()

    def run_stage(self, *steps):
        self.printed = io.StringIO()
        with contextlib.redirect_stdout(self.printed):
            return str(test.run_stage("stage", list(steps), self.runner))

    def test_what_commands_say_is_added_up(self):
        self.assertEqual(self.run_stage(script("true"), counting("echo x; echo 2 passed, 0 failed, 1 skipped"),
                                        counting("echo 3 passed, 0 failed, 0 skipped")), "5 passed, 0 failed, 1 skipped")

    def test_failures_are_counted_once_and_later_commands_still_run(self):
        self.assertEqual(self.run_stage(counting("echo 2 passed, 1 failed, 0 skipped; exit 1"),
                                        counting("echo 3 passed, 0 failed, 0 skipped")), "5 passed, 1 failed, 0 skipped")
        self.assertIn("tools/test stage", self.printed.getvalue())

    def test_a_command_that_says_all_is_well_and_dies_has_failed(self):
        self.assertEqual(self.run_stage(counting("echo 2 passed, 0 failed, 0 skipped; exit 3")), "2 passed, 1 failed, 0 skipped")
        self.assertEqual(self.run_stage(counting("echo 2 passed, 0 failed, 0 skipped; kill -9 $$")), "2 passed, 1 failed, 0 skipped")

    def test_a_command_that_says_nothing_has_failed(self):
        for text in ("true", "echo well", "echo 2 passed, 0 failed, 0 skipped; echo more", "echo 0 passed, 0 failed, 0 skipped", "exit 1"):
            self.assertEqual(self.run_stage(counting(text)), "0 passed, 1 failed, 0 skipped", text)

    def test_what_can_not_be_prepared_or_started_has_failed_and_the_rest_is_not_run(self):
        self.assertEqual(self.run_stage(script("exit 1"), counting("echo 9 passed, 0 failed, 0 skipped")), "0 passed, 1 failed, 0 skipped")
        self.assertEqual(self.run_stage(test.Step("tools/absent", count=test.by_last_line)), "0 passed, 1 failed, 0 skipped")
        self.assertIn("No such file", self.printed.getvalue())

    def test_a_command_without_a_count_of_its_own_counts_by_its_exit(self):
        self.assertEqual(self.run_stage(script("true", count=test.by_exit)), "1 passed, 0 failed, 0 skipped")
        self.assertEqual(self.run_stage(script("false", count=test.by_exit)), "0 passed, 1 failed, 0 skipped")

    def test_a_command_that_does_not_end_is_ended_with_all_that_it_started(self):
        """Also what does not listen to SIGTERM."""
        began = time.monotonic()
        marker = test.OUT / "child"
        stuck = counting(f"(trap '' TERM; sleep 600) & echo $! > {marker}; wait", minutes=0.02)
        self.assertEqual(self.run_stage(stuck), "0 passed, 1 failed, 0 skipped")
        self.assertLess(time.monotonic() - began, 60)
        self.assertIn("did not end", self.printed.getvalue())
        state = pathlib.Path(f"/proc/{int(marker.read_text())}/stat")
        while time.monotonic() - began < 60 and runs(state):
            time.sleep(0.01)
        self.assertFalse(runs(state))

    def test_ctest_is_counted_from_its_report(self):
        report = ('<testsuite><testcase name="a" status="run"/><testcase name="b" status="fail"><failure message=""/></testcase>'
                  '<testcase name="c" status="notrun"><skipped message="SKIP"/></testcase>'
                  '<testcase name="d" status="disabled"/></testsuite>')
        write = f"echo '{report}' > {test.JUNIT}"
        self.assertEqual(self.run_stage(script(f"{write}; exit 8", count=test.by_junit)), "1 passed, 1 failed, 2 skipped")
        self.assertIn("-R '^b$'", self.printed.getvalue())

    def test_a_report_of_an_earlier_run_does_not_count(self):
        test.JUNIT.write_text('<testsuite><testcase name="a" status="run"/></testsuite>')
        self.assertEqual(self.run_stage(script("true", count=test.by_junit)), "0 passed, 1 failed, 0 skipped")


if __name__ == "__main__":
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    result = unittest.TextTestRunner(verbosity=1).run(suite)
    bad = len({one.id() for one, _ in result.failures + result.errors})
    print(f"{result.testsRun - bad - len(result.skipped)} passed, {bad} failed, {len(result.skipped)} skipped")
    sys.exit(0 if result.wasSuccessful() else 1)
