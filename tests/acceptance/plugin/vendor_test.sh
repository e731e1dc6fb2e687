#!/bin/sh
# A vendor's way: the SDK installed into an empty place, the template built against it and nothing else, the kit's verdict.
#   vendor_test.sh BUILD_DIR SOURCE_DIR
set -eu
build=$1 source=$2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cmake --install "$build" --prefix "$scratch/sdk" --component sdk >"$scratch/install.log" || { cat "$scratch/install.log"; exit 1; }
cp -r "$source/examples/plugin-template" "$scratch/template"
cmake -S "$scratch/template" -B "$scratch/out" -G Ninja -DCMAKE_PREFIX_PATH="$scratch/sdk" -DCMAKE_CXX_COMPILER_LAUNCHER=ccache \
    -DCMAKE_CXX_FLAGS="-Wall -Wextra -Wpedantic -Wconversion -Werror -Wno-missing-field-initializers"
cmake --build "$scratch/out"
if nm -D --defined-only "$scratch/out/template.so" | grep -v ' eve_plugin_entry_v1$'; then
    echo "the plugin exports more than its entry"; exit 1
fi
"$scratch/sdk/bin/eve-plugin-check" "$scratch/out/template.so"
