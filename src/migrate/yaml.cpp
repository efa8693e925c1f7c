#include "migrate/yaml.hpp"

#include <algorithm>
#include <string_view>

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "base/text.hpp"

namespace berth {
namespace {

namespace json = boost::json;

// May stand without quotes and is text all the same.
bool is_plain(std::string_view text) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const auto safe = [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '.' || c == '/' || c == '-' || c == '_'; };
  if (text.empty() || text.front() == '-' || !std::ranges::all_of(text, safe)) return false;
  for (const char* word : {"true", "false", "yes", "no", "on", "off", "y", "n", "null"})
    if (same_letters(text, word)) return false;
  // What begins otherwise may be a number in one of YAML's many notations.
  return letter(text.front()) || std::ranges::count(text, '.') >= 3;
}

std::string scalar(const json::value& value) {
  if (const json::string* text = value.if_string(); text != nullptr && is_plain({text->data(), text->size()}))
    return {text->data(), text->size()};
  return json::serialize(value);  // JSON's text and numbers are YAML's
}

void write(const json::value& value, std::size_t indent, std::string& out);

void write_object(const json::object& object, std::size_t indent, bool continues, std::string& out) {
  for (const auto& [key, inner] : object) {
    if (!continues) out.append(indent, ' ');
    continues = false;
    out += scalar(json::value(key)) + ":";
    write(inner, indent, out);
  }
}

void write(const json::value& value, std::size_t indent, std::string& out) {
  if (value.is_object() && !value.as_object().empty()) {
    out += "\n";
    write_object(value.as_object(), indent + 2, false, out);
  } else if (value.is_array() && !value.as_array().empty()) {
    out += "\n";
    for (const json::value& item : value.as_array()) {
      out.append(indent + 2, ' ');
      out += "- ";
      if (item.is_object() && !item.as_object().empty())
        write_object(item.as_object(), indent + 4, true, out);
      else
        out += scalar(item) + "\n";
    }
  } else {
    out += " " + scalar(value) + "\n";
  }
}

}  // namespace

std::string to_yaml(const json::object& manifest) {
  std::string out = "---\n";
  write_object(manifest, 0, false, out);
  return out;
}

}  // namespace berth
