# What the build takes from the system. Debian 12 package names stand in the Makefile's `deps`.
find_package(Threads REQUIRED)
find_package(absl REQUIRED)
find_package(Protobuf REQUIRED)  # Debian's 3.21 has no config file of its own: CMake's module.
find_package(gRPC CONFIG REQUIRED)
find_package(prometheus-cpp CONFIG REQUIRED)
find_package(yaml-cpp CONFIG REQUIRED)
find_package(nlohmann_json CONFIG REQUIRED)
find_package(CLI11 CONFIG REQUIRED)
find_package(PNG REQUIRED)
find_package(GTest CONFIG REQUIRED)

set(ATTN_CUDA_TOOLKIT "none")
if(ATTN_ENABLE_CUDA)
  find_package(CUDAToolkit QUIET)
  if(CUDAToolkit_FOUND)
    set(ATTN_CUDA_TOOLKIT "${CUDAToolkit_VERSION}")
    message(STATUS "CUDA toolkit ${CUDAToolkit_VERSION}, architectures ${CMAKE_CUDA_ARCHITECTURES}")
  else()
    message(STATUS "No CUDA toolkit found: building for the CPU alone")
  endif()
endif()

find_program(ATTN_CCACHE ccache)
if(ATTN_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Precompiled headers defeat ccache's default checks.
  set(CMAKE_CXX_COMPILER_LAUNCHER env CCACHE_SLOPPINESS=pch_defines,time_macros ${ATTN_CCACHE})
endif()
