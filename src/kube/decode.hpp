// Wire objects to the model's nouns. Total: whatever the API server sent, a value comes out; what can't
// be understood is left out or said in the object (Pool::invalid), so that one odd object stops nothing.
#pragma once

#include "kube/api_types.hpp"
#include "model/objects.hpp"

namespace berth::kube {

Service to_model(api::Service object);
Pool to_model(api::Eip object);
AddressBlock to_model(api::AddressBlock object);
Node to_model(api::Node object);
EndpointSlice to_model(api::EndpointSlice object);
Namespace to_model(api::Namespace object);
BgpConf to_model(api::BgpConf object);
BgpPeer to_model(api::BgpPeer object);
PasswordSecret to_model(api::PasswordSecret object);
PolicyConfigMap to_model(api::PolicyConfigMap object);

}  // namespace berth::kube
