#pragma once
// A Xen in memory: domains that exist, a xenstored that can be dead, calls that can fail. Counts what was called.

#include <map>
#include <string>
#include <vector>

#include "xen.hpp"

namespace eve::xen {

/// What the fake is, shared with the test; the plugin owns the fake itself.
struct FakeWorld {
    SeenHost host{.version = "4.17.fake", .memory_kib = 4 << 20, .memory_free_kib = 2 << 20, .cpus = 4, .cpu_id_max = 3, .hvm = true, .directio = false};
    std::map<std::uint32_t, SeenDomain> domains;
    std::map<std::uint32_t, std::string> kept;
    std::vector<XenConfig> created;
    std::vector<std::string> calls;
    std::uint32_t next = 1;
    std::optional<Error> not_ready;
    std::optional<Error> create_fails;
    bool create_leaves_half = false;  ///< of a create that fails: as a call that was killed
    std::function<void(std::uint32_t)> notice;
    std::function<void()> while_creating;
};

class FakeXen final : public Xen {
public:
    explicit FakeXen(FakeWorld& world) : world_(world) {}

    Status ready(const Limit&) override {
        if (world_.not_ready) return *world_.not_ready;
        return {};
    }
    Result<SeenHost> host() override {
        if (world_.not_ready && world_.not_ready->code == Code::unsupported) return *world_.not_ready;
        return world_.host;
    }
    Result<std::vector<SeenDomain>> domains() override {
        std::vector<SeenDomain> all;
        for (const auto& [domid, domain] : world_.domains) all.push_back(domain);
        return all;
    }
    Result<SeenDomain> domain(std::uint32_t domid) override {
        const auto at = world_.domains.find(domid);
        if (at == world_.domains.end()) return Error{.code = Code::not_found};
        return at->second;
    }
    Result<std::uint32_t> create(const XenConfig& config, const std::string& keep, const Limit& limit) override {
        world_.calls.emplace_back("create");
        if (world_.while_creating) world_.while_creating();
        if (auto answering = ready(limit); !answering) return std::move(answering).error();
        if (const auto needed = config.memory_max_kib + 4096; needed > world_.host.memory_free_kib)
            return Error{.code = Code::resource_exhausted,
                         .what = "the domain needs " + std::to_string(needed / 1024) + " MiB of memory and Xen has " + std::to_string(world_.host.memory_free_kib / 1024) + " MiB left"};
        if (!world_.create_fails || world_.create_leaves_half) {
            world_.created.push_back(config);
            world_.domains[world_.next] = {.domid = world_.next, .uuid = config.uuid, .paused = true, .memory_kib = config.memory_kib, .memory_max_kib = config.memory_max_kib};
            world_.kept[world_.next] = keep;
        }
        if (world_.create_fails) return *world_.create_fails;
        return world_.next++;
    }
    Status unpause(std::uint32_t domid, const Limit&) override {
        world_.calls.emplace_back("unpause");
        world_.domains.at(domid).paused = false;
        return {};
    }
    Status ask_to_halt(std::uint32_t, bool button, const Limit&) override {
        world_.calls.emplace_back(button ? "ask with button" : "ask");
        return {};
    }
    Status destroy(std::uint32_t domid, const Limit& limit) override {
        world_.calls.emplace_back("destroy");
        if (auto answering = ready(limit); !answering) return answering;
        world_.domains.erase(domid);
        return {};
    }
    Status give_back(const XenPci& device) override {
        world_.calls.emplace_back("give back device " + std::to_string(device.device));
        return {};
    }
    Status sweep(const std::string& vif, const Limit&) override {
        world_.calls.emplace_back("sweep " + vif);
        return {};
    }
    Result<std::int64_t> device_model(std::uint32_t, const Limit&) override { return std::int64_t{0}; }
    Result<std::string> kept(std::uint32_t domid, const Limit&) override { return world_.kept[domid]; }
    void listen(std::function<void(std::uint32_t)> notice) override { world_.notice = std::move(notice); }
    void watch(std::uint32_t) override {}

private:
    FakeWorld& world_;
};

}  // namespace eve::xen
