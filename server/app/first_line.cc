#include "server/app/first_line.h"

#include <fstream>

namespace attn {

std::string FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

}  // namespace attn
