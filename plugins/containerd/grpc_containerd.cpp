// containerd over gRPC, all but its content: this file and grpc_content.cpp see the stubs.
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "containerd/containerd_api.hpp"
#include "containerd/grpc_call.hpp"
#include "github.com/containerd/containerd/api/events/task.pb.h"
#include "github.com/containerd/containerd/api/services/containers/v1/containers.grpc.pb.h"
#include "github.com/containerd/containerd/api/services/events/v1/events.grpc.pb.h"
#include "github.com/containerd/containerd/api/services/namespaces/v1/namespace.grpc.pb.h"
#include "github.com/containerd/containerd/api/services/tasks/v1/tasks.grpc.pb.h"
#include "github.com/containerd/containerd/api/services/version/v1/version.grpc.pb.h"
#include "github.com/containerd/containerd/runtime/v2/runc/options/oci.pb.h"

namespace eve::containerd {
namespace {

namespace services = ::containerd::services;
using namespace std::chrono_literals;

constexpr auto spec_type = "types.containerd.io/opencontainers/runtime-spec/1/Spec";
constexpr auto process_type = "types.containerd.io/opencontainers/runtime-spec/1/Process";
constexpr auto options_type = "containerd.runc.v1.Options";
constexpr auto record_key = "org.lfedge.eve";
constexpr auto retry_first = 100ms;
constexpr auto retry_max = 5s;

TaskState state_of(::containerd::v1::types::Status status) {
    using namespace ::containerd::v1::types;
    switch (status) {
        case CREATED: return TaskState::created;
        case RUNNING: return TaskState::running;
        case STOPPED: return TaskState::stopped;
        case PAUSED: return TaskState::paused;
        case PAUSING: return TaskState::pausing;
        default: return TaskState::unknown;
    }
}

Task task_of(const ::containerd::v1::types::Process& process) {
    // `id` is the container's, `container_id` is empty in a list of tasks.
    return {.container = process.container_id().empty() ? process.id() : process.container_id(),
            .state = state_of(process.status()),
            .pid = process.pid(),
            .exit_status = process.exit_status()};
}

Container container_of(const services::containers::v1::Container& from) {
    Container to{.id = from.id(), .labels = {from.labels().begin(), from.labels().end()}, .spec = from.spec().value(), .record = {}};
    if (const auto found = from.extensions().find(record_key); found != from.extensions().end()) to.record = found->second.value();
    return to;
}

/// `text` as a part of a URI: whatever is not a letter, a digit or one of "/-._" by its number.
std::string escaped(const std::string& text) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || std::string_view("/-._").find(c) != std::string_view::npos;
        if (plain) out.push_back(c);
        else out.append({'%', digits[byte >> 4U], digits[byte & 15U]});
    }
    return out;
}

/// How containerd is told of it: binary:// is a program that its shim starts with the rest as arguments.
std::string uri_of(const Output& output) {
    if (output.logger.empty()) return "file:///dev/null";
    return "binary://" + escaped(output.logger) + "?log=" + escaped(output.log) + "&size=" + std::to_string(output.size_max.n);
}

class GrpcContainerd final : public ContainerdApi {
public:
    GrpcContainerd(const std::string& address, const std::string& name) : connection_(address, name) {
        const auto& channel = connection_.channel();
        containers_ = services::containers::v1::Containers::NewStub(channel);
        tasks_ = services::tasks::v1::Tasks::NewStub(channel);
        namespaces_ = services::namespaces::v1::Namespaces::NewStub(channel);
        version_ = services::version::v1::Version::NewStub(channel);
        events_ = services::events::v1::Events::NewStub(channel);
    }
    ~GrpcContainerd() override { unsubscribe(); }

    Result<std::string> version(const Limit& limit) override {
        google::protobuf::Empty request;
        services::version::v1::VersionResponse reply;
        auto done = run("containerd's version", limit, reply, [&](auto& context, auto& queue) { return version_->AsyncVersion(&context, request, &queue); });
        if (!done) return std::move(done).error();
        return reply.version();
    }

    Status make_namespace(const Limit& limit) override {
        services::namespaces::v1::CreateNamespaceRequest request;
        request.mutable_namespace_()->set_name(connection_.name());
        services::namespaces::v1::CreateNamespaceResponse reply;
        auto done = run("containerd's namespace " + connection_.name(), limit, reply, [&](auto& context, auto& queue) { return namespaces_->AsyncCreate(&context, request, &queue); });
        if (!done && done.error().code != Code::already_exists) return done;
        return {};
    }

    Status create_container(const Container& container, const Runtime& runtime, const Limit& limit) override {
        services::containers::v1::CreateContainerRequest request;
        auto& made = *request.mutable_container();
        made.set_id(container.id);
        made.mutable_labels()->insert(container.labels.begin(), container.labels.end());
        made.mutable_runtime()->set_name(runtime.name);
        *made.mutable_runtime()->mutable_options() = options_of(runtime);
        made.mutable_spec()->set_type_url(spec_type);
        made.mutable_spec()->set_value(container.spec);
        auto& record = (*made.mutable_extensions())[record_key];
        record.set_type_url(record_key);
        record.set_value(container.record);
        services::containers::v1::CreateContainerResponse reply;
        return run("container " + container.id, limit, reply, [&](auto& context, auto& queue) { return containers_->AsyncCreate(&context, request, &queue); });
    }

    Result<Container> container(const std::string& id, const Limit& limit) override {
        services::containers::v1::GetContainerRequest request;
        request.set_id(id);
        services::containers::v1::GetContainerResponse reply;
        auto done = run("container " + id, limit, reply, [&](auto& context, auto& queue) { return containers_->AsyncGet(&context, request, &queue); });
        if (!done) return std::move(done).error();
        return container_of(reply.container());
    }

    Result<std::vector<Container>> containers(const std::string& label, const Limit& limit) override {
        services::containers::v1::ListContainersRequest request;
        request.add_filters("labels.\"" + label + "\"");
        services::containers::v1::ListContainersResponse reply;
        auto done = run("containers", limit, reply, [&](auto& context, auto& queue) { return containers_->AsyncList(&context, request, &queue); });
        if (!done) return std::move(done).error();
        std::vector<Container> found;
        for (const auto& container : reply.containers()) found.push_back(container_of(container));
        return found;
    }

    Status delete_container(const std::string& id, const Limit& limit) override {
        services::containers::v1::DeleteContainerRequest request;
        request.set_id(id);
        google::protobuf::Empty reply;
        return run("container " + id, limit, reply, [&](auto& context, auto& queue) { return containers_->AsyncDelete(&context, request, &queue); });
    }

    Result<Task> create_task(const std::string& id, const Output& output, const Runtime& runtime, const Limit& limit) override {
        services::tasks::v1::CreateTaskRequest request;
        request.set_container_id(id);
        const auto target = uri_of(output);
        request.set_stdout(target);
        request.set_stderr(target);
        *request.mutable_options() = options_of(runtime);
        services::tasks::v1::CreateTaskResponse reply;
        auto done = run("task " + id, limit, reply, [&](auto& context, auto& queue) { return tasks_->AsyncCreate(&context, request, &queue); });
        if (!done) return std::move(done).error();
        return Task{.container = id, .state = TaskState::created, .pid = reply.pid()};
    }

    Status start_task(const std::string& id, const Limit& limit) override {
        services::tasks::v1::StartRequest request;
        request.set_container_id(id);
        services::tasks::v1::StartResponse reply;
        return run("task " + id, limit, reply, [&](auto& context, auto& queue) { return tasks_->AsyncStart(&context, request, &queue); });
    }

    Status kill_task(const std::string& id, std::uint32_t signal, bool all, const Limit& limit) override {
        services::tasks::v1::KillRequest request;
        request.set_container_id(id);
        request.set_signal(signal);
        request.set_all(all);
        google::protobuf::Empty reply;
        return run("task " + id, limit, reply, [&](auto& context, auto& queue) { return tasks_->AsyncKill(&context, request, &queue); });
    }

    Result<Task> task(const std::string& id, const Limit& limit) override {
        services::tasks::v1::GetRequest request;
        request.set_container_id(id);
        services::tasks::v1::GetResponse reply;
        auto done = run("task " + id, limit, reply, [&](auto& context, auto& queue) { return tasks_->AsyncGet(&context, request, &queue); });
        if (!done) return std::move(done).error();
        auto found = task_of(reply.process());
        found.container = id;
        return found;
    }

    Result<std::vector<Task>> tasks(const Limit& limit) override {
        services::tasks::v1::ListTasksRequest request;
        services::tasks::v1::ListTasksResponse reply;
        auto done = run("tasks", limit, reply, [&](auto& context, auto& queue) { return tasks_->AsyncList(&context, request, &queue); });
        if (!done) return std::move(done).error();
        std::vector<Task> found;
        for (const auto& process : reply.tasks()) found.push_back(task_of(process));
        return found;
    }

    Status delete_task(const std::string& id, const Limit& limit) override {
        services::tasks::v1::DeleteTaskRequest request;
        request.set_container_id(id);
        services::tasks::v1::DeleteResponse reply;
        return run("task " + id, limit, reply, [&](auto& context, auto& queue) { return tasks_->AsyncDelete(&context, request, &queue); });
    }

    Status create_process(const ExtraProcess& process, const ExtraProcessPlan& plan, const Limit& limit) override {
        services::tasks::v1::ExecProcessRequest request;
        request.set_container_id(process.container);
        request.set_exec_id(process.id);
        request.set_terminal(plan.terminal);
        request.set_stdin(plan.input);
        request.set_stdout(plan.output);
        if (!plan.terminal) request.set_stderr(plan.errors);
        request.mutable_spec()->set_type_url(process_type);
        request.mutable_spec()->set_value(plan.spec);
        google::protobuf::Empty reply;
        return run(name_of(process), limit, reply, [&](auto& context, auto& queue) { return tasks_->AsyncExec(&context, request, &queue); });
    }

    Result<std::uint32_t> start_process(const ExtraProcess& process, const Limit& limit) override {
        services::tasks::v1::StartRequest request;
        request.set_container_id(process.container);
        request.set_exec_id(process.id);
        services::tasks::v1::StartResponse reply;
        auto done = run(name_of(process), limit, reply, [&](auto& context, auto& queue) { return tasks_->AsyncStart(&context, request, &queue); });
        if (!done) return std::move(done).error();
        return reply.pid();
    }

    Result<std::uint32_t> wait_for_process(const ExtraProcess& process, const Limit& limit) override {
        services::tasks::v1::WaitRequest request;
        request.set_container_id(process.container);
        request.set_exec_id(process.id);
        services::tasks::v1::WaitResponse reply;
        auto done = run(name_of(process), limit, reply, [&](auto& context, auto& queue) { return tasks_->AsyncWait(&context, request, &queue); });
        if (!done) return std::move(done).error();
        return reply.exit_status();
    }

    Status close_input(const ExtraProcess& process, const Limit& limit) override {
        services::tasks::v1::CloseIORequest request;
        request.set_container_id(process.container);
        request.set_exec_id(process.id);
        request.set_stdin(true);
        google::protobuf::Empty reply;
        return run(name_of(process), limit, reply, [&](auto& context, auto& queue) { return tasks_->AsyncCloseIO(&context, request, &queue); });
    }

    Status resize_terminal(const ExtraProcess& process, std::uint32_t rows, std::uint32_t columns, const Limit& limit) override {
        services::tasks::v1::ResizePtyRequest request;
        request.set_container_id(process.container);
        request.set_exec_id(process.id);
        request.set_height(rows);
        request.set_width(columns);
        google::protobuf::Empty reply;
        return run(name_of(process), limit, reply, [&](auto& context, auto& queue) { return tasks_->AsyncResizePty(&context, request, &queue); });
    }

    Status kill_process(const ExtraProcess& process, std::uint32_t signal, const Limit& limit) override {
        services::tasks::v1::KillRequest request;
        request.set_container_id(process.container);
        request.set_exec_id(process.id);
        request.set_signal(signal);
        google::protobuf::Empty reply;
        return run(name_of(process), limit, reply, [&](auto& context, auto& queue) { return tasks_->AsyncKill(&context, request, &queue); });
    }

    Status delete_process(const ExtraProcess& process, const Limit& limit) override {
        services::tasks::v1::DeleteProcessRequest request;
        request.set_container_id(process.container);
        request.set_exec_id(process.id);
        services::tasks::v1::DeleteResponse reply;
        return run(name_of(process), limit, reply, [&](auto& context, auto& queue) { return tasks_->AsyncDeleteProcess(&context, request, &queue); });
    }

    void subscribe(std::function<void(const Event&)> sink) override {
        listener_ = std::thread([this, heard = std::move(sink)] { listen(heard); });
    }

    void unsubscribe() override {
        {
            const std::lock_guard lock(mutex_);
            stopping_ = true;
            if (stream_ != nullptr) stream_->TryCancel();
        }
        stop_.notify_all();
        if (listener_.joinable()) listener_.join();
    }

private:
    static std::string name_of(const ExtraProcess& process) { return "process " + process.id + " in " + process.container; }
    static google::protobuf::Any options_of(const Runtime& runtime) {
        ::containerd::runc::v1::Options options;
        options.set_binary_name(runtime.binary);
        options.set_root(runtime.root);
        options.set_no_pivot_root(runtime.no_pivot_root);
        google::protobuf::Any any;
        any.set_type_url(options_type);
        options.SerializeToString(any.mutable_value());
        return any;
    }

    template <class Reply, class Begin> Status run(const std::string& what, const Limit& limit, Reply& reply, Begin begin) const {
        return connection_.run(what, limit, reply, std::move(begin));
    }

    void listen(const std::function<void(const Event&)>& heard) {
        auto pause = std::chrono::milliseconds(retry_first);
        while (true) {
            grpc::ClientContext context;
            {
                const std::lock_guard lock(mutex_);
                if (stopping_) return;
                stream_ = &context;
            }
            services::events::v1::SubscribeRequest request;
            request.add_filters("namespace==\"" + connection_.name() + "\",topic~=\"/tasks/\"");
            const auto reader = events_->Subscribe(&context, request);
            services::events::v1::Envelope envelope;
            while (reader->Read(&envelope)) {
                pause = retry_first;
                tell(envelope, heard);
            }
            [[maybe_unused]] const auto ended = reader->Finish();
            std::unique_lock lock(mutex_);
            stream_ = nullptr;
            if (stopping_) return;
            stop_.wait_for(lock, pause, [this] { return stopping_; });
            if (stopping_) return;
            pause = std::min<std::chrono::milliseconds>(pause * 2, retry_max);
            lock.unlock();
            // Whether it is back is found by asking: a stream without events says nothing. What happened meanwhile is not told.
            if (version(Limit(1s, -1))) heard({});
        }
    }

    static void tell(const services::events::v1::Envelope& envelope, const std::function<void(const Event&)>& heard) {
        const auto parsed = [&]<class Message>(Message message, EventKind kind) {
            if (message.ParseFromString(envelope.event().value())) heard({.kind = kind, .container = message.container_id()});
        };
        if (envelope.topic() == "/tasks/exit") {
            ::containerd::events::TaskExit exit;
            if (exit.ParseFromString(envelope.event().value()) && exit.id() == exit.container_id())
                heard({.kind = EventKind::exited, .container = exit.container_id()});
        } else if (envelope.topic() == "/tasks/oom") {
            parsed(::containerd::events::TaskOOM{}, EventKind::oom);
        } else if (envelope.topic() == "/tasks/paused") {
            parsed(::containerd::events::TaskPaused{}, EventKind::changed);
        } else if (envelope.topic() == "/tasks/resumed") {
            parsed(::containerd::events::TaskResumed{}, EventKind::changed);
        }
    }

    Connection connection_;
    std::unique_ptr<services::containers::v1::Containers::Stub> containers_;
    std::unique_ptr<services::tasks::v1::Tasks::Stub> tasks_;
    std::unique_ptr<services::namespaces::v1::Namespaces::Stub> namespaces_;
    std::unique_ptr<services::version::v1::Version::Stub> version_;
    std::unique_ptr<services::events::v1::Events::Stub> events_;
    std::mutex mutex_;  // guards what follows but the thread
    std::condition_variable stop_;
    grpc::ClientContext* stream_ = nullptr;
    bool stopping_ = false;
    std::thread listener_;
};

}  // namespace

std::unique_ptr<ContainerdApi> connect(const std::string& address, const std::string& name) {
    return std::make_unique<GrpcContainerd>(address, name);
}

}  // namespace eve::containerd
