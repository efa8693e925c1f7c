// The words of the suite: what a person who knows OpenELB writes, and what he sees. A test's name begins
// with the number of its rule in docs/openelb-compatibility.md: P03 is P-3.
//
// Services are in the namespace `shop` unless written `bank/web`; they ask by OpenELB's annotation unless
// told otherwise. The controller runs from the first `start()`.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "subject.hpp"

namespace berth::openelb {

struct Eip {
  std::string name;
  std::string address;
  json::object spec = {};  // beside the address
  Labels annotations = {};
  json::object status = {};
  std::vector<std::string> finalizers = {};
};

struct Wish {
  Labels annotations = {};
  json::object spec = {};
  std::string opt_in = "openelb";  // empty: without the annotation
  Labels labels = {};
  std::vector<std::string> finalizers = {};
  std::vector<std::string> shows = {};  // addresses in its status from the beginning
};

inline const Labels as_default{{std::string{keys::default_pool}, "true"}};
inline Labels pool_named(std::string name) { return {{std::string{keys::pool}, std::move(name)}}; }
inline Labels wants(std::string ip) { return {{std::string{keys::wanted_ip}, std::move(ip)}}; }
inline Labels operator+(Labels a, const Labels& b) {
  a.insert(b.begin(), b.end());
  return a;
}

class OpenElb : public ::testing::Test {
 protected:
  OpenElb();
  // Everything a test made is deleted and must go: nothing of it may be left.
  void TearDown() override;

  void start(const Faults& faults = {});
  void kill();

  void make_eip(const Eip& eip);
  void edit_eip(const std::string& name, json::object spec);
  void annotate_eip(const std::string& name, std::string_view key, json::value value);
  void delete_eip(const std::string& name);
  void make_service(const std::string& name, const Wish& wish = {});
  void edit(const std::string& service, json::object spec);
  void annotate(const std::string& service, std::string_view key, json::value value);  // null: takes it off
  void delete_service(const std::string& name);
  void label_namespace(const std::string& name, std::string_view key, json::value value);

  // What is to be seen now. Addresses are joined by commas; "gone" if there is no such Service.
  std::string shown(const std::string& service);
  Service see(const std::string& service);
  Pool see_eip(const std::string& name);
  std::vector<std::string> used();  // of all Eips: "address service", as their status says
  std::string holders(const std::string& address);  // as recorded: "shop/a;shop/b"
  // What it showed, one after the other; "" for nothing.
  std::vector<std::string> path_of(const std::string& service);
  bool is_marked(const std::string& service);  // has our label or finalizer
  std::vector<Told> events(const std::string& service);
  std::vector<Told> events_of_eip(const std::string& name);

  // Let things happen, and say what is wrong.
  ::testing::AssertionResult gets(const std::string& service, const std::string& addresses);
  ::testing::AssertionResult keeps(const std::string& service, const std::string& addresses);  // also when all has been done
  ::testing::AssertionResult waits(const std::string& service);                                // shows nothing when all has been done
  ::testing::AssertionResult lets_go(const std::string& service);    // no address, label, finalizer, record of it
  ::testing::AssertionResult vanishes(const std::string& service);   // the object is gone, and its record
  // An Event of this reason with this message; with `part`, one that contains it.
  ::testing::AssertionResult told(const std::string& service, std::string_view reason, std::string_view message);
  ::testing::AssertionResult told_part(const std::string& service, std::string_view reason, std::string_view part);
  ::testing::AssertionResult eip_told_part(const std::string& eip, std::string_view reason, std::string_view part);
  ::testing::AssertionResult eip_says(const std::string& name, const std::function<bool(const Pool::Status&)>& so);
  bool eventually(const std::function<bool()>& done) { return subject_->eventually(done); }
  void settle() { subject_->settle(); }
  // True if nothing was written while all that was due was done.
  bool nothing_is_written();

  Subject& subject() { return *subject_; }
  static ObjectName name_of(const std::string& service);
  static ObjectId service_id(const std::string& service);
  static ObjectId eip_id(const std::string& name) { return {Kind::eip, "", name}; }

 private:
  ::testing::AssertionResult found(const ObjectId& about, std::string_view reason, std::string_view text, bool whole);
  std::string situation(const std::string& service);

  std::unique_ptr<Subject> subject_ = make_subject();
  bool running_ = false;
};

}  // namespace berth::openelb
