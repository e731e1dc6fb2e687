# Functions every folder's CMakeLists.txt uses: one library per folder, one test executable per folder of tests.

# Warnings and sanitizers of everything we compile ourselves (generated code is excluded by not linking this).
add_library(eve_build_flags INTERFACE)
target_compile_options(eve_build_flags INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror -Wno-missing-field-initializers>
  $<$<COMPILE_LANGUAGE:C>:-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror>)
if(EVE_FUZZ)
  target_compile_options(eve_build_flags INTERFACE -w)  # another compiler's warnings are not this build's business
endif()
if(EVE_SANITIZE)
  # Instrumented code makes g++ 12 see uninitialised members in std::function and std::regex that are not.
  target_compile_options(eve_build_flags INTERFACE -Wno-maybe-uninitialized)
  add_compile_options(-fsanitize=${EVE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${EVE_SANITIZE})
endif()
find_program(EVE_MOLD mold)
if(EVE_MOLD)
  add_link_options(-fuse-ld=mold)
endif()
add_link_options(-Wl,--as-needed)

# eve_library(NAME [SOURCES file...] [PUBLIC target...] [PRIVATE target...])
# A static library of this folder's *.cpp (or of SOURCES). Includes are written from the repository's root: "core/loop/loop.hpp".
function(eve_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  if(NOT arg_SOURCES)
    file(GLOB arg_SOURCES CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  endif()
  if(arg_SOURCES)
    add_library(${name} STATIC ${arg_SOURCES})
    target_include_directories(${name} PUBLIC ${CMAKE_SOURCE_DIR})
    target_link_libraries(${name} PUBLIC eve_sdk ${arg_PUBLIC} PRIVATE eve_build_flags ${arg_PRIVATE})
  else()
    add_library(${name} INTERFACE)
    target_include_directories(${name} INTERFACE ${CMAKE_SOURCE_DIR})
    target_link_libraries(${name} INTERFACE eve_sdk ${arg_PUBLIC})
  endif()
endfunction()

# eve_test(NAME [SOURCES file...] [LINK target...] [LABELS label...] [TIMEOUT seconds] [WHOLE] [SERIAL])
# A GoogleTest executable, one ctest entry per test. WHOLE makes the executable one entry (for tests that share costly set-up).
# Several labels are for WHOLE tests only: the discovery of single ones loses them.
# SERIAL tests run alone: guests in emulation need a whole CPU to keep their time.
# TEST_DATA_DIR is defined as this folder's data/.
function(eve_test name)
  cmake_parse_arguments(arg "WHOLE;SERIAL" "TIMEOUT" "SOURCES;LINK;LABELS" ${ARGN})
  if(NOT arg_SOURCES)
    set(arg_SOURCES ${name}.cpp)
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 240)  # a hang, not a slow machine
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR})
  target_compile_definitions(${name} PRIVATE TEST_DATA_DIR="${CMAKE_CURRENT_SOURCE_DIR}/data" SOURCE_ROOT="${CMAKE_SOURCE_DIR}" BUILD_ROOT="${CMAKE_BINARY_DIR}")
  target_link_libraries(${name} PRIVATE eve_build_flags ${arg_LINK} GTest::gmock_main)
  if(NOT arg_LABELS)
    set(arg_LABELS unit)
  endif()
  if(EVE_SANITIZE AND NOT CMAKE_CURRENT_SOURCE_DIR MATCHES "/tests/sim(/|$)")
    # GoogleTest's macros under sanitizers compile twice as fast so, and what is tested keeps its own options. Simulations need the speed.
    target_compile_options(${name} PRIVATE -O0)
  endif()
  set(serial OFF)
  if(arg_SERIAL)
    set(serial ON)
  endif()
  if(arg_WHOLE)
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES TIMEOUT ${arg_TIMEOUT} LABELS "${arg_LABELS}" RUN_SERIAL ${serial})
  else()
    list(LENGTH arg_LABELS labels)
    if(labels GREATER 1)
      message(FATAL_ERROR "${name}: one label, or WHOLE")
    endif()
    gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT ${arg_TIMEOUT} LABELS "${arg_LABELS}" RUN_SERIAL ${serial})
  endif()
endfunction()
