# STUB of slicerMacroBuildScriptedModule and slicer_add_python_unittest.
#
# Like the real ones: a listed file that is absent stops the configuration; files are copied into the build tree under
# their path relative to the module's folder, below the folder's own name with WITH_SUBDIR; installing copies that tree.
# Unlike the real ones: nothing is byte-compiled.

function(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(MODULE "WITH_GENERIC_TESTS;WITH_SUBDIR" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  if(MODULE_UNPARSED_ARGUMENTS OR NOT MODULE_NAME OR NOT MODULE_SCRIPTS)
    message(FATAL_ERROR "slicerMacroBuildScriptedModule: NAME and SCRIPTS are needed; not understood: ${MODULE_UNPARSED_ARGUMENTS}")
  endif()

  set(modules_folder "${CMAKE_BINARY_DIR}/${Slicer_QTSCRIPTEDMODULES_LIB_DIR}")
  if(MODULE_WITH_SUBDIR)
    get_filename_component(folder_name "${CMAKE_CURRENT_SOURCE_DIR}" NAME)
    set(built_folder "${modules_folder}/${folder_name}")
    set(installed_folder "${built_folder}")
  else()
    set(built_folder "${modules_folder}")
    # A trailing slash installs what is in the folder, not the folder.
    set(installed_folder "${built_folder}/")
  endif()

  set(built_files)
  foreach(file IN LISTS MODULE_SCRIPTS MODULE_RESOURCES)
    set(source "${CMAKE_CURRENT_SOURCE_DIR}/${file}")
    if(NOT EXISTS "${source}")
      message(FATAL_ERROR "slicerMacroBuildScriptedModule given nonexistent file or directory '${file}'")
    endif()
    add_custom_command(OUTPUT "${built_folder}/${file}" DEPENDS "${source}"
      COMMAND ${CMAKE_COMMAND} -E copy "${source}" "${built_folder}/${file}")
    list(APPEND built_files "${built_folder}/${file}")
  endforeach()
  add_custom_target(Copy${MODULE_NAME} ALL DEPENDS ${built_files})
  install(DIRECTORY "${installed_folder}" DESTINATION "${Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR}"
    COMPONENT RuntimeLibraries)

  if(BUILD_TESTING AND MODULE_WITH_GENERIC_TESTS)
    add_test(NAME py_nomainwindow_qSlicer${MODULE_NAME}ModuleGenericTest COMMAND ${Slicer_LAUNCHER_EXECUTABLE})
  endif()
endfunction()

function(slicer_add_python_unittest)
  cmake_parse_arguments(UNITTEST "" "SCRIPT;TESTNAME_PREFIX" "SLICER_ARGS" ${ARGN})
  get_filename_component(test_name "${UNITTEST_SCRIPT}" NAME_WE)
  get_filename_component(folder "${UNITTEST_SCRIPT}" DIRECTORY)
  add_test(NAME py_${UNITTEST_TESTNAME_PREFIX}${test_name} COMMAND ${Slicer_LAUNCHER_EXECUTABLE} --testing
    ${UNITTEST_SLICER_ARGS} --additional-module-paths "${CMAKE_BINARY_DIR}/${Slicer_QTSCRIPTEDMODULES_LIB_DIR}"
    --python-code "runUnitTest(['${CMAKE_CURRENT_BINARY_DIR}', '${folder}'], '${test_name}')")
endfunction()
