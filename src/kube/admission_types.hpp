// What the admission webhook reads off the wire, beside api_types.hpp: reviews, and the two objects that carry its certificates.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <boost/describe/class.hpp>

#include "kube/api_types.hpp"

namespace berth::kube::api {

// An Eip without its status, which is large and says nothing here.
struct ReviewedEip {
  Metadata metadata;
  EipSpec spec;
};
BOOST_DESCRIBE_STRUCT(ReviewedEip, (), (metadata, spec))
struct ReviewedKind {
  std::string group;
  std::string version;
  std::string kind;
};
BOOST_DESCRIBE_STRUCT(ReviewedKind, (), (group, version, kind))
struct AdmissionRequest {
  std::string uid;
  ReviewedKind kind;
  std::string subResource;
  std::string operation;  // CREATE, UPDATE, DELETE, CONNECT
  std::optional<ReviewedEip> object;
  std::optional<ReviewedEip> oldObject;
};
BOOST_DESCRIBE_STRUCT(AdmissionRequest, (), (uid, kind, subResource, operation, object, oldObject))
struct AdmissionReview {
  std::string apiVersion;
  std::string kind;
  std::optional<AdmissionRequest> request;
};
BOOST_DESCRIBE_STRUCT(AdmissionReview, (), (apiVersion, kind, request))

struct Secret {
  Metadata metadata;
  std::map<std::string, std::string> data;  // base64
};
BOOST_DESCRIBE_STRUCT(Secret, (), (metadata, data))

struct WebhookClientConfig {
  std::string caBundle;  // base64
};
BOOST_DESCRIBE_STRUCT(WebhookClientConfig, (), (caBundle))
struct ConfiguredWebhook {
  std::string name;
  WebhookClientConfig clientConfig;
};
BOOST_DESCRIBE_STRUCT(ConfiguredWebhook, (), (name, clientConfig))
struct WebhookConfiguration {
  Metadata metadata;
  std::vector<ConfiguredWebhook> webhooks;
};
BOOST_DESCRIBE_STRUCT(WebhookConfiguration, (), (metadata, webhooks))

}  // namespace berth::kube::api
