#!/usr/bin/env python3
"""Tests of tools/tidy: each rule on a made-up tree where all is well, and on ones where one thing is wrong."""

import importlib.machinery
import importlib.util
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
PATH = pathlib.Path(__file__).resolve().parent / "tidy"
LOADER = importlib.machinery.SourceFileLoader("tidy", str(PATH))
tidy = importlib.util.module_from_spec(importlib.util.spec_from_loader("tidy", LOADER))
LOADER.exec_module(tidy)

HEADER = "// A thing.\n#pragma once\n"
METRICS = HEADER + '#define BERTH_METRICS(X) \\\n  X(a_total, counter, "x,y", "How many.") \\\n  X(b, gauge, "", \\\n    "How " "full.")\n'
MACHINE = "/ro" "ot/"   # in two, since this file is linted too

# A tree without a fault: file -> text.
GOOD = {
    "CMakeLists.txt": "add_subdirectory(src)\nadd_subdirectory(fuzz)\n",
    "src/CMakeLists.txt": "".join(f"add_subdirectory({room})\n" for room in ("base", "model", "plan", "kube", "app", "observe")),
    "fuzz/CMakeLists.txt": "berth_fuzz(json berth_kube)\n",
    "fuzz/json.cpp": "int x;\n",
    "fuzz/corpus/json/a": "\t  blanks are an input   ",
    "src/base/CMakeLists.txt": "berth_module(NAME base LIBRARIES fmt::fmt)\n",
    "src/base/README.md": "# base\n\nSee [model](../model/README.md) and docs/metrics.md.\n",
    "src/base/clock.hpp": HEADER,
    "src/base/testing/sim.hpp": HEADER + '#include "base/clock.hpp"\n',
    "src/model/CMakeLists.txt": "berth_module(NAME model DEPS base)\n",
    "src/model/README.md": "# model\n",
    "src/model/noun.hpp": HEADER + '#include <string>\n\n#include "base/clock.hpp"\n',
    "src/model/noun.cpp": '#include "model/noun.hpp"\n\n#include <vector>\n\n// steady_clock::now() in a comment\nauto x = "getenv(y)";\n',
    "src/plan/CMakeLists.txt": "berth_module(NAME plan DEPS model)\n",
    "src/plan/README.md": "# plan\n",
    "src/plan/verb.hpp": HEADER + '#include "model/noun.hpp"\n',
    "src/plan/verb_test.cpp": '#include "plan/verb.hpp"\n#include "base/testing/sim.hpp"\nint x = getenv("SEED") != nullptr;\n',
    "src/kube/CMakeLists.txt": "berth_module(NAME kube DEPS model LIBRARIES fmt::fmt)\n",
    "src/kube/README.md": "# kube\n",
    "src/kube/config.cpp": 'const char* host = std::getenv("HOST");\n',
    "src/observe/CMakeLists.txt": "berth_module(NAME observe DEPS model)\n",
    "src/observe/README.md": "# observe\n",
    "src/observe/metric_names.hpp": METRICS,
    "src/app/CMakeLists.txt": "berth_module(NAME app DEPS plan kube)\nadd_executable(berth main.cpp)\n",
    "src/app/README.md": "# app\n",
    "src/app/main.cpp": '#include "kube/api.hpp"\nint main() {}\n',
    "src/kube/api.hpp": HEADER + '#include <string>\n#include "gobgp.pb.h"\n',
    "docs/metrics.md": "# Metrics\n\n" + tidy.DOC_BEGIN + "\n| metric | type | labels | |\n|---|---|---|---|\n"
                       "| `a_total` | counter | `x`, `y` | How many. |\n| `b` | gauge |  | How full. |\n" + tidy.DOC_END + "\n",
    "tools/run": "#!/usr/bin/env bash\nset -euo pipefail\n",
    "tools/lab.py": "import os\n",
}


class TidyTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="berth-tidy-")
        self.addCleanup(self.folder.cleanup)
        self.root = pathlib.Path(self.folder.name)
        subprocess.run(["git", "init", "--quiet"], cwd=self.root, check=True)
        for name, text in GOOD.items():
            self.write(name, text)
        os.chmod(self.root / "tools/run", 0o755)

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def findings(self, rule):
        return [f"{name}:{line}: {text}" for name, line, text in tidy.RULES[rule][1](tidy.Tree(self.root))]

    def refused(self, rule, name, text, said, line=None):
        """With `text` at `name` the rule says exactly one thing about that file."""
        self.write(name, text)
        mine = [finding for finding in self.findings(rule) if finding.startswith(f"{name}:")]
        self.assertEqual(len(mine), 1, (self.findings(rule), name))
        self.assertIn(said, mine[0])
        if line is not None:
            self.assertTrue(mine[0].startswith(f"{name}:{line}:"), mine[0])

    def test_a_tree_without_a_fault_passes_every_rule(self):
        for rule in tidy.RULES:
            self.assertEqual(self.findings(rule), [], rule)

    def test_imports_against_the_flow_are_refused(self):
        self.refused("includes", "src/base/clock.hpp", HEADER + '#include "model/noun.hpp"\n', "base may not include model/noun.hpp", 3)
        self.refused("includes", "src/kube/config.cpp", '#include "plan/verb.hpp"\n', "kube may not include plan/verb.hpp", 1)
        self.refused("includes", "src/observe/metric_names.hpp", METRICS + '  # include   "kube/api.hpp"\n', "observe may not include")
        self.refused("includes", "src/plan/verb.hpp", HEADER + '#include "base/testing/sim.hpp"\n', "is for tests")
        self.refused("includes", "src/model/noun.cpp", '#include "noun.hpp"\n', "is no file of src/")
        self.refused("includes", "src/wonder/x.cpp", "int x;\n", "not in the table ROOMS")

    def test_an_adapter_may_include_the_port_that_it_implements_and_no_other_header_of_that_room(self):
        self.write("src/reconcile/cluster.hpp", HEADER)
        self.write("src/reconcile/controller.hpp", HEADER)
        self.write("src/kube/config.cpp", '#include "reconcile/cluster.hpp"\n')
        self.assertEqual(self.findings("includes"), [])
        self.refused("includes", "src/kube/config.cpp", '#include "reconcile/controller.hpp"\n', "may not include reconcile/controller.hpp")

    def test_cmake_may_not_depend_on_what_may_not_be_included(self):
        self.refused("includes", "src/model/CMakeLists.txt", "berth_module(NAME model DEPS base plan)\n", "model may not depend on plan")

    def test_words_are_refused_outside_their_rooms(self):
        for line, said in (("auto t = std::chrono::steady_clock::now();", "real clock"), ("auto t = Clock::now();", "real clock"),
                           ("std::this_thread::sleep_for(1s);", "real sleep"), ("  sleep(1);", "real sleep"), ("int x = rand();", "chance"),
                           ("std::random_device seed;", "chance"), ('auto x = getenv("X");', "environment"),
                           ("co_await wait();", "I/O"), ("std::mutex m;", "lock"),
                           ("asio::co_spawn(io, run(), asio::detached);", "")):
            self.write("src/plan/verb.hpp", HEADER + line + "\n")
            found = self.findings("words")
            self.assertTrue(found and all(finding.startswith("src/plan/verb.hpp:3:") for finding in found), (line, found))
            self.assertIn(said, " ".join(found))
        self.refused("words", "src/kube/api.hpp", HEADER + "co_spawn(io, run(), asio::detached);\n", "task without an owner")

    def test_words_are_taken_where_they_belong_and_where_they_mean_something_else(self):
        self.write("src/os/clock.cpp", "auto t = std::chrono::steady_clock::now();\n")
        self.write("src/kube/watch.cpp", "co_await timers_.sleep_for(1s);\nint strand(); int operand(int);\nstrand(); timers.sleep(2);\n")
        self.assertEqual(self.findings("words"), [])

    def test_headers_stand_alone(self):
        self.refused("headers", "src/model/noun.cpp", '#include <vector>\n\n#include "model/noun.hpp"\n', "include model/noun.hpp first")
        self.refused("headers", "src/plan/verb.hpp", "// A verb.\nint x;\n", "#pragma once")
        self.refused("headers", "src/kube/api.hpp", "#pragma once\n", "begin with a comment")

    def test_a_file_that_nothing_builds_is_refused(self):
        self.refused("unbuilt", "fuzz/yaml.cpp", "int x;\n", "does not name it")
        self.refused("unbuilt", "src/plan/testing/builders.cpp", "int x;\n", "no CMakeLists.txt")
        self.refused("unbuilt", "tests/sim/store_test.cpp", "int x;\n", "no CMakeLists.txt")
        self.write("tests/sim/CMakeLists.txt", "add_executable(sim_test store_test.cpp)\n")
        self.refused("unbuilt", "tests/sim/store_test.cpp", "int x;\n", "no CMakeLists.txt")
        self.write("CMakeLists.txt", GOOD["CMakeLists.txt"] + "add_subdirectory(tests/sim)\n")
        self.refused("unbuilt", "tests/sim/store.cpp", "int x;\n", "does not name it")   # store_test.cpp is another file
        self.assertEqual([finding for finding in self.findings("unbuilt") if "store_test" in finding], [])
        self.refused("unbuilt", "src/kube/main.cpp", "int main() {}\n", "does not name it")

    def test_a_room_has_a_readme_of_a_screen(self):
        self.refused("readme", "src/base/README.md", "# base\n" * 61, "longer")
        (self.root / "src/plan/README.md").unlink()
        self.assertEqual(self.findings("readme")[-1].partition(":")[0], "src/plan/README.md")

    def test_what_is_named_in_prose_exists(self):
        self.refused("links", "src/plan/README.md", "See ABSENT.md for more.\n", "there is no ABSENT.md", 1)
        self.refused("links", "src/model/README.md", "# model\n\nSee [the code](noun.cxx).\n", "there is no noun.cxx", 3)
        self.refused("links", "src/model/noun.hpp", HEADER + "// docs/README.md says why.\n", "there is no docs/README.md")
        self.refused("links", "src/kube/config.cpp", f"// {MACHINE}x\n", "of one machine")
        self.write("src/kube/README.md", "[a](https://example.org/x.md) [b](#kube) `tools/*.md` is no name of a file\n")
        self.assertEqual([finding for finding in self.findings("links") if "src/kube/README" in finding], [])

    def test_metrics_are_documented_as_they_are(self):
        self.refused("metrics", "docs/metrics.md", GOOD["docs/metrics.md"].replace("How full", "How empty"), "--write-docs")
        tidy.write_docs(tidy.Tree(self.root))
        self.assertEqual((self.root / "docs/metrics.md").read_text(), GOOD["docs/metrics.md"])
        self.refused("metrics", "src/observe/metric_names.hpp", METRICS + "  X(c, gauge, LABELS, \"x\")\n",
                     "3 metrics, of which tools/tidy can read 2")

    def test_what_users_meet_is_explained(self):
        self.write("docs/troubleshooting.md", "# Why\n\n`pool_full_of_it`\n")
        self.refused("documented", "src/plan/verb.hpp", HEADER + '    case PoolReason::full: return "pool_full";\n', "explain pool_full", 3)
        self.write("docs/troubleshooting.md", "# Why\n\n| `pool_full` | wait |\n")
        self.assertEqual(self.findings("documented"), [])
        self.refused("documented", "src/app/flags.cpp", 'x.add_option("--new-flag", y, "text");\n', "explain --new-flag")
        self.refused("documented", "src/model/names.hpp", HEADER + 'constexpr std::string_view a = "berth.kubesphere.io/a";\n',
                     "explain berth.kubesphere.io/a")
        self.write("docs/configuration.md", "# Configuration\n\n`--new-flag=N`\n")
        self.write("docs/addresses.md", "# Addresses\n\nberth.kubesphere.io/a\n")
        self.assertEqual(self.findings("documented"), [])

    def test_scripts_can_be_run(self):
        os.chmod(self.root / "tools/run", 0o644)
        self.assertEqual(self.findings("scripts"), ["tools/run:1: has a shebang: chmod +x"])
        os.chmod(self.root / "tools/run", 0o755)
        self.refused("scripts", "tools/run", "#!/usr/bin/env bash\nset -euo pipefail\nif true; then\n", "does not parse")
        self.refused("scripts", "tools/run", "#!/usr/bin/env bash\ntrue\n", "set -euo pipefail")
        self.refused("scripts", "tools/run", "#!/usr/bin/env python3\ndef f(:\n", "does not parse", 2)
        os.chmod(self.root / "tools/lab.py", 0o755)
        self.assertEqual([finding for finding in self.findings("scripts") if "lab" in finding],
                         ["tools/lab.py:1: is executable, but has no shebang"])
        os.chmod(self.root / "tools/lab.py", 0o644)
        self.refused("scripts", "tools/lab.py", "import\n", "does not parse", 1)
        self.write("tools/new", "true\n")
        self.assertIn("tools/new:1: is a command: give it a shebang", self.findings("scripts"))

    def test_text_is_tidy(self):
        self.refused("text", "src/base/clock.hpp", HEADER.rstrip("\n"), "one newline")
        self.refused("text", "src/base/clock.hpp", HEADER + "\n", "one newline")
        self.refused("text", "src/base/clock.hpp", HEADER + "int x; \n", "blanks", 3)
        self.refused("text", "src/base/clock.hpp", HEADER + "\tint x;\n", "a tab", 3)
        self.refused("text", "src/base/clock.hpp", HEADER + "//" + "x" * 139 + "\n", "141 wide", 3)
        self.refused("text", "tools/run", GOOD["tools/run"] + "#" * 141 + "\n", "141 wide", 3)

    def test_what_git_ignores_is_not_looked_at(self):
        self.write(".gitignore", "/out/\n")
        self.write("out/x.hpp", f"{MACHINE} \n\n")
        for rule in tidy.RULES:
            self.assertEqual(self.findings(rule), [], rule)


if __name__ == "__main__":
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    result = unittest.TextTestRunner(verbosity=1).run(suite)
    bad = len({test.id() for test, _ in result.failures + result.errors})
    print(f"{result.testsRun - bad - len(result.skipped)} passed, {bad} failed, {len(result.skipped)} skipped")
    sys.exit(0 if result.wasSuccessful() else 1)
