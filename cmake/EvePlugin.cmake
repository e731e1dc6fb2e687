# eve_add_plugin(NAME SOURCES file... [LINK target...] [VERSION_SCRIPT file])
#
# NAME.so, made so that the node takes it: it exports its entry and nothing else, has no undefined symbol, and shares no symbol with the
# node or with another plugin. The same file serves in the tree and out of it, after find_package(evenode).
# INSTALL_DIR names another place than the node's own directory of plugins; NO_INSTALL leaves it out of the installation.

set(EVE_PLUGIN_VERSION_SCRIPT ${CMAKE_CURRENT_LIST_DIR}/eve-plugin.map)

function(eve_add_plugin name)
  cmake_parse_arguments(arg "NO_INSTALL" "INSTALL_DIR" "SOURCES;LINK" ${ARGN})
  if(NOT arg_SOURCES)
    file(GLOB arg_SOURCES CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  endif()
  add_library(${name} MODULE ${arg_SOURCES})
  set_target_properties(${name} PROPERTIES PREFIX "" SUFFIX ".so"
    CXX_VISIBILITY_PRESET hidden C_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
    LINK_DEPENDS ${EVE_PLUGIN_VERSION_SCRIPT})
  if(TARGET evenode::eve_plugin_sdk)
    target_link_libraries(${name} PRIVATE evenode::eve_plugin_sdk ${arg_LINK})
  else()
    target_link_libraries(${name} PRIVATE eve_plugin_sdk ${arg_LINK})
  endif()
  target_link_options(${name} PRIVATE -Wl,--version-script=${EVE_PLUGIN_VERSION_SCRIPT} -Wl,--exclude-libs,ALL)
  if(NOT EVE_SANITIZE)  # a sanitizer's runtime is the executable's
    target_link_options(${name} PRIVATE -Wl,-z,defs)
  endif()
  if(NOT arg_NO_INSTALL)
    if(NOT arg_INSTALL_DIR)
      set(arg_INSTALL_DIR ${CMAKE_INSTALL_LIBDIR}/evenode/plugins)
    endif()
    install(TARGETS ${name} LIBRARY DESTINATION ${arg_INSTALL_DIR})
  endif()
endfunction()
