# The macros of an extension's scripted modules. Written from their documented behaviour:
# - a script or resource that does not exist stops the configuration;
# - files are copied, by their path relative to the calling CMakeLists.txt, into one folder for all modules;
# - that folder is what is installed;
# - an argument that the macro does not know stops the configuration.

option(BUILD_TESTING "Test the extension" ON)

function(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(MODULE "WITH_GENERIC_TESTS;WITH_SUBDIR;VERBOSE" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  if(MODULE_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "slicerMacroBuildScriptedModule does not know ${MODULE_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT MODULE_NAME)
    message(FATAL_ERROR "slicerMacroBuildScriptedModule needs a NAME")
  endif()
  if(NOT MODULE_SCRIPTS)
    message(FATAL_ERROR "slicerMacroBuildScriptedModule(${MODULE_NAME}) has no SCRIPTS")
  endif()

  set(folder "${CMAKE_BINARY_DIR}/${Slicer_QTSCRIPTEDMODULES_LIB_DIR}")
  set(copies)
  foreach(file IN LISTS MODULE_SCRIPTS MODULE_RESOURCES)
    set(source "${CMAKE_CURRENT_SOURCE_DIR}/${file}")
    if(NOT EXISTS "${source}" AND EXISTS "${source}.py")
      string(APPEND source ".py")
      string(APPEND file ".py")
    endif()
    if(NOT EXISTS "${source}")
      message(FATAL_ERROR "slicerMacroBuildScriptedModule(${MODULE_NAME}) given nonexistent file '${file}'")
    endif()
    if(IS_DIRECTORY "${source}")
      message(FATAL_ERROR "slicerMacroBuildScriptedModule(${MODULE_NAME}) copies files, and '${file}' is a directory")
    endif()
    add_custom_command(
      OUTPUT "${folder}/${file}"
      COMMAND ${CMAKE_COMMAND} -E copy "${source}" "${folder}/${file}"
      DEPENDS "${source}"
      )
    list(APPEND copies "${folder}/${file}")
  endforeach()
  add_custom_target(Copy${MODULE_NAME}Files ALL DEPENDS ${copies})
  install(DIRECTORY "${folder}/" DESTINATION "${Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR}")
endfunction()

# Tests need the application; what is asked for is written down, so that a test can see it.
function(slicer_add_python_unittest)
  cmake_parse_arguments(UNITTEST "" "SCRIPT;TESTNAME_PREFIX" "SLICER_ARGS" ${ARGN})
  if(NOT EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${UNITTEST_SCRIPT}")
    message(FATAL_ERROR "slicer_add_python_unittest given nonexistent file '${UNITTEST_SCRIPT}'")
  endif()
  file(APPEND "${CMAKE_BINARY_DIR}/unittests.txt" "${UNITTEST_SCRIPT}\n")
endfunction()
