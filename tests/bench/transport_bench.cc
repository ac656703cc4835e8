// Transport alone: echo of 64 KiB to 256 MiB through attnd, through the same service in plain
// generated protobuf, through Arrow Flight and through a plain socket, in turn, in one run.
//
//   transport_bench --json FILE [--flight PYTHON] [--rounds N]
//
// Reports medians and the ratios of paired rounds; asserts nothing.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "CLI/CLI.hpp"
#include "nlohmann/json.hpp"
#include "tests/bench/echo_peers.h"
#include "tests/bench/echo_servers.h"

namespace attn {
namespace {

constexpr size_t kSizes[] = {size_t{64} << 10, size_t{1} << 20, size_t{16} << 20, size_t{64} << 20,
                             size_t{256} << 20};
constexpr const char* kPeers[] = {"attnd", "protobuf", "flight", "socket"};

struct Arguments {
  std::string json = "transport.json";
  std::string flight;  // Python with pyarrow; empty = leave Flight out
  int rounds = 7;
};

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

using Peers = std::map<std::string, std::unique_ptr<EchoPeer>>;

Peers Connect(const EchoAddresses& addresses, bool tcp, const std::string& flight,
              const std::string& folder) {
  Peers peers;
  peers["attnd"] = CreateAttndPeer(tcp ? addresses.attnd_tcp : addresses.attnd_unix);
  peers["protobuf"] = CreateProtobufPeer(tcp ? addresses.protobuf_tcp : addresses.protobuf_unix);
  peers["socket"] = CreateSocketPeer(tcp ? addresses.socket_tcp : addresses.socket_unix);
  if (!flight.empty()) {
    const std::string script = std::string(ATTN_SOURCE_DIR) + "/tests/bench/flight_echo.py";
    const std::string location =
        tcp ? "grpc+tcp://127.0.0.1:0" : "grpc+unix://" + folder + "/flight.sock";
    peers["flight"] = CreateFlightPeer("exec '" + flight + "' '" + script + "' '" + location + "'");
  }
  return peers;
}

// One row of the table: every peer in turn, round by round. The first round is warm-up.
nlohmann::ordered_json Measure(Peers& peers, const std::string& transport, size_t size,
                               int rounds) {
  std::vector<std::byte> bytes(size);
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 2654435761U >> 13);
  std::map<std::string, std::vector<double>> seconds;
  for (int round = -1; round < rounds; ++round) {
    for (auto& [name, peer] : peers) {
      const absl::StatusOr<double> time = peer->Echo(bytes);
      if (!time.ok()) {
        std::cerr << name << ": " << time.status() << "\n";
        std::exit(1);
      }
      if (round >= 0) seconds[name].push_back(*time);
    }
  }
  nlohmann::ordered_json row = {{"transport", transport}, {"bytes", size}};
  for (const char* name : kPeers) {
    if (!seconds.contains(name)) continue;
    row[std::string(name) + "_gb_per_s"] = 2e-9 * static_cast<double>(size) / Median(seconds[name]);
    if (std::string(name) == "attnd") continue;
    std::vector<double> ratios;
    for (size_t i = 0; i < seconds[name].size(); ++i) {
      ratios.push_back(seconds[name][i] / seconds["attnd"][i]);
    }
    row[std::string("over_") + name] = Median(ratios);
  }
  return row;
}

void Print(const nlohmann::ordered_json& row) {
  std::cout << std::left << std::setw(6) << row["transport"].get<std::string>() << std::right
            << std::setw(8) << row["bytes"].get<size_t>() / 1024 << " KiB" << std::fixed
            << std::setprecision(2);
  for (const char* name : kPeers) {
    const std::string rate = std::string(name) + "_gb_per_s";
    if (!row.contains(rate)) continue;
    std::cout << "  " << name << " " << row[rate].get<double>() << " GB/s";
    if (row.contains(std::string("over_") + name)) {
      std::cout << " (x" << row[std::string("over_") + name].get<double>() << ")";
    }
  }
  std::cout << std::endl;
}

int Run(const Arguments& arguments, const std::string& program) {
  std::string folder = (std::filesystem::temp_directory_path() / "attnd-transport-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) return 1;
  const EchoAddresses addresses = StartEchoServers(program, folder);
  std::cout << "Echo, bytes both ways over the median of " << arguments.rounds
            << " rounds; in brackets how many times attnd's rate is the peer's, paired.\n";
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const bool tcp : {true, false}) {
    Peers peers = Connect(addresses, tcp, arguments.flight, folder);
    for (const size_t size : kSizes) {
      rows.push_back(Measure(peers, tcp ? "tcp" : "unix", size, arguments.rounds));
      Print(rows.back());
    }
  }
  const nlohmann::ordered_json report = {
      {"benchmark", "transport"}, {"cores", std::thread::hardware_concurrency()}, {"rows", rows}};
  std::ofstream(arguments.json) << report.dump(2) << "\n";
  std::filesystem::remove_all(folder);
  return 0;
}

int Main(int argc, char** argv) {
  CLI::App app("Echo through attnd and its peers, in turn");
  Arguments arguments;
  std::string serve;
  app.add_option("--json", arguments.json, "where the figures go");
  app.add_option("--flight", arguments.flight, "a Python with pyarrow; empty = without Flight");
  app.add_option("--rounds", arguments.rounds, "counted rounds")->check(CLI::Range(1, 1000));
  app.add_option("--serve", serve, "internal: be the servers, with sockets in this folder");
  CLI11_PARSE(app, argc, argv);
  return serve.empty() ? Run(arguments, std::filesystem::canonical("/proc/self/exe").string())
                       : ServeEchoes(serve);
}

}  // namespace
}  // namespace attn

int main(int argc, char** argv) { return attn::Main(argc, argv); }
