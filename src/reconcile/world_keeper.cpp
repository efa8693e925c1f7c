#include "reconcile/world_keeper.hpp"

#include <utility>

namespace berth {
namespace {

// The version that is there already keeps its times: an echo of our own write by the watch says nothing new.
template <class T>
void stamp(T&, const Table<T>&, std::uint64_t) {}

void stamp(Service& service, const Table<Service>& table, std::uint64_t now) {
  const Service* known = table.find(service.name);
  service.heard_at = known != nullptr && known->version == service.version ? known->heard_at : now;
}

void stamp(AddressBlock& block, const Table<AddressBlock>& table, std::uint64_t now) {
  const AddressBlock* known = table.find(block.name);
  const bool same = known != nullptr && known->version == block.version;
  block.heard_at = same ? known->heard_at : now;
  block.read_at = same ? known->read_at : 0;
}

}  // namespace

template <class T>
class WorldKeeper::Feed : public TableFeed<T> {
 public:
  Feed(WorldKeeper& keeper, Table<T>& table) : keeper_(keeper), table_(table) {}

  void replace(std::vector<T> rows, ResourceVersion version, bool history_lost) override {
    const std::uint64_t now = keeper_.begin();
    for (T& row : rows) stamp(row, table_, now);
    table_.replace(std::move(rows), version, history_lost);
    keeper_.changed();
  }
  void upsert(T row) override {
    // The echo of a write of ours says nothing new.
    if (const T* known = table_.find(row.key()); known != nullptr && known->version == row.version) return;
    stamp(row, table_, keeper_.begin());
    if (table_.upsert(std::move(row))) keeper_.changed();
  }
  void erase(typename T::Key key, ResourceVersion version) override {
    if (table_.erase(key, version)) keeper_.changed();
  }

 private:
  WorldKeeper& keeper_;
  Table<T>& table_;
};

WorldKeeper::WorldKeeper()
    : services_(std::make_unique<Feed<Service>>(*this, world_.services)),
      pools_(std::make_unique<Feed<Pool>>(*this, world_.pools)),
      blocks_(std::make_unique<Feed<AddressBlock>>(*this, world_.blocks)),
      nodes_(std::make_unique<Feed<Node>>(*this, world_.nodes)),
      endpoint_slices_(std::make_unique<Feed<EndpointSlice>>(*this, world_.endpoint_slices)),
      namespaces_(std::make_unique<Feed<Namespace>>(*this, world_.namespaces)),
      bgp_confs_(std::make_unique<Feed<BgpConf>>(*this, world_.bgp_confs)),
      bgp_peers_(std::make_unique<Feed<BgpPeer>>(*this, world_.bgp_peers)),
      password_secrets_(std::make_unique<Feed<PasswordSecret>>(*this, world_.password_secrets)),
      policy_config_maps_(std::make_unique<Feed<PolicyConfigMap>>(*this, world_.policy_config_maps)) {}

WorldKeeper::~WorldKeeper() = default;

namespace {

// The answer to the write that took off the last finalizer: the object is not there any more, and the
// watch may have told so already.
template <class T>
bool was_the_end_of(const T& row) {
  return row.deleting && row.finalizers.empty();
}

}  // namespace

void WorldKeeper::heard(Service service) {
  if (was_the_end_of(service))
    services_->erase(service.name, service.version);
  else
    services_->upsert(std::move(service));
}

void WorldKeeper::heard(Service service, std::uint64_t read_at) {
  const Service* known = world_.services.find(service.name);
  if (known == nullptr || known->heard_at >= read_at || !service.version.older_than(known->version)) return heard(std::move(service));
  service.heard_at = begin();
  world_.services.overwrite(std::move(service));
  changed();
}

void WorldKeeper::heard(AddressBlock block, std::uint64_t read_at) {
  const AddressBlock* known = world_.blocks.find(block.name);
  const bool history_lost = known != nullptr && known->heard_at < read_at && block.version.older_than(known->version);
  stamp(block, world_.blocks, begin());
  block.read_at = std::max(block.read_at, read_at);
  if (history_lost) {
    world_.blocks.overwrite(std::move(block));
    return changed();
  }
  if (world_.blocks.upsert(std::move(block))) changed();
}

void WorldKeeper::heard(Pool pool) {
  if (was_the_end_of(pool))
    pools_->erase(pool.name, pool.version);
  else
    pools_->upsert(std::move(pool));
}

void WorldKeeper::gone(const ObjectName& service, std::uint64_t read_at) {
  const Service* known = world_.services.find(service);
  if (known == nullptr || known->heard_at > read_at) return;
  world_.services.erase(service);
  changed();
}

void WorldKeeper::block_gone(const std::string& name, std::uint64_t read_at) {
  const AddressBlock* known = world_.blocks.find(name);
  if (known == nullptr || known->heard_at > read_at) return;
  world_.blocks.erase(name);
  changed();
}

}  // namespace berth
