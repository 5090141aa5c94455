# STUB of include(${Slicer_EXTENSION_CPACK}): checks the files that the real one wants and installs the description that
# the Extensions Manager reads. No archive is made.
foreach(file IN ITEMS EXTENSION_README_FILE EXTENSION_LICENSE_FILE)
  if(NOT EXISTS "${${file}}")
    message(FATAL_ERROR "error: ${file} points to an inexistent file: ${${file}}")
  endif()
endforeach()

set(description_file "${CMAKE_BINARY_DIR}/${EXTENSION_NAME}.s4ext")
if(SLICER_SOURCE)
  include(SlicerFunctionGenerateExtensionDescription)
  slicerFunctionGenerateExtensionDescription(
    EXTENSION_NAME ${EXTENSION_NAME}
    EXTENSION_CATEGORY ${EXTENSION_CATEGORY}
    EXTENSION_ICONURL ${EXTENSION_ICONURL}
    EXTENSION_HOMEPAGE ${EXTENSION_HOMEPAGE}
    EXTENSION_CONTRIBUTORS ${EXTENSION_CONTRIBUTORS}
    EXTENSION_DESCRIPTION ${EXTENSION_DESCRIPTION}
    EXTENSION_SCREENSHOTURLS ${EXTENSION_SCREENSHOTURLS}
    EXTENSION_DEPENDS ${EXTENSION_DEPENDS}
    EXTENSION_BUILD_SUBDIRECTORY ${EXTENSION_BUILD_SUBDIRECTORY}
    EXTENSION_WC_TYPE local
    EXTENSION_WC_REVISION NA
    EXTENSION_WC_ROOT NA
    EXTENSION_WC_URL NA
    DESTINATION_DIR ${CMAKE_BINARY_DIR}
    SLICER_REVISION NA
    SLICER_WC_ROOT NA
    )
else()
  # Unquoted, as the real macro passes them on: a semicolon in a text would cut it.
  set(lines)
  foreach(field IN ITEMS BUILD_SUBDIRECTORY CATEGORY CONTRIBUTORS DEPENDS DESCRIPTION HOMEPAGE ICONURL SCREENSHOTURLS)
    cmake_parse_arguments(GIVEN "" "${field}" "" ${field} ${EXTENSION_${field}})
    string(TOLOWER "${field}" key)
    string(STRIP "${key} ${GIVEN_${field}}" line)
    string(APPEND lines "${line}\n")
  endforeach()
  file(WRITE "${description_file}" "${lines}")
endif()
install(FILES "${description_file}" DESTINATION "${Slicer_INSTALL_ROOT}${Slicer_SHARE_DIR}" COMPONENT RuntimeLibraries)
