// `attn mask`: draws a mask, without a server.
#include <algorithm>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/command.h"
#include "client/cli/format.h"
#include "client/cli/mask_flags.h"
#include "client/cli/report.h"
#include "client/cli/tensor_literals.h"
#include "client/golden/safetensors.h"
#include "client/load/text_file.h"
#include "client/mask/mask_formats.h"
#include "client/mask/mask_picture.h"
#include "kernels/core/attention_call.h"
#include "kernels/core/limits.h"
#include "kernels/core/mask.h"
#include "kernels/core/mask_expression.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/status_macros.h"
#include "server/transport/mask_conversion.h"
#include "server/transport/mask_json.h"
#include "server/transport/proto_conversion.h"

namespace attn::cli {
namespace {

// A character of a terminal is about twice as high as it is wide.
constexpr int64_t kCharacterHeight = 2;

struct MaskCommandFlags {
  std::string file;
  std::vector<std::string> literals;
  int64_t queries = 0;
  int64_t keys = 0;
  int64_t batch = 1;
  int64_t heads = 1;
  MaskFlags mask;
  MaskPictureOptions picture;
  int64_t width = 64;
  std::string svg;
  std::string png;
};

// What is drawn, and what its views borrow.
struct DrawnCall {
  SafetensorsFile file;
  TensorLiterals literals;
  AttentionCall call;
};

absl::Status AddTensors(const MaskCommandFlags& flags, DrawnCall* drawn) {
  ATTN_ASSIGN_OR_RETURN(drawn->literals, ParseTensorLiterals("--values", flags.literals));
  drawn->call.extra = drawn->literals.tensors;
  if (flags.file.empty()) return absl::OkStatus();
  ATTN_ASSIGN_OR_RETURN(drawn->file, SafetensorsFile::Read(flags.file));
  for (const auto& [name, tensor] : drawn->file.tensors()) {
    const TensorView view = {tensor.data.data(), tensor.dtype,
                             TensorLayout::Contiguous(tensor.shape)};
    if (!drawn->call.extra.emplace(name, view).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("--values: ", Quoted(name), " stands in ", flags.file, " as well"));
    }
  }
  return absl::OkStatus();
}

// Functions come with a server's plug-ins.
absl::Status RefuseFunctions(const std::string& path, const MaskNode& node) {
  if (const auto* function = std::get_if<mask_op::Function>(&node.op)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": the mask function ",
                                                   Quoted(function->name),
                                                   " lives in a server and cannot be drawn here"));
  }
  const std::vector<MaskNode>& args = ArgsOf(node);
  for (size_t i = 0; i < args.size(); ++i) {
    ATTN_RETURN_IF_ERROR(RefuseFunctions(PathOfArg(path, node, i), args[i]));
  }
  return absl::OkStatus();
}

absl::StatusOr<DrawnCall> MakeCall(const MaskCommandFlags& flags) {
  DrawnCall drawn;
  ATTN_RETURN_IF_ERROR(AddTensors(flags, &drawn));
  attention::v1::AttendRequest request;
  ATTN_RETURN_IF_ERROR(Apply(flags.mask, &request));
  AttentionProblem& problem = drawn.call.problem;
  problem.batch = flags.batch;
  problem.heads = problem.kv_heads = flags.heads;
  problem.query_len = flags.queries;
  problem.key_len = flags.keys != 0 ? flags.keys : flags.queries;
  ATTN_ASSIGN_OR_RETURN(MaskSpec spec, FromProto(request.mask()));
  ATTN_ASSIGN_OR_RETURN(problem.mask, IntervalMask::Create(std::move(spec), problem.batch,
                                                           problem.query_len, problem.key_len));
  const attention::v1::Mask& mask = request.mask();
  if (mask.has_expression()) {
    ATTN_ASSIGN_OR_RETURN(MaskExpressionSpec expression, FromProto(mask.expression()));
    ATTN_RETURN_IF_ERROR(RefuseFunctions(PathOfRoot(expression.root), expression.root));
    expression.q_offset = mask.q_offset();
    expression.kv_offset = mask.kv_offset();
    ATTN_ASSIGN_OR_RETURN(problem.expression,
                          MaskExpression::Create(std::move(expression), problem.sizes(),
                                                 drawn.call.extra, /*functions=*/{}));
  } else if (mask.q_offset() != 0 || mask.kv_offset() != 0) {
    return absl::InvalidArgumentError("--q_offset and --kv_offset: given without --mask_expr");
  }
  return drawn;
}

std::string Title(const MaskCommandFlags& flags, const AttentionProblem& problem) {
  std::string title = absl::StrCat(problem.query_len, " queries x ", problem.key_len, " keys");
  if (problem.batch > 1) absl::StrAppend(&title, ", sample ", flags.picture.sample);
  if (problem.heads > 1) absl::StrAppend(&title, ", head ", flags.picture.head);
  return title;
}

void Print(const MaskCommandFlags& flags, const MaskPicture& picture) {
  std::cout << MaskText(picture) << "visible " << FormatFixed(100 * (1 - picture.sparsity()), 2)
            << " %, sparsity " << FormatFixed(100 * picture.sparsity(), 2) << " %\nblocks of "
            << flags.picture.block_q << "x" << flags.picture.block_k << ": " << picture.full_blocks
            << " full, " << picture.partial_blocks << " partial, "
            << picture.blocks - picture.full_blocks - picture.partial_blocks
            << " skipped; block sparsity " << FormatFixed(100 * picture.block_sparsity(), 2) << " %"
            << std::endl;
}

Json ToJson(const MaskPicture& picture) {
  return {{"queries", picture.query_len},
          {"keys", picture.key_len},
          {"visible_elements", picture.visible_elements},
          {"sparsity", picture.sparsity()},
          {"blocks", picture.blocks},
          {"full_blocks", picture.full_blocks},
          {"partial_blocks", picture.partial_blocks},
          {"block_sparsity", picture.block_sparsity()}};
}

// Files have their own resolution: that of --pixels.
absl::Status WriteFiles(const MaskCommandFlags& flags, const DrawnCall& drawn) {
  if (flags.svg.empty() && flags.png.empty()) return absl::OkStatus();
  ATTN_ASSIGN_OR_RETURN(const MaskPicture picture, DrawMask(drawn.call, flags.picture));
  if (!flags.svg.empty()) {
    ATTN_RETURN_IF_ERROR(
        load::WriteTextFile(flags.svg, MaskSvg(picture, Title(flags, drawn.call.problem))));
  }
  if (flags.png.empty()) return absl::OkStatus();
  const int64_t side = std::max(picture.rows, picture.columns);
  const auto pixels = static_cast<int>(std::max<int64_t>(1, flags.picture.max_rows / side));
  ATTN_ASSIGN_OR_RETURN(const std::string png, MaskPng(picture, pixels));
  return load::WriteTextFile(flags.png, png);
}

int RunMask(const Context& context, const MaskCommandFlags& flags) {
  const absl::StatusOr<DrawnCall> drawn = MakeCall(flags);
  if (!drawn.ok()) return FailUsage(context, drawn.status());
  const AttentionProblem& problem = drawn->call.problem;
  MaskPictureOptions shown = flags.picture;
  shown.max_columns = std::min(flags.width, problem.key_len);
  shown.max_rows = std::max<int64_t>(1, shown.max_columns * problem.query_len / problem.key_len /
                                            (problem.key_len > flags.width ? kCharacterHeight : 1));
  const absl::StatusOr<MaskPicture> picture = DrawMask(drawn->call, shown);
  if (!picture.ok()) return FailUsage(context, picture.status());
  if (const absl::Status written = WriteFiles(flags, *drawn); !written.ok()) {
    return FailUsage(context, written);
  }
  if (context.json) {
    PrintJson(ToJson(*picture));
  } else {
    std::cout << Title(flags, problem) << "\n";
    Print(flags, *picture);
  }
  return kExitOk;
}

}  // namespace

void AddMaskCommand(CLI::App& app, Context& context) {
  auto flags = std::make_shared<MaskCommandFlags>();
  CLI::App& command = *app.add_subcommand("mask", "Draws a mask and says how sparse it is");
  command.footer(
      "No server is asked. Tensors that an expression names come from FILE or from --values.\n"
      "Mask functions live in a server's plug-ins: a mask with one cannot be drawn.\n\n"
      "Examples:\n"
      "  attn mask --queries 4096 --causal --window 512,0\n"
      "  attn mask --queries 64 --mask_expr '{\"op\": \"and\", \"args\": [{\"op\": \"causal\"},\n"
      "      {\"op\": \"chunked\", \"chunk\": 16}]}' --block_q 16 --block_k 16 --svg chunks.svg\n"
      "  attn mask --queries 6 --mask_expr '{\"op\": \"packed\", \"ids\": \"ids\"}' \\\n"
      "      --values ids=[[0,0,0,1,1,2]]\n\n"
      "Exit codes: 0 drawn; 2 wrong arguments or an unreadable file.");
  command.add_option("FILE", flags->file, "Tensors in the safetensors format");
  command.add_option("--values", flags->literals, "A small tensor: ids=[0,0,1,1]; repeatable")
      ->type_name("NAME=LIST")
      ->take_all();
  const auto size = [&](const char* name, int64_t* to, const char* text,
                        int64_t largest = kMaxDimension) {
    return command.add_option(name, *to, text)->check(CLI::Range(int64_t{1}, largest));
  };
  size("--queries", &flags->queries, "Number of queries")->required();
  size("--keys", &flags->keys, "Number of keys; default: as many as queries");
  size("--batch", &flags->batch, "Samples; default: 1");
  size("--heads", &flags->heads, "Query heads; default: 1");
  command.add_option("--sample", flags->picture.sample, "Sample that is drawn; default: 0");
  command.add_option("--head", flags->picture.head, "Head that is drawn; default: 0");
  size("--block_q", &flags->picture.block_q, "Queries of a block; default: 128", kMaxBlock);
  size("--block_k", &flags->picture.block_k, "Keys of a block; default: 128", kMaxBlock);
  command.add_option("--width", flags->width, "Columns of the drawing; default: 64")
      ->check(CLI::Range(8, 512));
  command.add_option("--svg", flags->svg, "Writes the drawing as SVG")->type_name("PATH");
  command.add_option("--png", flags->png, "Writes the drawing as PNG")->type_name("PATH");
  command
      .add_option("--pixels", flags->picture.max_rows,
                  "Longest side of --svg and --png, in cells; default: 512")
      ->check(CLI::Range(16, 4096));
  AddMaskFlags(command, flags->mask);
  command.callback([&context, flags] {
    flags->picture.max_columns = flags->picture.max_rows;
    context.exit_code = RunMask(context, *flags);
  });
}

}  // namespace attn::cli
