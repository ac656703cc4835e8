#include "server/app/plugins.h"

#include <algorithm>
#include <iostream>
#include <iterator>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "kernels/core/nearest_name.h"
#include "kernels/plugins/plugin_library.h"
#include "server/policy/backend_names.h"

namespace attn {
namespace {

template <typename Entry>
std::string NamesOf(const std::vector<std::unique_ptr<Entry>>& entries) {
  if (entries.empty()) return "none";
  return absl::StrJoin(entries, ", ", [](std::string* out, const std::unique_ptr<Entry>& entry) {
    absl::StrAppend(out, entry->info().name);
  });
}

// Why none of `next` may join `known`; empty if all may.
template <typename Entry>
std::string Taken(absl::string_view what, const std::vector<std::unique_ptr<Entry>>& known,
                  const std::vector<std::unique_ptr<Entry>>& next) {
  for (const std::unique_ptr<Entry>& entry : next) {
    const std::string& name = entry->info().name;
    const auto holder = std::find_if(known.begin(), known.end(), [&name](const auto& other) {
      return other->info().name == name;
    });
    if (holder == known.end()) continue;
    return absl::StrCat(what, " ", Quoted(name), " has the name of one of ",
                        (*holder)->info().origin);
  }
  return "";
}

// Why the library cannot join those before it; empty if it can.
std::string Clash(const Plugins& plugins, const PluginLibrary& library) {
  for (const std::unique_ptr<Backend>& backend : library.backends) {
    const std::string& name = backend->info().name;
    const absl::StatusOr<ResolvedName> known = ResolveBackendName(name);
    if (known.ok()) {
      return absl::StrCat("backend ", Quoted(name), " has a name that stands for '",
                          known->canonical, "' here");
    }
    if (absl::IsUnimplemented(known.status())) {
      return absl::StrCat("backend ", Quoted(name), ": ", known.status().message());
    }
  }
  std::string taken = Taken("backend", plugins.backends, library.backends);
  if (!taken.empty()) return taken;
  return Taken("mask function", plugins.mask_functions, library.mask_functions);
}

void Add(PluginLibrary library, Plugins* plugins) {
  plugins->libraries.push_back({library.origin, library.name, library.version,
                                NamesOf(library.backends), NamesOf(library.mask_functions)});
  std::move(library.backends.begin(), library.backends.end(),
            std::back_inserter(plugins->backends));
  std::move(library.mask_functions.begin(), library.mask_functions.end(),
            std::back_inserter(plugins->mask_functions));
}

}  // namespace

Plugins ReadPlugins(const ServerConfig& config, std::vector<std::string>* mistakes) {
  Plugins plugins;
  const std::string& folder = config.options.plugin_dir;
  if (folder.empty()) return plugins;
  absl::StatusOr<std::vector<PluginLibrary>> loaded = LoadPlugins(folder, &plugins.refusals);
  if (!loaded.ok()) {
    mistakes->push_back(config.WithOrigin(
        absl::StrCat("plugin_dir: ", loaded.status().message(),
                     "; name a folder that this process may read, or \"\" for none")));
    return plugins;
  }
  for (PluginLibrary& library : *loaded) {
    const std::string clash = Clash(plugins, library);
    if (clash.empty()) {
      Add(std::move(library), &plugins);
    } else {
      plugins.refusals.push_back(absl::StrCat(library.origin, ": ", clash));
    }
  }
  return plugins;
}

void LogPlugins(const Plugins& plugins, ServerLog* log) {
  for (const Plugins::Library& library : plugins.libraries) {
    log->Write(LogLevel::kInfo, "plug-in loaded",
               {{"file", library.file},
                {"name", library.name},
                {"version", library.version},
                {"backends", library.backends},
                {"mask_functions", library.mask_functions}});
  }
  for (const std::string& refusal : plugins.refusals) {
    log->Write(LogLevel::kWarning, "plug-in refused", {{"reason", refusal}});
  }
}

void SayPlugins(const Plugins& plugins) {
  for (const Plugins::Library& library : plugins.libraries) {
    std::cerr << "plug-in: " << library.file << ": " << library.name << " " << library.version
              << "; backends: " << library.backends
              << "; mask functions: " << library.mask_functions << "\n";
  }
  for (const std::string& refusal : plugins.refusals) {
    std::cerr << "warning: plug-in refused: " << refusal << "\n";
  }
}

}  // namespace attn
