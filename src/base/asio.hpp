// The few Asio headers that everybody needs, under one short name.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

namespace berth {
namespace asio = boost::asio;
}  // namespace berth
