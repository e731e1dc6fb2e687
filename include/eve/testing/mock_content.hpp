#pragma once
// GoogleMock mock of eve::Content, for tests that assert a conversation. For one that asserts an outcome take FakeContent.

#include <gmock/gmock.h>

#include <string>

#include "eve/content.hpp"

namespace eve {
EVE_SDK_NAMESPACE {
namespace testing {

class MockContent : public Content {
public:
    MOCK_METHOD(Result<ContentInfo>, stat, (const CallContext&, const std::string&), (override));
    MOCK_METHOD(Result<ContentWritten>, write, (const CallContext&, const ContentWrite&), (override));
    MOCK_METHOD(Result<ContentPart>, read, (const CallContext&, const ContentRead&), (override));
    MOCK_METHOD(Result<ContentPage>, list, (const CallContext&, const std::string&), (override));
    MOCK_METHOD(Status, remove, (const CallContext&, const std::string&), (override));
    MOCK_METHOD(Status, protect, (const CallContext&, const ContentProtection&), (override));
};

}  // namespace testing
}  // EVE_SDK_NAMESPACE
}  // namespace eve
