# STUB of Slicer's build tree, for tests of the extension's own CMake files. It models where files go, and nothing else.
#
# With SLICER_SOURCE and CTK_SOURCE set to checkouts of Slicer and CTK, the real macros are used instead of the stubs.
set(Slicer_MAIN_PROJECT_APPLICATION_NAME "Slicer")
set(Slicer_LIB_DIR "lib/Slicer-5.10")
set(Slicer_SHARE_DIR "share/Slicer-5.10")
set(Slicer_USE_PYTHONQT ON)
set(Slicer_QTSCRIPTEDMODULES_LIB_DIR "${Slicer_LIB_DIR}/qt-scripted-modules")
set(Slicer_CLIMODULES_LIB_DIR "${Slicer_LIB_DIR}/cli-modules")
set(Slicer_QTLOADABLEMODULES_LIB_DIR "${Slicer_LIB_DIR}/qt-loadable-modules")
set(Slicer_INSTALL_ROOT "./")
# Tests are registered, not run; CTest lists the commands of programs that exist.
set(Slicer_LAUNCHER_EXECUTABLE "${CMAKE_COMMAND}")

set(Slicer_USE_FILE "${CMAKE_CURRENT_LIST_DIR}/UseSlicer.cmake")
set(Slicer_EXTENSION_CPACK "${CMAKE_CURRENT_LIST_DIR}/ExtensionPackage.cmake")
if(SLICER_SOURCE)
  set(Slicer_CMAKE_DIR "${SLICER_SOURCE}/CMake")
  set(Slicer_EXTENSIONS_CMAKE_DIR "${SLICER_SOURCE}/Extensions/CMake")
  set(Slicer_PYTHON_MODULE_TEST_TEMPLATES_DIR "${SLICER_SOURCE}/Base/QTCore/Testing/Python")
  set(Slicer_EXTENSION_GENERATE_CONFIG "${Slicer_CMAKE_DIR}/SlicerExtensionGenerateConfig.cmake")
else()
  set(Slicer_EXTENSION_GENERATE_CONFIG "${CMAKE_CURRENT_LIST_DIR}/ExtensionConfig.cmake")
endif()
