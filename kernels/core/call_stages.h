// What happens to a call's tensors before attention and to its output after it; the same for every
// backend (kernels/stages does it). Meanings are attention.proto's.
#ifndef ATTN_KERNELS_CORE_CALL_STAGES_H_
#define ATTN_KERNELS_CORE_CALL_STAGES_H_

#include <cstdint>
#include <string>

namespace attn {

enum class RotaryForm : uint8_t { kNone, kInterleaved, kNeox, kFull };

struct Rotary {
  RotaryForm form = RotaryForm::kNone;
  std::string cos;  // [L, columns] or [B or 1, L, columns]
  std::string sin;
  int64_t q_offset = 0;
  int64_t k_offset = 0;
};

// Tokens that stand behind the others, with outputs of their own.
struct ReplicatedTokens {
  std::string q;  // [B, H, Rq, D] as backends see it
  std::string k;  // [B, G, Rk, D]
  std::string v;  // [B, G, Rk, Dv]
  int64_t query_len = 0;
  int64_t key_len = 0;

  bool any() const { return query_len > 0; }
};

enum class SkipMode : uint8_t { kNone, kValue, kGatedValue };

struct SkipScores {
  SkipMode mode = SkipMode::kNone;
  std::string sample_weights;  // [B]; empty = all 0: every sample is skipped
};

enum class GateForm : uint8_t { kNone, kLinear, kSigmoid, kTwiceSigmoid };

struct OutputGate {
  GateForm form = GateForm::kNone;
  // [B, Sq, H]; packed [Sq, H]; with replicated tokens [B, Sq + theirs, H], theirs last.
  std::string tensor;
};

struct CallStages {
  Rotary rotary;
  ReplicatedTokens replicated;
  bool trimmed = false;  // q, k and v have padding behind their first `original_seq_len` tokens.
  int64_t original_seq_len = 0;
  SkipScores skip_scores;
  OutputGate gate;

  // False: the call goes to its backend as it is.
  bool any() const {
    return rotary.form != RotaryForm::kNone || replicated.any() || trimmed ||
           skip_scores.mode != SkipMode::kNone || gate.form != GateForm::kNone;
  }
};

}  // namespace attn

#endif  // ATTN_KERNELS_CORE_CALL_STAGES_H_
