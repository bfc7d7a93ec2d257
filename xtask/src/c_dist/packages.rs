//! What pkg-config and `CMake` read. All paths in it are relative to the file itself, so the folder
//! may be moved.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::VERSION;

/// What a program needs that takes the static library.
const SYSTEM: &str = "-lpthread -ldl -lm";

pub(super) fn write(dist: &Path) -> Result<()> {
    file(&dist.join("lib/pkgconfig/zerobuffer.pc"), &pkg_config())?;
    let cmake = dist.join("lib/cmake/zerobuffer");
    file(&cmake.join("zerobufferConfig.cmake"), &config())?;
    file(&cmake.join("zerobufferConfigVersion.cmake"), &version())
}

fn file(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn pkg_config() -> String {
    format!(
        "prefix=${{pcfiledir}}/../..\n\
         libdir=${{prefix}}/lib\n\
         includedir=${{prefix}}/include\n\
         \n\
         Name: zerobuffer\n\
         Description: Zero-copy streaming of frames between processes over shared memory\n\
         Version: {VERSION}\n\
         Libs: -L${{libdir}} -lzerobuffer\n\
         Libs.private: {SYSTEM}\n\
         Cflags: -I${{includedir}}\n"
    )
}

fn config() -> String {
    format!(
        r#"# zerobuffer::zerobuffer is the shared library, zerobuffer::static the static one.
get_filename_component(_zerobuffer_prefix "${{CMAKE_CURRENT_LIST_DIR}}/../../.." ABSOLUTE)
find_package(Threads REQUIRED)
if(NOT TARGET zerobuffer::zerobuffer)
    add_library(zerobuffer::zerobuffer SHARED IMPORTED)
    set_target_properties(zerobuffer::zerobuffer PROPERTIES
        IMPORTED_LOCATION "${{_zerobuffer_prefix}}/lib/libzerobuffer.so.{VERSION}"
        IMPORTED_SONAME "libzerobuffer.so.2"
        INTERFACE_INCLUDE_DIRECTORIES "${{_zerobuffer_prefix}}/include")
endif()
if(NOT TARGET zerobuffer::static)
    add_library(zerobuffer::static STATIC IMPORTED)
    set_target_properties(zerobuffer::static PROPERTIES
        IMPORTED_LOCATION "${{_zerobuffer_prefix}}/lib/libzerobuffer.a"
        INTERFACE_LINK_LIBRARIES "Threads::Threads;${{CMAKE_DL_LIBS}};m"
        INTERFACE_INCLUDE_DIRECTORIES "${{_zerobuffer_prefix}}/include")
endif()
unset(_zerobuffer_prefix)
"#
    )
}

fn version() -> String {
    format!(
        r#"set(PACKAGE_VERSION "{VERSION}")
string(REGEX MATCH "^[0-9]+" _zerobuffer_major "${{PACKAGE_FIND_VERSION}}")
if(PACKAGE_FIND_VERSION STREQUAL "")
    set(PACKAGE_VERSION_COMPATIBLE TRUE)
elseif(PACKAGE_VERSION VERSION_LESS PACKAGE_FIND_VERSION OR NOT _zerobuffer_major EQUAL 2)
    set(PACKAGE_VERSION_COMPATIBLE FALSE)
else()
    set(PACKAGE_VERSION_COMPATIBLE TRUE)
    if(PACKAGE_VERSION VERSION_EQUAL PACKAGE_FIND_VERSION)
        set(PACKAGE_VERSION_EXACT TRUE)
    endif()
endif()
unset(_zerobuffer_major)
"#
    )
}
