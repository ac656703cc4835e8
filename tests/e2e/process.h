// Programs of the build, run as children.
#ifndef ATTN_TESTS_E2E_PROCESS_H_
#define ATTN_TESTS_E2E_PROCESS_H_

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace attn {

struct ProcessOutput {
  int exit_code = -1;  // 128 + signal for a signal
  std::string out;
  std::string err;
};

// A child whose standard output and error are captured. Killed on destruction if still running.
class Process {
 public:
  using Environment = std::map<std::string, std::string>;

  // `program` is a path, or the name of a program of this build. `environment` is added to ours.
  Process(const std::string& program, const std::vector<std::string>& arguments,
          const Environment& environment = {});
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process();

  pid_t pid() const { return pid_; }

  // The next line of its standard output, "" at its end or when the limit is over.
  std::string ReadLine(absl::Duration limit = absl::Seconds(60));

  void Signal(int signal) const;

  // Reads both outputs to their end and waits. Kills the child when the limit is over, and then
  // exit_code is 128 + SIGKILL.
  ProcessOutput Wait(absl::Duration limit = absl::Seconds(120));

 private:
  bool ReadSome(absl::Time deadline);

  pid_t pid_ = -1;
  int out_ = -1;
  int err_ = -1;
  std::string out_text_;
  std::string err_text_;
};

ProcessOutput RunProgram(const std::string& program, const std::vector<std::string>& arguments,
                         const Process::Environment& environment = {});

}  // namespace attn

#endif  // ATTN_TESTS_E2E_PROCESS_H_
