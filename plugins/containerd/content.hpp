#pragma once
// Image content in containerd's own store (content/1), in a namespace that holds nothing else. What is held has a label that makes it a root of
// containerd's garbage collection, from its first moment: there is no time in which containerd could take it.

#include <string>

#include "containerd/content_api.hpp"
#include "eve/content.hpp"

namespace eve::containerd {

/// Keeps nothing in memory: another life of the plugin sees the same.
class ContainerdContent final : public Content {
public:
    /// Borrows containerd.
    explicit ContainerdContent(ContentApi& containerd) : containerd_(containerd) {}

    Result<ContentInfo> stat(const CallContext& call, const std::string& digest) override;
    Result<ContentWritten> write(const CallContext& call, const ContentWrite& content) override;
    Result<ContentPart> read(const CallContext& call, const ContentRead& part) override;
    Result<ContentPage> list(const CallContext& call, const std::string& after) override;
    Status remove(const CallContext& call, const std::string& digest) override;
    Status protect(const CallContext& call, const ContentProtection& protection) override;

private:
    ContentApi& containerd_;
};

}  // namespace eve::containerd
