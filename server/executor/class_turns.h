// Whose turn it is, of the two classes.
#ifndef ATTN_SERVER_EXECUTOR_CLASS_TURNS_H_
#define ATTN_SERVER_EXECUTOR_CLASS_TURNS_H_

#include <algorithm>
#include <cstdint>

#include "server/executor/priority.h"

namespace attn {

// Most turns that a caller or the batch class owes at a time: nobody is shut out for longer.
inline constexpr int64_t kMaxOwedTurns = 64;

// Interactive calls first, but every eighth turn is a batch call's if one wants it: an eighth costs
// interactive calls at most 1/7 more time, and a batch call that takes a minute alone is done in
// eight, whatever the load.
class ClassTurns {
 public:
  // Gives the turn to a class that can take it; at least one can. A batch call that `batch_waits`
  // for something else than its turn is passed over and has the first turn that it can take.
  Priority Take(bool interactive_can, bool batch_can, bool batch_waits) {
    if (batch_can && (!interactive_can || batch_due())) {
      passed_over_ = std::min<int64_t>(passed_over_, 0);
      return Priority::kBatch;
    }
    if ((batch_can || batch_waits) && !batch_due()) ++passed_over_;
    return Priority::kInteractive;
  }

  // A tile of the class took as long as so many turns more. Of interactive ones those count that a
  // batch call would have liked.
  void Charge(Priority priority, int64_t turns, bool batch_wants) {
    if (priority == Priority::kBatch) {
      passed_over_ =
          std::max(passed_over_ - turns * kInteractiveTurns, -kMaxOwedTurns * kInteractiveTurns);
    } else if (batch_wants) {
      passed_over_ = std::min(passed_over_ + turns, kInteractiveTurns);
    }
  }

  bool batch_due() const { return passed_over_ == kInteractiveTurns; }

 private:
  static constexpr int64_t kInteractiveTurns = 7;

  // Turns that batch calls could have used; below 0 while they owe some.
  int64_t passed_over_ = 0;
};

}  // namespace attn

#endif  // ATTN_SERVER_EXECUTOR_CLASS_TURNS_H_
