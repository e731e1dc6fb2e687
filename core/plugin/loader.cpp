#include "core/loop/unique_fd.hpp"
#include "core/plugin/loader.hpp"

#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <boost/describe.hpp>
#include <cstring>
#include <filesystem>
#include <memory>
#include <utility>

#include "core/plugin/device_clients.hpp"
#include "core/plugin/elf.hpp"
#include "core/plugin/hypervisor_client.hpp"
#include "eve/sdk/codec.hpp"
#include "eve/sdk/kept_process.hpp"

namespace eve::plugin {

BOOST_DESCRIBE_STRUCT(Identity, (), (id, version, interfaces, built_with, abi))

namespace {

/// What the cache holds of one file.
struct Remembered {
    Identity identity;
    Description description;
    ProbeReport probe;
    std::string quarantined;  ///< why, or empty
    std::string code;
    std::string hint;
    friend bool operator==(const Remembered&, const Remembered&) = default;
};
BOOST_DESCRIBE_STRUCT(Remembered, (), (identity, description, probe, quarantined, code, hint))

Error denied(std::string what, std::string hint) {
    return Error{.code = Code::permission_denied, .what = std::move(what), .hint = std::move(hint)};
}

class Sha256 {
public:
    Sha256() : context_(::EVP_MD_CTX_new()) { ::EVP_DigestInit_ex(context_, ::EVP_sha256(), nullptr); }
    ~Sha256() { ::EVP_MD_CTX_free(context_); }
    Sha256(const Sha256&) = delete;
    Sha256& operator=(const Sha256&) = delete;
    void add(const void* data, std::size_t size) { ::EVP_DigestUpdate(context_, data, size); }
    std::string hex() {
        std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
        unsigned size = 0;
        ::EVP_DigestFinal_ex(context_, digest.data(), &size);
        constexpr std::string_view digits = "0123456789abcdef";
        std::string text;
        for (unsigned i = 0; i < size; ++i) {
            text += digits[digest[i] >> 4];
            text += digits[digest[i] & 15];
        }
        return text;
    }

private:
    EVP_MD_CTX* context_;
};

/// The cache is of no worth to anyone after a reboot; a torn file reads as none.
void remember(const std::string& dir, const std::string& key, const Remembered& what) {
    std::error_code failure;
    std::filesystem::create_directories(dir, failure);
    const auto text = sdk::encode(what, sdk::Strictness::must_ignore, EVE_REPLY_SIZE_MAX);
    if (!text) return;
    const auto path = dir + "/" + key;
    const auto temporary = path + ".new";
    const UniqueFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!fd || ::write(fd.get(), text->body.data(), text->body.size()) != static_cast<ssize_t>(text->body.size())) return;
    ::rename(temporary.c_str(), path.c_str());
}

std::optional<Remembered> recall(const std::string& dir, const std::string& key, std::chrono::seconds quarantine) {
    const auto path = dir + "/" + key;
    const auto text = sdk::detail::read_small_file(AT_FDCWD, path.c_str());
    if (!text) return std::nullopt;
    auto remembered = sdk::decode<Remembered>(*text, sdk::Strictness::must_ignore, {});
    if (!remembered) return std::nullopt;
    if (!remembered->quarantined.empty()) {
        struct stat info {};
        timespec now{};
        ::clock_gettime(CLOCK_REALTIME, &now);  // the clock of files; one that was set costs a try, or a wait until the restart
        if (::stat(path.c_str(), &info) != 0 || now.tv_sec - info.st_mtim.tv_sec >= quarantine.count()) return std::nullopt;
    }
    return std::move(*remembered);
}

}  // namespace

Status check_owner(const std::string& file, bool own_user_allowed) {
    const auto slash = file.rfind('/');
    const auto dir = slash == std::string::npos ? std::string(".") : slash == 0 ? std::string("/") : file.substr(0, slash);
    for (const auto& path : {dir, file}) {
        struct stat info {};
        if (::stat(path.c_str(), &info) != 0) return Error{.code = Code::not_found, .what = path + ": " + std::strerror(errno)};
        const bool owner_good = info.st_uid == 0 || (own_user_allowed && info.st_uid == ::geteuid());
        if (!owner_good)
            return denied(path + " belongs to user " + std::to_string(info.st_uid) + ", not to root",
                          "chown root " + path + ", after making sure where it comes from");
        const bool sticky_dir = S_ISDIR(info.st_mode) && (info.st_mode & S_ISVTX) != 0;
        if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0 && !sticky_dir)
            return denied(path + " can be written by others than its owner", "chmod go-w " + path + ", after making sure where it comes from");
        if (path == file && !S_ISREG(info.st_mode)) return denied(path + " is not a regular file", "put the plugin itself there");
    }
    return {};
}

Status check_signature(const std::string& file, const std::vector<std::string>& key_files) {
    constexpr std::size_t plugin_size_max = 256U << 20;
    constexpr std::size_t signature_size = 64;
    const auto whole = [](const std::string& path, std::size_t size_max) -> std::optional<std::string> {
        const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
        std::string content;
        std::array<char, 1U << 16> buffer{};
        while (fd && content.size() <= size_max) {
            const auto got = ::read(fd.get(), buffer.data(), buffer.size());
            if (got == 0) return content;
            if (got < 0 && errno != EINTR) break;
            if (got > 0) content.append(buffer.data(), static_cast<std::size_t>(got));
        }
        return std::nullopt;
    };
    const auto signature = whole(file + ".sig", signature_size);
    if (!signature || signature->size() != signature_size)
        return denied("it has no signature: " + file + ".sig is missing or is not 64 bytes",
                      "sign it (openssl pkeyutl -sign -rawin), or take the demand for signatures back");
    const auto content = whole(file, plugin_size_max);
    if (!content) return denied(file + " cannot be read", "see its mode and size");
    const auto bytes = [](const std::string& text) { return reinterpret_cast<const unsigned char*>(text.data()); };
    for (const auto& key_file : key_files) {
        const auto pem = whole(key_file, 64U << 10);
        if (!pem) continue;
        const std::unique_ptr<BIO, decltype(&::BIO_free)> bio(::BIO_new_mem_buf(pem->data(), static_cast<int>(pem->size())), &::BIO_free);
        const std::unique_ptr<EVP_PKEY, decltype(&::EVP_PKEY_free)> key(::PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr),
                                                                        &::EVP_PKEY_free);
        if (!key || ::EVP_PKEY_id(key.get()) != EVP_PKEY_ED25519) continue;
        const std::unique_ptr<EVP_MD_CTX, decltype(&::EVP_MD_CTX_free)> context(::EVP_MD_CTX_new(), &::EVP_MD_CTX_free);
        if (::EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
            ::EVP_DigestVerify(context.get(), bytes(*signature), signature->size(), bytes(*content), content->size()) == 1)
            return {};
    }
    return denied("its signature is by none of the " + std::to_string(key_files.size()) + " keys that the operator trusts",
                  "get the file again from where it comes, or add its vendor's key");
}

Result<std::string> digest_of_file(const std::string& file) {
    const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return Error{.code = Code::not_found, .what = file + ": " + std::strerror(errno)};
    Sha256 sha;
    std::array<char, 1U << 16> buffer{};
    for (;;) {
        const auto got = ::read(fd.get(), buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return Error{.code = Code::unavailable, .what = file + ": " + std::strerror(errno)};
        if (got == 0) return sha.hex();
        sha.add(buffer.data(), static_cast<std::size_t>(got));
    }
}

std::string digest_of_text(const std::string& text) {
    Sha256 sha;
    sha.add(text.data(), text.size());
    return sha.hex();
}

Result<Inspection> Loader::look_into(const std::string& file, HostServices& host, Refusal& refusal) const {
    const auto refuse = [&](Error error) -> Result<Inspection> {
        refusal = {.error = error};
        return error;
    };
    if (auto good = check_owner(file, options_.own_user_allowed); !good) return refuse(std::move(good).error());
    if (!options_.signature_keys.empty())
        if (auto good = check_signature(file, options_.signature_keys); !good) return refuse(std::move(good).error());
    const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return refuse({.code = Code::not_found, .what = file + ": " + std::strerror(errno)});
    if (auto good = check_exports(fd.get()); !good) return refuse(std::move(good).error());

    const auto digest = digest_of_file(file);
    if (!digest) return refuse(digest.error());
    const auto key = *digest + "-" + digest_of_text(host.config().config).substr(0, 16);
    if (!options_.cache_dir.empty())
        if (const auto known = recall(options_.cache_dir, key, options_.quarantine)) {
            if (known->quarantined.empty()) return Inspection{.identity = known->identity, .description = known->description, .probe = known->probe};
            refusal = {.error = {.code = code_from_string(known->code), .what = known->quarantined, .hint = known->hint}, .quarantined = true};
            return refusal.error;
        }

    // A process may be killed for reasons that are not the plugin's (memory was short): only what dies again is held against it.
    constexpr int deaths_max = 2;
    bool crashed = false;
    auto seen = ask(file, host, crashed);
    for (int death = 1; !seen && crashed && seen.error().code == Code::unavailable && death < deaths_max; ++death) {
        crashed = false;
        seen = ask(file, host, crashed);
    }
    if (!seen) {
        auto error = std::move(seen).error();
        if (crashed && error.hint.empty())
            error.hint = "report it to its vendor; it is tried again after " + std::to_string(options_.quarantine.count()) +
                         " s, or when the file changes";
        refusal = {.error = error, .quarantined = crashed};
        if (crashed && !options_.cache_dir.empty())
            remember(options_.cache_dir, key, {.quarantined = error.what, .code = std::string(to_string(error.code)), .hint = error.hint});
        return error;
    }
    // Only a yes is kept: what makes a machine unfit may be mended while it runs.
    if (seen->probe.verdict == ProbeVerdict::supported && !options_.cache_dir.empty())
        remember(options_.cache_dir, key, {.identity = seen->identity, .description = seen->description, .probe = seen->probe});
    return seen;
}

Result<Inspection> Loader::ask(const std::string& file, HostServices& host, bool& crashed) const {
    const HostProcessOptions process{.executable = options_.plugin_host,
                                     .open_limit = options_.load_limit,
                                     .overtime = options_.overtime,
                                     .restart_first = std::chrono::hours{1}};  // one life is enough here
    const auto judge = [&](Error error, const char* when) {
        crashed = error.code == Code::timed_out || error.code == Code::unavailable;
        const bool hung = error.code == Code::timed_out;
        if (crashed) return Error{.code = error.code, .what = std::string(hung ? "hangs " : "crashes ") + when + ": " + error.what};
        return error;
    };
    auto plugin = open_isolated({.file = file, .host = host}, process);
    if (!plugin) return judge(std::move(plugin).error(), "when it is loaded");
    auto description = describe_any(**plugin, TimedCall(options_.load_limit));
    if (!description) return judge(std::move(description).error(), "in describe");
    auto probe = probe_any(**plugin, TimedCall(options_.probe_limit));
    if (!probe) {
        // An answer, if a bad one: the plugin is broken rather than dangerous.
        auto error = judge(std::move(probe).error(), "in probe");
        if (crashed) return error;
        probe = ProbeReport{.verdict = ProbeVerdict::broken, .reason = error.what};
    }
    return Inspection{.identity = (*plugin)->identity(), .description = std::move(*description), .probe = std::move(*probe)};
}

}  // namespace eve::plugin
