//! A Debian package with the command, its completions and manual pages, and the C library with its
//! headers; made by dpkg-deb alone.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::{VERSION, copy};
use crate::project::{Project, capture, run, run_quietly};

/// Builds the package, `target/xtask/zerobuffer_VERSION_ARCHITECTURE.deb`.
pub(crate) fn build(project: &Project, dist: &Path) -> Result<PathBuf> {
    run(&mut project.cargo("build --release --locked -p zerobuffer-cli --bin zerobuffer"))?;
    let command = project.cache.with_file_name("release").join("zerobuffer");
    let architecture = capture(project.command("dpkg").arg("--print-architecture"))?;
    let triple = format!("{}-linux-gnu", std::env::consts::ARCH);
    let tree = project.cache.join("deb");
    if tree.exists() {
        fs::remove_dir_all(&tree).with_context(|| format!("cannot empty {}", tree.display()))?;
    }
    let usr = tree.join("usr");
    copy(&dist.join("include"), &usr.join("include"))?;
    let lib = usr.join("lib").join(&triple);
    copy(&dist.join("lib"), &lib)?;
    // Their folder is one deeper here.
    deeper(&lib.join("pkgconfig/zerobuffer.pc"), "${pcfiledir}/../..", "${pcfiledir}/../../..")?;
    deeper(&lib.join("pkgconfig/zerobuffer.pc"), "${prefix}/lib", &format!("${{prefix}}/lib/{triple}"))?;
    let cmake = lib.join("cmake/zerobuffer/zerobufferConfig.cmake");
    deeper(&cmake, "${CMAKE_CURRENT_LIST_DIR}/../../..", "${CMAKE_CURRENT_LIST_DIR}/../../../..")?;
    deeper(&cmake, "${_zerobuffer_prefix}/lib/", &format!("${{_zerobuffer_prefix}}/lib/{triple}/"))?;

    fs::create_dir_all(usr.join("bin"))?;
    let installed = usr.join("bin/zerobuffer");
    run_quietly(project.command("strip").arg("-o").arg(&installed).arg(&command))?;
    fs::set_permissions(&installed, fs::Permissions::from_mode(0o755))?;
    for (shell, file) in [
        ("bash", "share/bash-completion/completions/zerobuffer"),
        ("zsh", "share/zsh/vendor-completions/_zerobuffer"),
        ("fish", "share/fish/vendor_completions.d/zerobuffer.fish"),
    ] {
        let text = capture(project.command(&command).args(["completions", shell]))?;
        write(&usr.join(file), &format!("{text}\n"))?;
    }
    let man = usr.join("share/man/man1");
    fs::create_dir_all(&man)?;
    run_quietly(project.command(&command).arg("man").arg(&man))?;
    for page in fs::read_dir(&man)? {
        run_quietly(project.command("gzip").args(["-9n"]).arg(page?.path()))?;
    }
    let copyright = "This package is under the MIT licence:\n\n".to_owned()
        + &fs::read_to_string(project.root.join("LICENSE"))?;
    write(&usr.join("share/doc/zerobuffer/copyright"), &copyright)?;
    write(&tree.join("DEBIAN/control"), &control(&architecture))?;
    write(&tree.join("DEBIAN/triggers"), "activate-noawait ldconfig\n")?;
    let package = project.cache.join(format!("zerobuffer_{VERSION}_{architecture}.deb"));
    run_quietly(
        project.command("dpkg-deb").args(["--root-owner-group", "--build"]).arg(&tree).arg(&package),
    )?;
    println!("{}", package.display());
    Ok(package)
}

fn control(architecture: &str) -> String {
    format!(
        "Package: zerobuffer\n\
         Version: {VERSION}\n\
         Architecture: {architecture}\n\
         Maintainer: The ZeroBuffer developers <nobody@localhost>\n\
         Section: utils\n\
         Priority: optional\n\
         Depends: libc6 (>= 2.34), libgcc-s1\n\
         Description: zero-copy streaming of frames between processes\n \
         The command zerobuffer sends, receives, shows and records streams of frames in shared\n \
         memory. With it come the library libzerobuffer.so.2 and its headers for C and C++.\n"
    )
}

fn deeper(file: &Path, from: &str, to: &str) -> Result<()> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    write(file, &text.replace(from, to))
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
