// A manifest as YAML text, in the order in which its fields were put in. Pure.
#pragma once

#include <string>

#include <boost/json/object.hpp>

namespace berth {

// A document, beginning with "---".
std::string to_yaml(const boost::json::object& manifest);

}  // namespace berth
