#include "eve/result.hpp"

#include <gtest/gtest.h>

namespace eve {
namespace {

Result<int> half(int n) {
    if (n % 2 != 0) return Error{.code = Code::invalid_argument, .what = "odd", .field = ".n"};
    return n / 2;
}

TEST(Result, CarriesAValueOrAnError) {
    EXPECT_EQ(*half(4), 2);
    ASSERT_FALSE(half(3));
    EXPECT_EQ(half(3).error().code, Code::invalid_argument);
}

TEST(Result, ContextStandsOutermostFirst) {
    EXPECT_EQ(half(3).error().in("attach vda").in("start app 7f").what, "start app 7f: attach vda: odd");
}

TEST(Result, StatusIsSuccessByDefault) {
    EXPECT_TRUE(Status{});
    EXPECT_FALSE(Status{Error{.code = Code::internal}});
}

TEST(Code, NamesReadBackAndUnknownNamesAreInternal) {
    for (std::int32_t n = 1; n <= 11; ++n) {
        const auto code = static_cast<Code>(n);
        EXPECT_EQ(code_from_string(to_string(code)), code);
    }
    EXPECT_EQ(code_from_string("no_such_code"), Code::internal);
}

}  // namespace
}  // namespace eve
