#include "gobgp/policies.hpp"

#include <utility>

#include "base/text.hpp"
#include "gobgp/translate.hpp"

namespace berth::gobgp {
namespace {

asio::awaitable<Result<>> assign(Api& client, const RoutingPolicy& users) {
  for (auto& assignment : policy_assignments(users))
    if (auto done = co_await client.set_policy_assignment(std::move(assignment)); !done) co_return done;
  co_return Result<>{};
}

}  // namespace

void Policies::take(const std::string& text, const std::vector<IpAddress>& own_next_hops) {
  own_next_hops_ = own_next_hops;
  if (text == text_) return;
  text_ = text;
  problem_.clear();
  auto read = parse_policy(text);
  if (read)
    users_ = std::move(*read);
  else
    problem_ = "spec.policy: " + read.error().text + "; the policy before it stands";
}

void Policies::forget() {
  accepted_ = {};
  users_assigned_ = true;  // perhaps
}

std::vector<std::string> Policies::problems() const {
  std::vector<std::string> out;
  if (!problem_.empty()) out.push_back(problem_);
  for (const std::string& note : users_.notes) out.push_back("spec.policy: " + note);
  return out;
}

asio::awaitable<Result<>> Policies::widen(Api& client, const Audiences& wanted) {
  Audiences both = wanted;
  both.insert(in_use_.begin(), in_use_.end());
  in_use_ = std::move(both);
  co_return co_await set(client, in_use_);
}

asio::awaitable<Result<>> Policies::narrow(Api& client, const Audiences& wanted) {
  if (auto done = co_await set(client, wanted); !done) co_return done;
  in_use_ = wanted;
  co_return Result<>{};
}

asio::awaitable<Result<>> Policies::set(Api& client, const Audiences& audiences) {
  Result<> done = co_await send(client, audiences);
  const bool refused = !done && (done.error().code == ErrorCode::invalid || done.error().code == ErrorCode::internal);
  if (refused && users_ != accepted_) {
    // What looks right to us may not to gobgpd: a regular expression, say.
    problem_ = "spec.policy: gobgpd refuses it: " + clipped(done.error().text, 300) + "; the policy before it stands";
    users_ = accepted_;
    done = co_await send(client, audiences);
  }
  if (done) accepted_ = users_;
  co_return done;
}

asio::awaitable<Result<>> Policies::send(Api& client, const Audiences& audiences) {
  // What is assigned has to be among those that are set. Where that fails there may be nothing yet; else the next call fails too.
  if (users_assigned_) static_cast<void>(co_await assign(client, {}));
  if (auto done = co_await client.set_policies(gobgp::policies(audiences, users_, own_next_hops_)); !done) co_return done;
  users_assigned_ = !users_.exported.empty();
  co_return co_await assign(client, users_);
}

}  // namespace berth::gobgp
