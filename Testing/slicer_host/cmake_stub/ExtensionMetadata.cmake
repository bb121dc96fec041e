# Slicer writes an extension's description from these variables; the stub writes them down as they are.

set(description "")
foreach(name
    HOMEPAGE CONTRIBUTORS DESCRIPTION ICONURL SCREENSHOTURLS KEYWORDS DEPENDS
    )
  if("${EXTENSION_${name}}" STREQUAL "")
    message(FATAL_ERROR "EXTENSION_${name} is not set")
  endif()
  string(APPEND description "${name} ${EXTENSION_${name}}\n")
endforeach()
file(WRITE "${CMAKE_BINARY_DIR}/${PROJECT_NAME}.txt" "${description}")
