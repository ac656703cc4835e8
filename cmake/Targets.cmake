# One target a folder. Warnings and sanitizers ride on `attn_build_flags`; nothing sets global
# flags.

set(ATTN_SANITIZE "" CACHE STRING "Sanitizers, as -fsanitize= takes them: address,undefined or thread")

# Several sources a compilation: on two cores the headers of gRPC, CLI11 and GoogleTest cost more
# than our code. Off where each source is looked at by itself (clang-tidy).
option(ATTN_UNITY_BUILD "Compile several sources at once" ON)
set(CMAKE_UNITY_BUILD ${ATTN_UNITY_BUILD})
set(CMAKE_UNITY_BUILD_BATCH_SIZE 6)

add_library(attn_build_flags INTERFACE)
target_compile_features(attn_build_flags INTERFACE cxx_std_20)
target_include_directories(attn_build_flags INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR}/generated)
target_compile_options(attn_build_flags INTERFACE
  -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Wno-missing-field-initializers)
if(ATTN_SANITIZE)
  target_compile_options(attn_build_flags INTERFACE
    -fsanitize=${ATTN_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=undefined)
  target_link_options(attn_build_flags INTERFACE -fsanitize=${ATTN_SANITIZE})
endif()
if(ATTN_SANITIZE STREQUAL "thread")
  include(ThreadSanitizer)
endif()

# attn_library(NAME SOURCES... [PUBLIC DEPS...] [PRIVATE DEPS...] [PCH]): static library attn_NAME,
# alias attn::NAME. PCH shares the precompiled gRPC headers.
function(attn_library name)
  cmake_parse_arguments(ARG "PCH" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  add_library(attn_${name} STATIC ${ARG_SOURCES})
  add_library(attn::${name} ALIAS attn_${name})
  target_link_libraries(attn_${name} PUBLIC attn_build_flags ${ARG_PUBLIC} PRIVATE ${ARG_PRIVATE})
  if(ARG_PCH)
    target_precompile_headers(attn_${name} REUSE_FROM attn_proto)
  endif()
endfunction()

# attn_program(NAME SOURCES... DEPS...): executable bin/NAME.
function(attn_program name)
  cmake_parse_arguments(ARG "PCH" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE attn_build_flags ${ARG_DEPS})
  if(ARG_PCH)
    target_precompile_headers(${name} REUSE_FROM attn_proto)
  endif()
endfunction()
