// What may stand in the names and addresses of a DomainSpec.

#include "common/grammar.hpp"

#include <gtest/gtest.h>

#include <string>

namespace eve::plugins {
namespace {

TEST(Grammar, AMacAddressIsOfOneInterface) {
    EXPECT_TRUE(valid_mac("02:16:3e:00:00:0F"));
    EXPECT_FALSE(valid_mac("01:00:5e:00:00:01")) << "of a group";
    for (const auto* text : {"", "02:16:3e:00:00", "02:16:3e:00:00:0", "02-16-3e-00-00-01", "02:16:3e:00:00:0g", "02:16:3e:00:00:001", "zz:zz:zz:zz:zz:zz"})
        EXPECT_FALSE(valid_mac(text)) << text;
}

TEST(Grammar, AUuidHasItsDashes) {
    EXPECT_TRUE(valid_uuid("00000000-0000-4000-8000-00000000000a"));
    for (const auto* text : {"", "00000000000040008000000000000001", "00000000-0000-4000-8000-00000000000", "00000000-0000-4000-8000-00000000000g",
                             "0000000-00000-4000-8000-000000000001"})
        EXPECT_FALSE(valid_uuid(text)) << text;
}

TEST(Grammar, ANameCanBeAFiles) {
    EXPECT_TRUE(valid_name("app.1-a_b"));
    EXPECT_TRUE(valid_name(std::string(127, 'a')));
    for (const auto& text : {std::string(), std::string(".hidden"), std::string(".."), std::string("a/b"), std::string("a b"), std::string("a\0b", 3), std::string(128, 'a')})
        EXPECT_FALSE(valid_name(text)) << text;
}

TEST(Grammar, APciAddressIsWhole) {
    EXPECT_TRUE(valid_pci_address("0000:03:00.0"));
    EXPECT_TRUE(valid_pci_address("00010000:ff:1f.7"));
    for (const auto* text : {"", "03:00.0", "0000:03:00", "0000:03:00.8", "000:03:00.0", "0000:3:00.0", "0000:03:00.0 ", "0000:03:00,0", "0000:0G:00.0", "../../x:00:00.0"})
        EXPECT_FALSE(valid_pci_address(text)) << text;
}

TEST(Grammar, ControlCharactersAreNotPrintable) {
    EXPECT_TRUE(printable("a \"quoted\" word", 40));
    EXPECT_FALSE(printable("a\nb", 40));
    EXPECT_FALSE(printable("a\x7f", 40));
    EXPECT_FALSE(printable("abc", 2));
}

}  // namespace
}  // namespace eve::plugins
