#include "tests/unit/power_cut/crash_states.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>

namespace eve::power_cut {

namespace {

constexpr std::size_t sector = 512;
enum class Fate : std::uint8_t { lost, whole, torn, length_only };  // an entry is lost or whole

bool is_data(const Op& op) { return op.kind == Op::Kind::write || op.kind == Op::Kind::truncate; }

// The pending ops as their fates leave them, over what is synced.
Image after(const Image& synced, const std::vector<Op>& pending, const std::vector<Fate>& fates, Prng& prng) {
    auto image = synced;
    for (std::size_t i = 0; i < pending.size(); ++i) {
        auto op = pending[i];
        switch (fates[i]) {
            case Fate::lost: continue;
            case Fate::whole: break;
            case Fate::torn: {
                const auto sectors = op.data.size() / sector;
                op.data.resize(sectors > 0 && prng.chance(70) ? sector * prng.below(sectors + 1) : prng.below(op.data.size() + 1));
                break;
            }
            case Fate::length_only: op.data.assign(op.data.size(), '\0'); break;
        }
        apply(image, op);
    }
    return image;
}

class Visitor {
public:
    Visitor(const Image& before, const CrashOptions& options, const CrashVisitor& visit)
        : synced_(before), options_(options), visit_(visit), prng_(options.seed) {}

    void add(const Op& op) {
        const bool syncs = op.kind == Op::Kind::sync_file || op.kind == Op::Kind::sync_directory;
        if (!syncs) {
            pending_.push_back(op);
            return;
        }
        const bool of_data = op.kind == Op::Kind::sync_file;
        std::erase_if(pending_, [&](const Op& earlier) {
            const bool reached = earlier.node == op.node && is_data(earlier) == of_data;
            if (reached) apply(synced_, earlier);
            return reached;
        });
    }

    void visit(std::size_t point) {
        seen_.clear();
        const auto count = pending_.size();
        std::vector<Fate> fates(count, Fate::lost);
        show(point, fates);
        for (std::size_t i = 0; i < count; ++i) {  // in order, as far as it got
            fates[i] = Fate::whole;
            show(point, fates);
            if (pending_[i].kind != Op::Kind::write) continue;
            for (const auto fate : {Fate::torn, Fate::length_only}) {
                fates[i] = fate;
                show(point, fates);
            }
            fates[i] = Fate::whole;
        }
        if (count < 63 && (std::size_t{1} << count) <= options_.all_subsets_up_to) {
            for (std::size_t bits = 0; bits < (std::size_t{1} << count); ++bits) {
                for (std::size_t i = 0; i < count; ++i) fates[i] = (bits >> i & 1U) != 0 ? Fate::whole : Fate::lost;
                show(point, fates);
            }
        } else {
            for (std::size_t i = 0; i < count; ++i) {  // one alone, and all but one
                std::fill(fates.begin(), fates.end(), Fate::lost);
                fates[i] = Fate::whole;
                show(point, fates);
                std::fill(fates.begin(), fates.end(), Fate::whole);
                fates[i] = Fate::lost;
                show(point, fates);
            }
        }
        for (std::size_t tries = 0; count > 0 && tries < options_.per_point && seen_.size() < options_.per_point; ++tries) {
            const auto kept = static_cast<unsigned>(prng_.between(10, 90));
            for (std::size_t i = 0; i < count; ++i) {
                fates[i] = prng_.chance(kept) ? Fate::whole : Fate::lost;
                if (pending_[i].kind == Op::Kind::write && prng_.chance(40)) fates[i] = prng_.chance(50) ? Fate::torn : Fate::length_only;
                // Most file systems keep a rename in one piece.
                if (i > 0 && pending_[i].call == pending_[i - 1].call && prng_.chance(70)) fates[i] = fates[i - 1];
            }
            show(point, fates);
        }
    }

    std::size_t shown() const { return shown_; }

private:
    void show(std::size_t point, const std::vector<Fate>& fates) {
        if (seen_.size() >= options_.per_point) return;
        auto tree = after(synced_, pending_, fates, prng_).tree();
        if (!seen_.insert(tree).second) return;
        ++shown_;
        visit_(point, tree);
    }

    Image synced_;
    const CrashOptions& options_;
    const CrashVisitor& visit_;
    Prng prng_;
    std::vector<Op> pending_;
    std::set<std::map<std::string, std::string>> seen_;
    std::size_t shown_ = 0;
};

}  // namespace

std::size_t visit_crash_states(const Image& before, const std::vector<Op>& ops, const CrashOptions& options, const CrashVisitor& visit) {
    Visitor visitor(before, options, visit);
    for (std::size_t point = 0; point <= ops.size(); ++point) {
        if (point > 0) visitor.add(ops[point - 1]);
        visitor.visit(point);
    }
    return visitor.shown();
}

void lay_out(const std::string& root, const std::map<std::string, std::string>& tree) {
    namespace fs = std::filesystem;
    for (const auto& entry : fs::directory_iterator(root)) fs::remove_all(entry.path());
    for (const auto& [path, content] : tree) {
        const auto whole = root + "/" + path;
        if (path.ends_with('/')) {
            fs::create_directory(whole);
            fs::permissions(whole, fs::perms::owner_all);
        } else {
            std::ofstream(whole, std::ios::binary) << content;
        }
    }
}

}  // namespace eve::power_cut
