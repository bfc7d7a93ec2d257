//! A Debian package with the command, its completions and manual pages, and the C library with its
//! headers; made by dpkg-deb alone.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::{VERSION, copy};
use crate::project::{Project, capture, run, run_quietly, run_within};

/// Several times what the check of the package takes: only a hang meets it.
const LIMIT: Duration = Duration::from_mins(3);

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

/// Builds the package and installs it, in a root that is this machine's with a layer over it. Then
/// what it brought is used, and it is removed again.
pub(crate) fn check(project: &Project, dist: &Path) -> Result<()> {
    const SCRIPT: &str = r#"set -e
        # dpkg and chroot need what is root's.
        PATH=$PATH:/usr/sbin:/sbin
        mount -t tmpfs tmpfs "$1"
        mkdir "$1/upper" "$1/work" "$1/root"
        mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
        mount -t proc proc "$1/root/proc"
        mount --rbind /dev "$1/root/dev"
        mount -t tmpfs -o mode=1777 tmpfs "$1/root/dev/shm"
        mount -t tmpfs -o mode=1777 tmpfs "$1/root/tmp"
        cp "$2" "$1/root/tmp/zerobuffer.deb"
        exec chroot "$1/root" sh -c "$3""#;
    const USE: &str = r#"set -e
        cd /tmp
        dpkg -i zerobuffer.deb
        test "$(command -v zerobuffer)" = /usr/bin/zerobuffer
        zerobuffer --version
        zerobuffer demo --seconds 0.5
        for page in zerobuffer zerobuffer-recv; do zcat /usr/share/man/man1/$page.1.gz | grep -q '^.TH'; done
        bash -ec '. /usr/share/bash-completion/completions/zerobuffer; complete -p zerobuffer'
        test -s /usr/share/zsh/vendor-completions/_zerobuffer
        test -s /usr/share/fish/vendor_completions.d/zerobuffer.fish
        test -s /usr/share/doc/zerobuffer/copyright
        printf '#include <zerobuffer.h>
int main(void) { return zb_abi_version() != ZB_ABI_VERSION; }
' > one.c
        gcc one.c $(pkg-config --cflags --libs zerobuffer) -o one
        ./one
        gcc one.c $(pkg-config --cflags zerobuffer) -l:libzerobuffer.a -lpthread -ldl -lm -lgcc_s -o two
        ./two
        printf 'cmake_minimum_required(VERSION 3.13)
project(p C)
find_package(zerobuffer 2.0 REQUIRED)
' > CMakeLists.txt
        printf 'add_executable(p one.c)
target_link_libraries(p zerobuffer::zerobuffer)
' >> CMakeLists.txt
        cmake -S . -B built > said && cmake --build built >> said || { cat said; exit 1; }
        built/p
        dpkg -r zerobuffer
        ! find /usr/bin /usr/include /usr/lib /usr/share/man /usr/share/doc -iname '*zerobuffer*' | grep ."#;
    let package = build(project, dist)?;
    if capture(project.command("id").arg("-u"))? != "0" {
        println!("skipped: only root can install the package");
        return Ok(());
    }
    let place = project.cache.join("deb-root");
    fs::create_dir_all(&place).with_context(|| format!("cannot create {}", place.display()))?;
    let mut command = project.command("unshare");
    command.args(["--mount", "sh", "-c", SCRIPT, "sh"]).arg(&place).arg(&package).arg(USE);
    run_within(LIMIT, &mut command)
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
