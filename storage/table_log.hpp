#pragma once
// What was published to a persistent table and is not in its files yet: one appended file beside them, with one sync for a group of changes. A
// file of its own for each record needs two or three syncs; this is how a burst is made durable at once, and the files follow.
//
// A frame is "EVRL", the length of its body and the body's CRC-32 (4 bytes each, the lowest first), and the body: 'p' (put), 'r' (remove) or 'm'
// (marker), the length of the key, the key, and the record or the number.

#include <cstdint>
#include <string>
#include <vector>

#include "core/bus/effects.hpp"
#include "core/loop/unique_fd.hpp"
#include "storage/durable_file.hpp"

namespace eve::storage {

class TableLog {
public:
    /// Its name in the table's directory. EVE passes over files that do not end in .json.
    static constexpr const char* name = "journal";

    struct Content {
        std::vector<bus::StoreChange> changes;  ///< the oldest first
        std::string problem;                    ///< what could not be used; empty: nothing
    };
    /// What the log in `directory` holds; nothing if there is none. What is not whole (the power went while it was written, or the disk changed
    /// it) is passed over.
    static Result<Content> read(const DurableDirectory& directory, const bus::TableId& table);
    /// The log, made if it is not there.
    static Result<TableLog> open(const DurableDirectory& directory);

    /// The changes are in the log and survive a power cut, or none is promised.
    Status append(const std::vector<const bus::StoreChange*>& changes);
    /// The log is empty, also after a power cut.
    Status clear();
    std::uint64_t size() const { return size_; }

private:
    TableLog(UniqueFd fd, std::uint64_t size, std::string path) : fd_(std::move(fd)), size_(size), path_(std::move(path)) {}

    UniqueFd fd_;
    std::uint64_t size_;
    std::string path_;
};

}  // namespace eve::storage
