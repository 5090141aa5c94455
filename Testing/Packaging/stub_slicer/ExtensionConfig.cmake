# STUB of include(${Slicer_EXTENSION_GENERATE_CONFIG}): like the real one, leaves a file by which other extensions find
# this one in the build tree. A scripted module exports no targets, so it is empty.
file(WRITE "${EXTENSION_SUPERBUILD_BINARY_DIR}/${EXTENSION_BUILD_SUBDIRECTORY}/${EXTENSION_NAME}Config.cmake" "")
