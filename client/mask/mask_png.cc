#include <png.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "client/mask/mask_formats.h"

namespace attn {

absl::StatusOr<std::string> MaskPng(const MaskPicture& picture, int pixels) {
  const int64_t width = picture.columns * pixels;
  const int64_t height = picture.rows * pixels;
  std::vector<uint8_t> grey(static_cast<size_t>(width * height));
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      const float share = picture.share(y / pixels, x / pixels);
      grey[static_cast<size_t>(y * width + x)] =
          static_cast<uint8_t>(255 - std::lround(share * 255));
    }
  }
  png_image image = {};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(width);
  image.height = static_cast<png_uint_32>(height);
  image.format = PNG_FORMAT_GRAY;
  std::string file(PNG_IMAGE_PNG_SIZE_MAX(image), '\0');
  png_alloc_size_t bytes = file.size();
  if (png_image_write_to_memory(&image, file.data(), &bytes, /*convert_to_8_bit=*/0, grey.data(),
                                /*row_stride=*/0, /*colormap=*/nullptr) == 0) {
    return absl::InternalError(absl::StrCat("libpng: ", image.message));
  }
  file.resize(bytes);
  return file;
}

}  // namespace attn
