#pragma once
// GoogleMock mocks of the interfaces, for tests that assert a conversation. For one that asserts an outcome take FakeHypervisor.

#include <gmock/gmock.h>

#include <chrono>
#include <string_view>
#include <utility>
#include <vector>

#include "eve/host.hpp"
#include "eve/hypervisor.hpp"

namespace eve {
EVE_SDK_NAMESPACE {
namespace testing {

class MockHypervisor : public Hypervisor {
public:
    MOCK_METHOD(Result<Description>, describe, (const CallContext&), (override));
    MOCK_METHOD(Result<ProbeReport>, probe, (const CallContext&), (override));
    MOCK_METHOD(Result<std::vector<Problem>>, validate, (const CallContext&, const DomainSpec&), (override));
    MOCK_METHOD(Result<DomainInfo>, create, (const CallContext&, const DomainSpec&), (override));
    MOCK_METHOD(Result<DomainInfo>, start, (const CallContext&, const DomainId&), (override));
    MOCK_METHOD(Result<DomainInfo>, stop, (const CallContext&, const DomainId&, StopMode), (override));
    MOCK_METHOD(Result<DomainInfo>, destroy, (const CallContext&, const DomainId&, DestroyMode), (override));
    MOCK_METHOD(Result<DomainInfo>, inspect, (const CallContext&, const DomainId&), (override));
    MOCK_METHOD(Result<std::vector<DomainInfo>>, list, (const CallContext&), (override));
    MOCK_METHOD(Result<Stats>, stats, (const CallContext&), (override));
};

class MockHostServices : public HostServices {
public:
    MOCK_METHOD(const PluginConfig&, config, (), (const, override));
    MOCK_METHOD(void, log, (LogLevel, std::string_view, std::vector<LogField>), (override));
    MOCK_METHOD(void, emit, (DomainEvent), (override));
    MOCK_METHOD(Result<SpawnedProcess>, spawn, (const GuestProcess&), (override));
    MOCK_METHOD(Result<HostDescription>, describe, (), (override));
};

}  // namespace testing
}  // EVE_SDK_NAMESPACE
}  // namespace eve
