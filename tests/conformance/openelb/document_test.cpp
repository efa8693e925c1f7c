// docs/openelb-compatibility.md and the tests say the same: every number has its test, every test its
// number, and the counts at the end of the page are right. Prints them.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace berth::openelb {
namespace {

const std::filesystem::path tree{BERTH_TREE};

std::string text_of(const std::filesystem::path& file) {
  std::ifstream in{file};
  return {std::istreambuf_iterator<char>{in}, {}};
}

struct Row {
  std::string number;  // E-2
  std::string openelb, berth, shown_by;
  [[nodiscard]] bool is_fault() const { return openelb.starts_with("**fault**"); }
  [[nodiscard]] bool is_same() const { return berth.starts_with("same"); }
  [[nodiscard]] bool is_not_applicable() const { return berth.starts_with("not applicable"); }
};

std::vector<Row> read_rows() {
  std::vector<Row> out;
  std::istringstream lines{text_of(tree / "docs/openelb-compatibility.md")};
  const std::regex row{R"(\| ([A-Z]-\d+) \| (.*) \| (.*) \| (.*) \|)"};
  for (std::string line; std::getline(lines, line);) {
    if (line.size() < 4 || line[0] != '|' || line[3] != '-' || line[2] == '-') continue;
    std::smatch found;
    const bool is_row = std::regex_match(line, found, row);
    EXPECT_TRUE(is_row) << "not four cells: " << line;
    if (is_row) out.push_back({found[1], found[2], found[3], found[4]});
  }
  return out;
}

// E02_AnAddressMayGrow is of E-2.
std::string number_of(const std::string& test) {
  std::smatch found;
  static const std::regex begins{R"(([A-Z])0*(\d+)_.*)"};
  return std::regex_match(test, found, begins) ? fmt::format("{}-{}", found[1].str(), found[2].str()) : "";
}

std::map<std::string, std::string> tests_by_number() {
  std::map<std::string, std::string> out;
  const auto& all = *::testing::UnitTest::GetInstance();
  for (int i = 0; i < all.total_test_suite_count(); ++i) {
    const auto& suite = *all.GetTestSuite(i);
    if (std::string{suite.name()} == "Document") continue;
    for (int j = 0; j < suite.total_test_count(); ++j) {
      const std::string test = suite.GetTestInfo(j)->name();
      const std::string number = number_of(test);
      EXPECT_NE(number, "") << test << " does not begin with the number of its rule";
      EXPECT_TRUE(out.emplace(number, test).second) << number << " has two tests: " << out[number] << " and " << test;
    }
  }
  return out;
}

// `path/file: Name, Name` of tests that stand elsewhere.
void expect_elsewhere(const Row& row) {
  std::smatch found;
  ASSERT_TRUE(std::regex_match(row.shown_by, found, std::regex{R"(`([\w./]+)`: ([\w, ]+))"})) << row.number << ": " << row.shown_by;
  const std::string text = text_of(tree / found[1].str());
  EXPECT_NE(text, "") << row.number << ": there is no " << found[1];
  std::istringstream names{found[2]};
  for (std::string name; std::getline(names >> std::ws, name, ',');)
    EXPECT_TRUE(text.find(", " + name + ")") != std::string::npos || text.find("def " + name + "(") != std::string::npos)
        << row.number << ": " << found[1] << " has no test " << name;
}

TEST(Document, EveryNumberHasItsTestAndEveryTestItsNumber) {
  const std::vector<Row> rows = read_rows();
  auto tests = tests_by_number();
  std::set<std::string> numbers;
  std::size_t faults = 0, same = 0, here = 0, elsewhere = 0, not_applicable = 0;
  for (const Row& row : rows) {
    EXPECT_TRUE(numbers.insert(row.number).second) << row.number << " stands twice";
    faults += row.is_fault() ? 1 : 0;
    same += row.is_same() ? 1 : 0;
    EXPECT_FALSE(row.is_fault() && row.is_same()) << row.number << ": a fault is not kept";
    const auto test = tests.find(row.number);
    if (row.is_not_applicable()) {
      ++not_applicable;
      EXPECT_EQ(row.shown_by, "–") << row.number;
    } else if (test != tests.end()) {
      ++here;
      EXPECT_EQ(row.shown_by, "`" + test->second + "`") << row.number;
      tests.erase(test);
    } else {
      ++elsewhere;
      expect_elsewhere(row);
    }
  }
  for (const auto& [number, test] : tests) ADD_FAILURE() << test << ": docs/openelb-compatibility.md has no " << number;
  const std::string counts = fmt::format(
      "{} rules, {} of them faults of OpenELB; Berth does {} the same. {} are shown by tests/conformance/openelb, {} by tests elsewhere, "
      "{} are not applicable.",
      rows.size(), faults, same, here, elsewhere, not_applicable);
  std::printf("%s\n", counts.c_str());
  std::string page = text_of(tree / "docs/openelb-compatibility.md");
  std::ranges::replace(page, '\n', ' ');
  EXPECT_NE(page.find(counts), std::string::npos) << "docs/openelb-compatibility.md does not end with these counts";
}

}  // namespace
}  // namespace berth::openelb
