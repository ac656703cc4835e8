#include "server/executor/catch_exceptions.h"

#include <exception>
#include <new>

#include "absl/strings/str_cat.h"
#include "server/executor/refusal.h"

namespace attn {

absl::Status CatchExceptions(const Backend& backend, absl::FunctionRef<absl::Status()> run) {
  try {
    return run();
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(
        absl::StrCat(backend.info().name, ": out of memory while running the call"));
  } catch (const std::exception& error) {
    return WithLogDetail(
        absl::InternalError(
            absl::StrCat(backend.info().name, " threw an exception; the server's log says which")),
        error.what());
  } catch (...) {
    return absl::InternalError(absl::StrCat(backend.info().name, " threw what is no exception"));
  }
}

}  // namespace attn
