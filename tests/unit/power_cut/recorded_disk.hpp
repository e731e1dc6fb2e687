#pragma once
// What a disk was asked to do, call by call, for tests of power cuts. While a Recording lives, the test's own open, write, rename, unlink, mkdir,
// fsync and their like (defined in recorded_disk.cpp in front of the C library's) note what they change below its root.

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace eve::power_cut {

/// A file or directory, whatever its names are; 0 is the root. Never given twice, unlike the kernel's inode numbers.
using Node = std::uint32_t;

/// What is on a disk: directories with names, and what files hold.
struct Image {
    std::map<Node, std::map<std::string, Node>> directories{{0, {}}};
    std::map<Node, std::string> files;

    /// Path below the root to content; directories end in '/', with no content. Equal trees are equal disks.
    std::map<std::string, std::string> tree() const;
};

/// One change, or one promise of the disk.
struct Op {
    enum class Kind { write, truncate, sync_file, set_entry, drop_entry, sync_directory };
    Kind kind = Kind::write;
    Node node = 0;             ///< the file written, truncated, synced; the directory changed or synced
    std::uint64_t offset = 0;  ///< write; truncate: the new size
    std::string data;          ///< write
    std::string name;          ///< set_entry, drop_entry
    Node target = 0;           ///< set_entry
    std::uint32_t call = 0;    ///< the same for all of one system call: a rename is a set_entry and a drop_entry
};

/// The change is in the image, whole.
void apply(Image& image, const Op& op);

class Recording {
public:
    /// Begins to record below `root`; what is there now counts as synced long ago. One at a time.
    explicit Recording(const std::string& root);
    ~Recording();
    Recording(const Recording&) = delete;
    Recording& operator=(const Recording&) = delete;

    const Image& before() const { return before_; }
    const std::vector<Op>& ops() const { return ops_; }
    /// What the disk really holds now.
    static Image read(const std::string& root);

    // Called by the calls of the test. [any-thread]
    using Inode = std::pair<std::uint64_t, std::uint64_t>;
    void created(int directory, const char* path, bool is_directory);
    void made_nameless(int fd);
    void wrote(int fd, std::uint64_t offset, std::uint64_t size);
    void truncated(int fd);
    void synced(int fd);
    void linked(Inode inode, int directory, const char* path);
    void unlinked(int directory, const char* path);
    void renamed(Inode inode, int from_directory, const char* from, int to_directory, const char* to);

private:
    struct Place {
        Node directory;
        std::string name;
    };
    std::optional<Place> place(int directory, const char* path) const;
    std::optional<Node> node(Inode inode) const;
    Node adopt(const std::string& path, Image& image);
    void add(Op op);

    std::mutex mutex_;
    std::map<Inode, Node> nodes_;
    std::map<Inode, bool> is_directory_;
    Node last_ = 0;
    std::uint32_t calls_ = 0;
    Image before_;
    std::vector<Op> ops_;
};

}  // namespace eve::power_cut
