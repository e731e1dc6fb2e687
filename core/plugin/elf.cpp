#include "core/plugin/elf.hpp"

#include <elf.h>
#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <array>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "core/plugin/entry.hpp"
#include "eve/abi.h"

namespace eve::plugin {
namespace {

#if defined(__x86_64__)
constexpr unsigned machine = EM_X86_64;
#elif defined(__aarch64__)
constexpr unsigned machine = EM_AARCH64;
#elif defined(__riscv)
constexpr unsigned machine = EM_RISCV;
#else
#error "name this machine's ELF number"
#endif

constexpr std::uint64_t file_size_max = 1ULL << 30;
constexpr std::string_view rebuild = "build it with eve_add_plugin() of the SDK, or with -fvisibility=hidden and a version script that names only "
                                     "eve_plugin_entry_v*";

Error refuse(std::string what, std::string_view hint) {
    return Error{.code = Code::invalid_argument, .what = std::move(what), .hint = std::string(hint)};
}

/// A file in memory; reads outside it yield nothing.
class Mapped {
public:
    explicit Mapped(int file) {
        struct stat info {};
        if (::fstat(file, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size <= 0 || static_cast<std::uint64_t>(info.st_size) > file_size_max)
            return;
        size_ = static_cast<std::size_t>(info.st_size);
        void* at = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file, 0);
        if (at != MAP_FAILED) data_ = static_cast<const char*>(at);
    }
    ~Mapped() {
        if (data_ != nullptr) ::munmap(const_cast<char*>(data_), size_);
    }
    Mapped(const Mapped&) = delete;
    Mapped& operator=(const Mapped&) = delete;

    template <class T> std::optional<T> read(std::uint64_t at) const {
        if (data_ == nullptr || at > size_ || size_ - at < sizeof(T)) return std::nullopt;
        T value;
        std::memcpy(&value, data_ + at, sizeof value);
        return value;
    }
    std::optional<std::string_view> text(std::uint64_t at, std::uint64_t end) const {
        if (data_ == nullptr || at >= size_ || end > size_ || at >= end) return std::nullopt;
        const auto* stop = static_cast<const char*>(std::memchr(data_ + at, 0, end - at));
        if (stop == nullptr) return std::nullopt;
        return std::string_view(data_ + at, static_cast<std::size_t>(stop - (data_ + at)));
    }

private:
    const char* data_ = nullptr;
    std::size_t size_ = 0;
};

bool of_the_linker(std::string_view name) {
    constexpr std::array names = {"_init", "_fini", "_edata", "_end", "__bss_start", "__end__", "_bss_end__", "__bss_start__", "__bss_end__"};
    for (const std::string_view known : names)
        if (name == known) return true;
    return false;
}

}  // namespace

Status check_exports(int file) {
    const Mapped mapped(file);
    const auto header = mapped.read<Elf64_Ehdr>(0);
    if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
        return refuse("is not an ELF file", "a plugin is a shared object; take other files out of the directory");
    if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB || header->e_machine != machine)
        return refuse("is built for another processor", "build it for this machine");
    if (header->e_type != ET_DYN) return refuse("is not a shared object", rebuild);
    if (header->e_shoff == 0 || header->e_shnum == 0 || header->e_shentsize != sizeof(Elf64_Shdr))
        return refuse("has no section table, so what it exports cannot be seen", "do not strip it with sstrip; strip --strip-unneeded is fine");

    constexpr std::string_view entry_prefix = "eve_plugin_entry_v";
    std::size_t strangers = 0;
    std::string stranger;
    std::string unique;
    bool found = false;
    std::optional<unsigned> other_major;
    for (unsigned i = 0; i < header->e_shnum; ++i) {
        const auto section = mapped.read<Elf64_Shdr>(header->e_shoff + std::uint64_t{i} * sizeof(Elf64_Shdr));
        if (!section) return refuse("has a damaged section table", "copy it again");
        if (section->sh_type != SHT_DYNSYM) continue;
        if (section->sh_entsize != sizeof(Elf64_Sym) || section->sh_link >= header->e_shnum || section->sh_offset > file_size_max ||
            section->sh_size > file_size_max)
            return refuse("has a damaged symbol table", "copy it again");
        const auto strings = mapped.read<Elf64_Shdr>(header->e_shoff + std::uint64_t{section->sh_link} * sizeof(Elf64_Shdr));
        if (!strings || strings->sh_offset > file_size_max || strings->sh_size > file_size_max)
            return refuse("has a damaged symbol table", "copy it again");
        for (std::uint64_t at = section->sh_offset + sizeof(Elf64_Sym); at + sizeof(Elf64_Sym) <= section->sh_offset + section->sh_size;
             at += sizeof(Elf64_Sym)) {
            const auto symbol = mapped.read<Elf64_Sym>(at);
            if (!symbol) return refuse("has a damaged symbol table", "copy it again");
            if (symbol->st_shndx == SHN_UNDEF || symbol->st_shndx == SHN_ABS) continue;
            const auto binding = ELF64_ST_BIND(symbol->st_info);
            const auto visibility = ELF64_ST_VISIBILITY(symbol->st_other);
            if (binding == STB_LOCAL || visibility == STV_HIDDEN || visibility == STV_INTERNAL) continue;
            const auto name = mapped.text(strings->sh_offset + symbol->st_name, strings->sh_offset + strings->sh_size);
            if (!name) return refuse("has a damaged symbol table", "copy it again");
            if (binding == STB_GNU_UNIQUE && unique.empty()) unique = *name;
            if (*name == EVE_PLUGIN_ENTRY_SYMBOL) {
                found = true;
            } else if (name->starts_with(entry_prefix)) {
                unsigned major = 0;
                for (const char c : name->substr(entry_prefix.size(), 6)) major = c >= '0' && c <= '9' ? major * 10 + unsigned(c - '0') : major;
                other_major = major;
            } else if (!of_the_linker(*name)) {
                if (strangers++ == 0) stranger = *name;
            }
        }
    }
    if (!unique.empty())
        return refuse("has the GNU_UNIQUE symbol " + unique.substr(0, 100) + ", which it would share with other plugins", rebuild);
    if (!found && other_major) return abi_mismatch(*other_major);
    if (!found)
        return refuse("has no symbol " EVE_PLUGIN_ENTRY_SYMBOL ": it is not a plugin",
                      "write EVE_PLUGIN(...) in one of its sources, or take the file out of the directory");
    if (strangers > 0)
        return refuse("exports " + std::to_string(strangers) + " symbols beside " EVE_PLUGIN_ENTRY_SYMBOL " (one is " + stranger.substr(0, 100) +
                          "), which may collide with other plugins",
                      rebuild);
    return {};
}

}  // namespace eve::plugin
