#include "server/config/address_syntax.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace attn {
namespace {

using testing::AllOf;
using testing::HasSubstr;

struct AddressCase {
  std::string name;
  std::string address;
  std::string mistake;  // Part of the text; empty = the address is right.
};

class AddressSyntaxTest : public testing::TestWithParam<AddressCase> {};

TEST_P(AddressSyntaxTest, IsTakenOrRefusedWithTheReason) {
  const absl::Status status = CheckListenAddress(GetParam().address);
  if (GetParam().mistake.empty()) {
    EXPECT_TRUE(status.ok()) << status;
  } else {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(GetParam().mistake));
  }
}

INSTANTIATE_TEST_SUITE_P(Addresses, AddressSyntaxTest,
                         testing::ValuesIn(std::vector<AddressCase>{
                             {"Name", "localhost:8601", ""},
                             {"DottedName", "attn-0.attn_svc.example:1", ""},
                             {"AnyPort", "127.0.0.1:0", ""},
                             {"LargestPort", "0.0.0.0:65535", ""},
                             {"V6", "[::1]:8601", ""},
                             {"V6Zone", "[fe80::1%eth0]:8601", ""},
                             {"V6Every", "[::]:0", ""},
                             {"Socket", "unix:run/attnd.sock", ""},
                             {"LongestSocket", "unix:" + std::string(kMaxSocketPathBytes, 'a'), ""},
                             {"Empty", "", "no port, expected host:port"},
                             {"NoPort", "localhost", "no port, expected host:port"},
                             {"V6NoPort", "[::1]", "no port, expected host:port"},
                             {"NoHost", ":8601", "no host"},
                             {"PortTooLarge", "localhost:65536",
                              "port '65536', allowed: 0 to 65535"},
                             {"PortHuge", "localhost:99999999999999999999", "allowed: 0 to 65535"},
                             {"PortNegative", "localhost:-1", "port '-1'"},
                             {"PortSigned", "localhost:+1", "port '+1'"},
                             {"PortWord", "localhost:http", "port 'http'"},
                             {"PortEmpty", "localhost:", "port ''"},
                             {"V6Bare", "::1:8601", "stands in brackets"},
                             {"V6Bad", "[::g]:8601", "'::g' is no IPv6 address"},
                             {"V6Open", "[::1:8601", "is no IPv6 address"},
                             {"V6Trailing", "[::1]x:8601", "is no IPv6 address"},
                             {"HostWithSpace", "local host:1", "is no name and no IP address"},
                             {"Scheme", "http://localhost:1", "is no name and no IP address"},
                             {"SocketEmpty", "unix:", "no path"},
                             {"SocketTooLong", "unix:" + std::string(kMaxSocketPathBytes + 1, 'a'),
                              "path of 108 bytes, allowed: 1 to 107"},
                             {"SocketZero", std::string("unix:a\0b", 8), "a zero byte"},
                         }),
                         [](const auto& test) { return test.param.name; });

TEST(MetricsAddressTest, IsAnIpAddressOrLocalhost) {
  for (const char* address :
       {"localhost:8602", "127.0.0.1:0", "0.0.0.0:1", "[::1]:8602", "[::]:0"}) {
    EXPECT_EQ(CheckMetricsAddress(address), absl::OkStatus()) << address;
  }
  for (const char* address : {"host:8602", "example.org:1", "1.2.3:1", "LOCALHOST:1",
                              "[fe80::1%eth0]:1", "unix:metrics.sock", "localhost"}) {
    EXPECT_EQ(CheckMetricsAddress(address).code(), absl::StatusCode::kInvalidArgument) << address;
  }
  EXPECT_THAT(std::string(CheckMetricsAddress("host:8602").message()),
              AllOf(HasSubstr("'host:8602'"), HasSubstr("resolves no names")));
}

}  // namespace
}  // namespace attn
