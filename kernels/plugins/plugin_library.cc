#include "kernels/plugins/plugin_library.h"

#include <dlfcn.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "kernels/core/nearest_name.h"
#include "kernels/core/status_macros.h"
#include "kernels/plugins/attn_plugin.h"
#include "kernels/plugins/plugin_backend.h"
#include "kernels/plugins/plugin_edge.h"
#include "kernels/plugins/plugin_mask_function.h"
#include "kernels/plugins/plugin_table.h"

namespace attn {
namespace {

namespace fs = std::filesystem;

constexpr char kEntry[] = "attn_plugin_describe";

absl::StatusOr<PluginHandle> Open(const fs::path& path) {
  std::error_code failed;
  // A pipe would be waited for.
  if (!fs::is_regular_file(path, failed)) {
    return absl::FailedPreconditionError("cannot be read or is no file");
  }
  // With its folder: a bare name would be looked for elsewhere.
  void* const handle = dlopen(fs::absolute(path).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* const reason = dlerror();
    return absl::FailedPreconditionError(
        absl::StrCat("cannot be loaded: ", reason == nullptr ? "no reason given" : reason));
  }
  return PluginHandle(handle, [](void* library) { dlclose(library); });
}

absl::StatusOr<attn_plugin> Describe(const std::string& origin, const PluginHandle& library) {
  using Entry = const attn_plugin* (*)();
  const auto entry = reinterpret_cast<Entry>(dlsym(library.get(), kEntry));
  if (entry == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("exports no function ", kEntry, ", so that it is no plug-in of attnd"));
  }
  const attn_plugin* plugin = nullptr;
  ATTN_RETURN_IF_ERROR(CallPlugin({"description", origin}, kEntry, [&](char*, size_t) {
    plugin = entry();
    return ATTN_OK;
  }));
  if (plugin == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(kEntry, " returned null"));
  }
  // Before anything whose place another version may have changed.
  if (plugin->abi_version != ATTN_PLUGIN_ABI_VERSION) {
    return absl::FailedPreconditionError(
        absl::StrCat("is built for version ", plugin->abi_version,
                     " of the plug-in ABI, this server has version ", ATTN_PLUGIN_ABI_VERSION,
                     "; build it with this server's attn_plugin.h"));
  }
  ATTN_ASSIGN_OR_RETURN(const attn_plugin copy, CopyTable("attn_plugin", plugin));
  if (copy.reserved == 0) return copy;
  return absl::InvalidArgumentError(absl::StrCat("reserved is ", copy.reserved, ", allowed: 0"));
}

// The error of entry `index` of a list.
absl::Status At(absl::string_view list, size_t index, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(list, "[", index, "].", status.message()));
}

// Appends what `create` makes of each table.
template <typename Table, typename Entry, typename Create>
absl::Status ReadTables(absl::string_view list, const Table* const* tables, size_t count,
                        Create create, std::vector<std::unique_ptr<Entry>>* entries) {
  ATTN_RETURN_IF_ERROR(CheckPluginArray(list, tables, count));
  for (size_t i = 0; i < count; ++i) {
    absl::StatusOr<std::unique_ptr<Entry>> entry = create(tables[i]);
    if (!entry.ok()) return At(list, i, entry.status());
    const std::string& name = (*entry)->info().name;
    const bool twice = std::any_of(entries->begin(), entries->end(), [&name](const auto& other) {
      return other->info().name == name;
    });
    if (twice) {
      return At(list, i,
                absl::InvalidArgumentError(
                    absl::StrCat("name is ", Quoted(name), ", which another one has")));
    }
    entries->push_back(*std::move(entry));
  }
  return absl::OkStatus();
}

absl::StatusOr<PluginLibrary> Read(const fs::path& path) {
  PluginLibrary result;
  result.origin = path.filename().string();
  ATTN_ASSIGN_OR_RETURN(const PluginHandle library, Open(path));
  ATTN_ASSIGN_OR_RETURN(const attn_plugin plugin, Describe(result.origin, library));
  ATTN_RETURN_IF_ERROR(CheckPluginName("name", plugin.name));
  ATTN_RETURN_IF_ERROR(CheckPluginText("version", plugin.version, 1));
  result.name = plugin.name;
  result.version = plugin.version;
  ATTN_RETURN_IF_ERROR(ReadTables(
      "backends", plugin.backends, plugin.backend_count,
      [&](const attn_backend* table) { return CreatePluginBackend(table, result.origin, library); },
      &result.backends));
  ATTN_RETURN_IF_ERROR(ReadTables(
      "mask_functions", plugin.mask_functions, plugin.mask_function_count,
      [&](const attn_mask_function* table) {
        return CreatePluginMaskFunction(table, result.origin, library);
      },
      &result.mask_functions));
  if (result.backends.empty() && result.mask_functions.empty()) {
    return absl::InvalidArgumentError("has neither a backend nor a mask function");
  }
  return result;
}

}  // namespace

absl::StatusOr<PluginLibrary> LoadPlugin(const std::string& path) {
  absl::StatusOr<PluginLibrary> result;
  try {
    result = Read(path);
  } catch (const std::exception& exception) {  // Of constructors that loading runs.
    result = absl::FailedPreconditionError(
        absl::StrCat("threw while it was loaded: ", exception.what()));
  } catch (...) {
    result = absl::FailedPreconditionError("threw while it was loaded: what is no std::exception");
  }
  if (result.ok()) return result;
  return absl::Status(result.status().code(), absl::StrCat(fs::path(path).filename().string(), ": ",
                                                           result.status().message()));
}

absl::StatusOr<std::vector<PluginLibrary>> LoadPlugins(const std::string& directory,
                                                       std::vector<std::string>* refusals) {
  std::error_code failed;
  std::vector<fs::path> paths;
  for (fs::directory_iterator file(directory, failed), end; !failed && file != end;
       file.increment(failed)) {
    if (file->path().extension() == ".so") paths.push_back(file->path());
  }
  if (failed) {
    const std::string text = absl::StrCat(Quoted(directory), " cannot be read: ", failed.message());
    return failed == std::errc::permission_denied ? absl::PermissionDeniedError(text)
                                                  : absl::NotFoundError(text);
  }
  std::sort(paths.begin(), paths.end());
  std::vector<PluginLibrary> libraries;
  for (const fs::path& path : paths) {
    absl::StatusOr<PluginLibrary> library = LoadPlugin(path.string());
    if (library.ok()) {
      libraries.push_back(*std::move(library));
    } else {
      refusals->emplace_back(library.status().message());
    }
  }
  return libraries;
}

}  // namespace attn
