// containerd's content over gRPC.
#include <optional>
#include <utility>

#include "containerd/content_api.hpp"
#include "containerd/grpc_call.hpp"
#include "github.com/containerd/containerd/api/services/content/v1/content.grpc.pb.h"
#include "github.com/containerd/containerd/api/services/leases/v1/leases.grpc.pb.h"
#include "github.com/containerd/containerd/api/services/namespaces/v1/namespace.grpc.pb.h"

namespace eve::containerd {
namespace {

namespace content = ::containerd::services::content::v1;
namespace leases = ::containerd::services::leases::v1;
namespace namespaces = ::containerd::services::namespaces::v1;

constexpr std::size_t blobs_max = std::size_t{1} << 18;
constexpr const char* collection_lease = "evenode-collect";

Blob blob_of(const content::Info& info) {
    return {.digest = info.digest(), .size = static_cast<std::uint64_t>(info.size()), .labels = {info.labels().begin(), info.labels().end()}};
}

/// What containerd says of a write in words only.
Error write_error(const grpc::Status& status, const std::string& what) {
    auto error = error_of(status, what);
    const auto says = [&](const char* words) { return status.error_message().find(words) != std::string::npos; };
    if (says("no space left on device") || says("quota exceeded")) error.code = Code::resource_exhausted;
    else if (status.error_code() == grpc::StatusCode::UNAVAILABLE && says("locked for")) error.code = Code::failed_precondition;
    else if (status.error_code() == grpc::StatusCode::FAILED_PRECONDITION || says("total differs")) error.code = Code::invalid_argument;
    else if (status.error_code() == grpc::StatusCode::UNKNOWN) error.code = Code::unavailable;
    return error;
}

class GrpcContent final : public ContentApi {
public:
    GrpcContent(const std::string& address, const std::string& name)
        : connection_(address, name),
          content_(content::Content::NewStub(connection_.channel())),
          leases_(leases::Leases::NewStub(connection_.channel())),
          namespaces_(namespaces::Namespaces::NewStub(connection_.channel())) {}

    Status make_namespace(const Limit& limit) override {
        namespaces::CreateNamespaceRequest request;
        request.mutable_namespace_()->set_name(connection_.name());
        namespaces::CreateNamespaceResponse reply;
        auto done = connection_.run("containerd's namespace " + connection_.name(), limit, reply,
                                    [&](auto& context, auto& queue) { return namespaces_->AsyncCreate(&context, request, &queue); });
        if (!done && done.error().code != Code::already_exists) return done;
        return {};
    }

    Result<Blob> blob(const std::string& digest, const Limit& limit) override {
        content::InfoRequest request;
        request.set_digest(digest);
        content::InfoResponse reply;
        auto done = connection_.run(digest, limit, reply, [&](auto& context, auto& queue) { return content_->AsyncInfo(&context, request, &queue); });
        if (!done) return std::move(done).error();
        return blob_of(reply.info());
    }

    Result<std::vector<Blob>> blobs(const Limit& limit) override {
        grpc::ClientContext context;
        connection_.prepare(context, limit);
        grpc::CompletionQueue queue;
        std::vector<Blob> found;
        bool too_many = false;
        const auto reader = content_->AsyncList(&context, content::ListContentRequest{}, &queue, nullptr);
        bool open = Connection::await(context, queue, limit);
        while (open) {
            content::ListContentResponse page;
            reader->Read(&page, nullptr);
            open = Connection::await(context, queue, limit);
            if (!open) break;
            for (const auto& info : page.info()) found.push_back(blob_of(info));
            if (found.size() > blobs_max) {
                too_many = true;
                context.TryCancel();
            }
        }
        const auto status = finish(*reader, context, queue, limit);
        if (too_many) return Error{.code = Code::resource_exhausted, .what = "containerd holds more content than can be listed"};
        if (!status.ok()) return error_of(status, "containerd's content");
        return found;
    }

    Result<BlobProgress> write_blob(const BlobPlan& plan, const std::function<Result<std::string>(std::uint64_t)>& source,
                                    const Limit& limit) override {
        grpc::ClientContext context;
        connection_.prepare(context, limit);
        grpc::CompletionQueue queue;
        const auto stream = content_->AsyncWrite(&context, &queue, nullptr);
        bool open = Connection::await(context, queue, limit);
        const auto exchange = [&](const content::WriteContentRequest& request, content::WriteContentResponse& reply) {
            stream->Write(request, nullptr);
            open = open && Connection::await(context, queue, limit);
            if (!open) return false;
            stream->Read(&reply, nullptr);
            return open = Connection::await(context, queue, limit);
        };
        content::WriteContentRequest request;
        request.set_action(content::STAT);
        request.set_ref(plan.attempt);
        request.set_total(static_cast<std::int64_t>(plan.size));
        request.set_expected(plan.digest);
        content::WriteContentResponse reply;
        BlobProgress progress;
        std::optional<Error> left;
        if (open && exchange(request, reply)) {
            progress.stored = static_cast<std::uint64_t>(reply.offset());
            while (open && progress.stored < plan.size) {
                auto bytes = source(progress.stored);
                if (!bytes) left = std::move(bytes).error();
                if (left || bytes->empty()) break;
                content::WriteContentRequest part;
                part.set_action(content::WRITE);
                part.set_offset(static_cast<std::int64_t>(progress.stored));
                part.set_data(std::move(*bytes));
                if (exchange(part, reply)) progress.stored = static_cast<std::uint64_t>(reply.offset());
            }
            if (open && !left && progress.stored >= plan.size) {
                request.set_action(content::COMMIT);
                request.set_offset(static_cast<std::int64_t>(progress.stored));
                request.mutable_labels()->insert(plan.labels.begin(), plan.labels.end());
                progress.complete = exchange(request, reply);
            }
        }
        if (open) {
            stream->WritesDone(nullptr);
            open = Connection::await(context, queue, limit);
        }
        // The attempt is free for others when the stream has ended.
        while (open) {
            stream->Read(&reply, nullptr);
            open = Connection::await(context, queue, limit);
        }
        const auto status = finish(*stream, context, queue, limit);
        if (left) return *left;
        // What is committed is committed, however the stream ends.
        if (!status.ok() && !progress.complete) return write_error(status, plan.digest);
        return progress;
    }

    Status read_blob(const std::string& digest, std::uint64_t offset, std::uint64_t size,
                     const std::function<Status(std::string_view)>& sink, const Limit& limit) override {
        grpc::ClientContext context;
        connection_.prepare(context, limit);
        grpc::CompletionQueue queue;
        content::ReadContentRequest request;
        request.set_digest(digest);
        request.set_offset(static_cast<std::int64_t>(offset));
        request.set_size(static_cast<std::int64_t>(size));
        const auto reader = content_->AsyncRead(&context, request, &queue, nullptr);
        bool open = Connection::await(context, queue, limit);
        Status taken;
        std::uint64_t got = 0;
        while (open) {
            content::ReadContentResponse part;
            reader->Read(&part, nullptr);
            open = Connection::await(context, queue, limit);
            if (!open || !taken) continue;
            taken = sink(part.data());
            got += part.data().size();
            if (!taken) context.TryCancel();
        }
        const auto status = finish(*reader, context, queue, limit);
        if (!taken) return taken;
        if (!status.ok()) return error_of(status, digest);
        if (got != size) return Error{.code = Code::unavailable, .what = digest + ": containerd sent less than it holds"};
        return {};
    }

    Status label_blob(const std::string& digest, const std::string& label, const std::string& value, const Limit& limit) override {
        content::UpdateRequest request;
        request.mutable_info()->set_digest(digest);
        (*request.mutable_info()->mutable_labels())[label] = value;
        request.mutable_update_mask()->add_paths("labels." + label);
        content::UpdateResponse reply;
        return connection_.run(digest, limit, reply, [&](auto& context, auto& queue) { return content_->AsyncUpdate(&context, request, &queue); });
    }

    Status delete_blob(const std::string& digest, const Limit& limit) override {
        content::DeleteContentRequest request;
        request.set_digest(digest);
        google::protobuf::Empty reply;
        return connection_.run(digest, limit, reply, [&](auto& context, auto& queue) { return content_->AsyncDelete(&context, request, &queue); });
    }

    Status abort_attempt(const std::string& attempt, const Limit& limit) override {
        content::AbortRequest request;
        request.set_ref(attempt);
        google::protobuf::Empty reply;
        return connection_.run(attempt, limit, reply, [&](auto& context, auto& queue) { return content_->AsyncAbort(&context, request, &queue); });
    }

    Status collect_garbage(const Limit& limit) override {
        // It has no call for that; the end of a lease, waited for, does it.
        leases::CreateRequest request;
        request.set_id(collection_lease);
        leases::CreateResponse made;
        auto created = connection_.run("containerd's lease", limit, made,
                                       [&](auto& context, auto& queue) { return leases_->AsyncCreate(&context, request, &queue); });
        if (!created && created.error().code != Code::already_exists) return created;
        leases::DeleteRequest end;
        end.set_id(collection_lease);
        end.set_sync(true);
        google::protobuf::Empty reply;
        auto ended = connection_.run("containerd's garbage collection", limit, reply,
                                     [&](auto& context, auto& queue) { return leases_->AsyncDelete(&context, end, &queue); });
        if (!ended && ended.error().code == Code::not_found) return {};  // a neighbour's, who collects
        return ended;
    }

private:
    template <class Stream>
    static grpc::Status finish(Stream& stream, grpc::ClientContext& context, grpc::CompletionQueue& queue, const Limit& limit) {
        grpc::Status status;
        stream.Finish(&status, nullptr);
        Connection::await(context, queue, limit);
        Connection::drain(queue);
        return status;
    }

    Connection connection_;
    std::unique_ptr<content::Content::Stub> content_;
    std::unique_ptr<leases::Leases::Stub> leases_;
    std::unique_ptr<namespaces::Namespaces::Stub> namespaces_;
};

}  // namespace

std::unique_ptr<ContentApi> connect_content(const std::string& address, const std::string& name) {
    return std::make_unique<GrpcContent>(address, name);
}

}  // namespace eve::containerd
