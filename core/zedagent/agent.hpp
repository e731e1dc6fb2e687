#pragma once
// zedagent: the device config's file becomes the records that every other agent works from. The last good config is kept and used while the
// file is absent or bad. Without any config nothing but defaults is published: no config is not an empty config, which would delete apps.

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/bus/bus.hpp"
#include "core/loop/loop.hpp"
#include "core/log/log.hpp"
#include "core/zedagent/effects.hpp"
#include "core/zedagent/parse.hpp"
#include "core/zedagent/records.hpp"

namespace eve::zedagent {

/// A local command whose record could not be written is tried again after this.
inline constexpr std::chrono::seconds save_retry{10};

class Agent {
public:
    struct Deps {
        Bus& bus;
        Loop& loop;
        Lanes& lanes;
        Log& log;
        ConfigFiles& files;
        ConfigWatch& watch;
    };
    explicit Agent(Deps deps);
    ~Agent();
    Agent(const Agent&) = delete;
    Agent& operator=(const Agent&) = delete;

private:
    enum class Source { file, checkpoint };
    /// One config as the lane read it.
    struct Candidate {
        std::string bytes;
        std::string digest;
        std::optional<Result<DeviceConfig>> parsed;  ///< empty: there are no bytes, see `error`
        Error error;
    };
    /// What the first look found.
    struct Start {
        Result<std::string> local;
        Candidate file;
        Candidate saved;
        bool saved_is_backup = false;
    };

    static Candidate read(const Result<std::string>& bytes, const ParseContext& context);
    void begin();
    void on_start(Start start);
    void load_local(const Result<std::string>& bytes);
    void look();
    void on_read(Candidate candidate);
    void refuse(const Error& error, const std::string& digest);
    bool accept(Candidate candidate, Source source);
    void note_accepted(const DeviceConfig& config, const std::string& digest, Source source);
    void save_checkpoint(std::string bytes, const std::string& digest);
    void arm_backup(std::string bytes);
    void arm_next_look();

    void publish_config();
    void publish_items();
    void publish_agent_status();
    void publish_volumes_and_apps();
    void signal_all();
    template <class Record, class Key> void remove_others(Publication<Record>& topic, const std::vector<Record>& wanted, Key key);
    template <class Record, class Key> void put(Publication<Record>& topic, const std::vector<Record>& wanted, Key key);
    void put_apps();
    void problem(const std::string& what, const Error& error);
    bool in_maintenance() const;
    DeviceConfig published() const;

    void on_command(const std::string& key, const types::LocalAppCommand& command);
    void forget_local_of_removed();
    void save_local();
    LocalCounters local_counters() const;

    types::Time wall_now() const { return types::Time(deps_.loop.clock().wall_now()); }
    /// `task` if this agent still lives when it is called.
    template <class Task> auto if_alive(Task task) {
        return [alive = std::weak_ptr<bool>(alive_), task = std::move(task)](auto&&... values) mutable {
            if (!alive.expired()) task(std::forward<decltype(values)>(values)...);
        };
    }

    Deps deps_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
    std::unique_ptr<Publication<types::ConfigItemValueMap>> items_;
    std::unique_ptr<Publication<types::ZedAgentStatus>> agent_status_;
    std::unique_ptr<Publication<types::DatastoreConfig>> datastores_;
    std::unique_ptr<Publication<types::PhysicalIOAdapterList>> physical_io_;
    std::unique_ptr<Publication<types::NetworkXObjectConfig>> networks_;
    std::unique_ptr<Publication<types::DevicePortConfig>> ports_;
    std::unique_ptr<Publication<types::NetworkInstanceConfig>> network_instances_;
    std::unique_ptr<Publication<types::ContentTreeConfig>> content_trees_;
    std::unique_ptr<Publication<types::VolumeConfig>> volumes_;
    std::unique_ptr<Publication<types::AppInstanceConfig>> apps_;
    std::unique_ptr<Publication<ConfigStatus>> config_status_;
    std::unique_ptr<Subscription<types::LocalAppCommand>> commands_;

    std::optional<DeviceConfig> config_;  ///< in force
    ConfigStatus status_;
    types::ConfigGetStatus get_status_ = types::ConfigGetStatus::ConfigGetFail;
    LocalCommands local_;          ///< with what is not on disk yet
    LocalCounters saved_counters_;  ///< what is on disk: only this is published
    std::string saved_digest_;  ///< of the bytes in the checkpoint
    bool reading_ = false;
    bool look_again_ = false;
    std::optional<TimerId> next_look_;
    std::optional<TimerId> backup_;
    std::optional<TimerId> retry_save_;
};

}  // namespace eve::zedagent
